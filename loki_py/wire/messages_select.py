"""Scans, and what an ingester holds for them, as messages.

Pure: `transport` sends and receives. Units travel as descriptions; their rows
are asked for one unit at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loki_py.errors import CorruptData
from loki_py.model.labels import LabelSet
from loki_py.model.matchers import Matcher, MatchType
from loki_py.model.scan import Columns, Scan, ScanUnit, StreamRuns
from loki_py.wire.cells import Cells
from loki_py.wire.label_cache import LabelCache
from loki_py.wire.messages import (
    PLANS,
    ColumnsAsked,
    MatcherAsked,
    QuestionAsked,
    SelectAnswered,
    SelectAsked,
    UnitTold,
)
from loki_py.wire.messages_batch import decode_labels, encode_labels

_RUN_BYTES = 8 + 8 + 4
_CELL_BYTES = 8 + 8 + 8 + 4


@dataclass(frozen=True, slots=True)
class UnitDesc:
    """A unit that lies elsewhere; the attributes are those of `ScanUnit`."""

    streams: Sequence[LabelSet]
    min_ns: int
    max_ns: int
    rows_max: int
    origin: str
    runs: StreamRuns


def matchers_asked(matchers: Sequence[Matcher]) -> list[MatcherAsked]:
    """Return matchers as a header has them."""
    return [MatcherAsked(m.name, m.type.value, m.value) for m in matchers]


def matchers_of(asked: Sequence[MatcherAsked]) -> tuple[Matcher, ...]:
    """Return the matchers of a header.

    Raises: CorruptData where an operator is none of ours.
    """
    try:
        return tuple(Matcher(m.name, MatchType(m.type), m.value) for m in asked)
    except ValueError as error:
        raise CorruptData(f"matcher does not parse: {error}") from error


def columns_asked(columns: Columns) -> ColumnsAsked:
    """Return columns as a header has them."""
    names = None if columns.metadata is None else sorted(columns.metadata)
    return ColumnsAsked(columns.line, names)


def columns_of(asked: ColumnsAsked) -> Columns:
    """Return the columns of a header."""
    names = None if asked.metadata is None else frozenset(asked.metadata)
    return Columns(line=asked.line, metadata=names)


def scan_asked(
    tenant: str,
    scan: Scan,
    *,
    cells: bool = False,
    survey: bool = False,
    question: QuestionAsked | None = None,
    stops_early: bool = False,
) -> SelectAsked:
    """Return a scan as a header; the arguments are those of `SelectAsked`."""
    return SelectAsked(
        tenant,
        matchers_asked(scan.matchers),
        scan.start_ns,
        scan.end_ns,
        columns_asked(scan.columns),
        scan.newest_first,
        list(scan.literals),
        cells,
        survey,
        question,
        "" if question is None else PLANS,
        stops_early,
    )


def scan_of(asked: SelectAsked) -> Scan:
    """Return the scan of a header.

    Raises: CorruptData.
    """
    return Scan(
        matchers_of(asked.matchers),
        asked.start_ns,
        asked.end_ns,
        columns_of(asked.columns),
        asked.newest_first,
        tuple(asked.literals),
    )


def describe_units(
    units: Sequence[ScanUnit],
) -> tuple[list[int], list[UnitTold], list[bytes]]:
    """Return table sizes and units for a header, and the payload behind it."""
    numbers: dict[int, int] = {}
    tables: list[bytes] = []
    told: list[UnitTold] = []
    runs = [unit.runs for unit in units]
    for unit, own in zip(units, runs, strict=True):
        table = numbers.setdefault(id(unit.streams), len(numbers))
        if table == len(tables):
            tables.append(encode_labels(unit.streams))
        told.append(
            UnitTold(
                table,
                unit.min_ns,
                unit.max_ns,
                unit.rows_max,
                unit.origin,
                len(own.stream),
            )
        )
    columns = [
        np.concatenate([own.min_ns for own in runs]).astype(np.int64).tobytes(),
        np.concatenate([own.max_ns for own in runs]).astype(np.int64).tobytes(),
        np.concatenate([own.stream for own in runs]).astype(np.uint32).tobytes(),
    ]
    return [len(table) for table in tables], told, [*columns, *tables]


def cells_behind(cells: Cells | None) -> list[bytes]:
    """Return what of cells lies behind a header."""
    if cells is None:
        return []
    columns = (cells.slice, cells.count, cells.total, cells.stream)
    return [column.tobytes() for column in columns]


def cells_told(answer: SelectAnswered, payload: memoryview) -> Cells | None:
    """Return the cells of a selection, None where there are none.

    Raises: CorruptData.
    """
    count = answer.cells
    if count < 0:
        return None
    lie_at = len(payload) - _CELL_BYTES * count
    if lie_at < 0:
        raise CorruptData(f"{count} cells have {len(payload)} bytes")
    own = payload[lie_at:]
    return Cells(
        answer.shift,
        np.frombuffer(own, np.uint32, count, 24 * count),
        np.frombuffer(own, np.int64, count),
        np.frombuffer(own, np.int64, count, 8 * count),
        np.frombuffer(own, np.uint64, count, 16 * count),
    )


def units_told(
    answer: SelectAnswered, payload: memoryview, cache: LabelCache
) -> list[UnitDesc]:
    """Return the descriptions of a selection's units.

    Raises: CorruptData.
    """
    counts = [unit.runs for unit in answer.units]
    total = sum(counts)
    behind = sum(answer.tables) + _CELL_BYTES * max(answer.cells, 0)
    if len(payload) != total * _RUN_BYTES + behind:
        raise CorruptData(
            f"selection of {total} runs has {len(payload)} bytes behind its header"
        )
    min_ns = np.frombuffer(payload, np.int64, total)
    max_ns = np.frombuffer(payload, np.int64, total, 8 * total)
    stream = np.frombuffer(payload, np.uint32, total, 16 * total)
    tables = _tables_of(answer.tables, payload[_RUN_BYTES * total :], cache)
    units = []
    start = 0
    for told, count in zip(answer.units, counts, strict=True):
        own = slice(start, start + count)
        start += count
        if told.table >= len(tables) or not count:
            raise CorruptData(f"unit of {count} runs refers to table {told.table}")
        streams = tables[told.table]
        if int(stream[own].max()) >= len(streams):
            raise CorruptData(f"run refers to stream {stream[own].max()}")
        runs = StreamRuns(stream[own], min_ns[own], max_ns[own])
        units.append(
            UnitDesc(
                streams, told.min_ns, told.max_ns, told.rows_max, told.origin, runs
            )
        )
    return units


def evaluated_told(
    answer: SelectAnswered, payload: memoryview
) -> tuple[bytes, memoryview]:
    """Return the message that says what came of units, and what lies behind it.

    Raises: CorruptData.
    """
    size = answer.evaluated_bytes
    if not 0 <= size <= len(payload):
        raise CorruptData(f"evaluation of {size} bytes lies in {len(payload)}")
    return bytes(payload[:size]), payload[size:]


def streams_told(
    answer: SelectAnswered, payload: memoryview, cache: LabelCache
) -> list[LabelSet]:
    """Return the label sets of a survey, which tells no units.

    Raises: CorruptData.
    """
    behind = _CELL_BYTES * max(answer.cells, 0)
    if len(answer.tables) != 1 or len(payload) != answer.tables[0] + behind:
        raise CorruptData(f"survey has {len(payload)} bytes behind its header")
    return decode_labels(payload[: answer.tables[0]], cache)


def _tables_of(
    sizes: Sequence[int], texts: memoryview, cache: LabelCache
) -> list[list[LabelSet]]:
    tables = []
    start = 0
    for size in sizes:
        tables.append(decode_labels(texts[start : start + size], cache))
        start += size
    return tables
