"""Partial results of evaluators as messages, and back.

What an ingester makes of a unit's rows for a query elsewhere. Numbers travel in
the narrowest type that holds all of a column exactly.

Pure.
"""

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from loki_py.errors import CorruptData, QueryInvalid
from loki_py.logql.exec.log_leaf import LogPartial
from loki_py.logql.exec.range_leaf import RangePartial
from loki_py.logql.exec.summaries import Block
from loki_py.logql.question import LeafQuestion, Question
from loki_py.model.labels import LabelSet
from loki_py.wire.messages import (
    ColumnTold,
    MapAnswered,
    QuestionAsked,
    RowsTold,
    SamplesTold,
)
from loki_py.wire.messages_batch import decode_batch, encode_batch, pieces_of, shape_of

Partial: TypeAlias = LogPartial | tuple[RangePartial, ...]
Told: TypeAlias = RowsTold | SamplesTold
_Column = npt.NDArray[Any]

_TYPES: dict[str, type[np.generic]] = {
    "u1": np.uint8,
    "u2": np.uint16,
    "u4": np.uint32,
    "i8": np.int64,
    "f8": np.float64,
}
_NARROW = (("u1", 1 << 8), ("u2", 1 << 16), ("u4", 1 << 32))
_COLUMNS_MAX = 8


def encode_partial(partial: Partial) -> Iterator[tuple[Told, Sequence[Any]]]:
    """Yield header and payload of each piece of a partial result."""
    if isinstance(partial, LogPartial):
        kept = partial.kept
        for rows in pieces_of(partial.rows):
            batch = encode_batch(rows, rows.stream)
            yield RowsTold(shape_of(rows), len(batch), kept), batch.pieces
            kept = 0
        return
    for each in partial:
        columns = (each.block.series, each.block.when, *each.block.fields)
        told, payload = zip(*map(_encoded, columns), strict=True)
        failure = "" if each.failure is None else str(each.failure)
        labels = [list(pairs) for pairs in each.labels]
        rows_count = len(each.block.series)
        header = SamplesTold(labels, rows_count, list(told), each.kept, failure)
        yield header, payload


def decode_partials(
    answer: MapAnswered, payload: memoryview, streams: Sequence[LabelSet]
) -> list[Partial]:
    """Return the partial results of a message.

    Raises: CorruptData.
    """
    found: list[Partial] = []
    for told in answer.partials:
        if isinstance(told, RowsTold):
            if len(payload) < told.batch_bytes:
                raise CorruptData(f"rows of {told.batch_bytes} bytes are cut")
            own, payload = payload[: told.batch_bytes], payload[told.batch_bytes :]
            found.append(LogPartial(decode_batch(own, told.batch, streams), told.kept))
            continue
        samples, payload = _samples(told, payload)
        found.append((samples,))
    return found


def question_asked(question: LeafQuestion) -> QuestionAsked:
    """Return a question as a header has it."""
    asked = question.question
    return QuestionAsked(
        asked.text,
        question.leaf,
        asked.start_ns,
        asked.end_ns,
        asked.step_ns,
        asked.limit,
        asked.forward,
        asked.interval_ns,
        asked.instant,
        asked.categorize,
    )


def question_of(asked: QuestionAsked) -> LeafQuestion:
    """Return the question of a header."""
    return LeafQuestion(
        Question(
            asked.text,
            asked.start_ns,
            asked.end_ns,
            asked.step_ns,
            asked.limit,
            asked.forward,
            asked.interval_ns,
            asked.instant,
            asked.categorize,
        ),
        asked.leaf,
    )


def _samples(told: SamplesTold, payload: memoryview) -> tuple[RangePartial, memoryview]:
    if not 2 <= len(told.columns) <= _COLUMNS_MAX:
        raise CorruptData(f"samples have {len(told.columns)} columns")
    columns = []
    for column in told.columns:
        values = _decoded(column, payload[: column.bytes], told.rows)
        payload = payload[column.bytes :]
        columns.append(values)
    series, when = (column.astype(np.int64) for column in columns[:2])
    if len(series) and int(series.max()) >= len(told.labels):
        raise CorruptData(f"sample refers to series {series.max()}")
    fields = tuple(_floats(column) for column in columns[2:])
    block = Block(series, when, fields)
    labels = [tuple(pairs) for pairs in told.labels]
    failure = QueryInvalid(told.failure) if told.failure else None
    return RangePartial(labels, block, told.kept, failure), payload


def _encoded(column: _Column) -> tuple[ColumnTold, bytes]:
    kind, is_constant = "i8" if column.dtype.kind in "iu" else "f8", False
    if len(column):
        is_constant = bool((column == column[0]).all())
        if is_constant:
            column = column[:1]
        kind = _narrowest(column, kind)
    data = np.ascontiguousarray(column, _TYPES[kind]).tobytes()
    return ColumnTold(kind, len(data), is_constant), data


def _narrowest(column: _Column, kind: str) -> str:
    """Return the narrowest type that holds every number exactly."""
    low, high = column.min(), column.max()
    if not (low >= 0 and high < _NARROW[-1][1]):
        return kind
    if kind == "f8" and (np.signbit(column).any() or (column != np.rint(column)).any()):
        return kind
    return next(name for name, end in _NARROW if high < end)


def _decoded(told: ColumnTold, data: memoryview, rows: int) -> _Column:
    kind = _TYPES.get(told.type)
    if kind is None:
        raise CorruptData(f"column of numbers has type {told.type!r}")
    count = min(rows, 1) if told.is_constant else rows
    if len(data) != count * np.dtype(kind).itemsize:
        raise CorruptData(f"column of {count} numbers has {len(data)} bytes")
    values = np.frombuffer(data, kind, count)
    return np.broadcast_to(values, rows) if told.is_constant else values


def _floats(column: _Column) -> _Column:
    if column.strides == (0,):
        # Summaries count constants without looking at each.
        one = column[:1].astype(np.float64)
        return np.broadcast_to(one[0], len(column))
    return column.astype(np.float64, copy=False)
