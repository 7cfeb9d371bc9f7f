"""Rows of patterns: how many lines of a stream had which pattern, and when.

A row counts the lines of one stream and level that had one pattern in one span
of time. The same row may come twice; what it means then is said where rows are
merged.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loki_py.errors import CorruptData
from loki_py.model.canonical import labels_of_canonical
from loki_py.model.labels import LabelSet
from loki_py.model.matchers import Matcher, selects

SPAN_NS = 10_000_000_000
"""Times are starts of spans of so long, counted from 1970."""

PatternRows: TypeAlias = "pa.Table"

TEXTS = pa.dictionary(pa.int32(), pa.string())
TIMESTAMP = pa.timestamp("ns", tz="UTC")
SCHEMA = pa.schema(
    [
        pa.field("stream", TEXTS, nullable=False),
        pa.field("level", TEXTS, nullable=False),
        pa.field("pattern", TEXTS, nullable=False),
        pa.field("time", TIMESTAMP, nullable=False),
        pa.field("lines", pa.float64(), nullable=False),
    ]
)
NO_ROWS: PatternRows = SCHEMA.empty_table()


class RowsBuilder:
    """Collects rows, each text once."""

    def __init__(self) -> None:
        self._numbers: tuple[dict[str, int], ...] = ({}, {}, {})
        self._codes: tuple[list[int], ...] = ([], [], [])
        self._counts: list[int] = []
        self._spans: list[int] = []
        self._lines: list[float] = []

    def add(
        self, labels: LabelSet, level: str, pattern: str, samples: Mapping[int, float]
    ) -> None:
        """Add a pattern's lines by the number of their span."""
        for numbers, codes, text in zip(
            self._numbers, self._codes, (labels.text, level, pattern), strict=True
        ):
            codes.append(numbers.setdefault(text, len(numbers)))
        self._counts.append(len(samples))
        self._spans += samples
        self._lines += samples.values()

    def rows(self) -> PatternRows:
        """Return what was added."""
        counts = np.array(self._counts, np.int64)
        columns = [
            pa.DictionaryArray.from_arrays(
                np.repeat(np.array(codes, np.int32), counts),
                pa.array(list(numbers), pa.string()),
            )
            for codes, numbers in zip(self._codes, self._numbers, strict=True)
        ]
        times = np.array(self._spans, np.int64) * SPAN_NS
        columns.append(pa.array(times).cast(TIMESTAMP))
        columns.append(pa.array(np.array(self._lines, np.float64)))
        return pa.Table.from_arrays(columns, schema=SCHEMA)


def check_rows(rows: "pa.Table") -> PatternRows:
    """Return the rows; for those that another program made.

    Raises: CorruptData where they are none.
    """
    if rows.schema.remove_metadata() != SCHEMA:
        raise CorruptData(f"rows of patterns have the columns {rows.schema.names}")
    try:
        rows.validate(full=True)
    except pa.ArrowInvalid as error:
        raise CorruptData(f"rows of patterns: {error}") from error
    if any(column.null_count for column in rows.columns):
        raise CorruptData("rows of patterns have nulls")
    return rows.replace_schema_metadata(None)


def selected_rows(
    rows: PatternRows, matchers: Sequence[Matcher], *, start_ns: int, end_ns: int
) -> PatternRows:
    """Return the rows of matching streams whose spans begin in [start, end).

    Raises: CorruptData where a stream is no label set.
    """
    if not len(rows):
        return rows
    times = rows["time"].cast(pa.int64())
    chosen = pc.and_(pc.greater_equal(times, start_ns), pc.less(times, end_ns))
    streams = rows["stream"].cast(pa.string())
    wanted = [
        text
        for text in streams.unique().to_pylist()
        if selects(matchers, labels_of_canonical(text))
    ]
    chosen = pc.and_(chosen, pc.is_in(streams, pa.array(wanted, pa.string())))
    return rows.filter(chosen)
