"""Entry batches: log entries as columns, from the request to the result."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from loki_py.model import views
from loki_py.model.labels import LabelSet
from loki_py.model.line_facts import LineFacts

StreamIndex: TypeAlias = npt.NDArray[np.uint32]
Timestamps: TypeAlias = npt.NDArray[np.int64]
Rows: TypeAlias = npt.NDArray[np.int64]

METADATA_COLUMNS_MAX = 100
"""Structured-metadata names that get a column; names beyond share a map."""

REST_TYPE = pa.map_(pa.large_string(), pa.large_string())


@dataclass(frozen=True, slots=True)
class EntryBatch:
    """Entries of one tenant as columns of equal length n.

    Batches that come from one source share one `streams` object, so that a
    reader may cache what it derives from it by identity.

    Attributes:
        streams: the label sets that the rows refer to; rows need not cover all.
        stream: uint32[n], row to position in `streams`.
        timestamp_ns: int64[n].
        line: large_string[n], or string_view[n] where the reader asked for lines in
            place; None where it asked not to load lines.
        metadata: name to nullable large_string[n]; null means the entry has no
            such name, "" is a value. At most METADATA_COLUMNS_MAX names.
        metadata_rest: map<large_string, large_string>[n] with the names beyond
            METADATA_COLUMNS_MAX; None where there are none, as almost always.
        facts: what is known of the lines; None where the source keeps nothing.
    """

    streams: Sequence[LabelSet]
    stream: StreamIndex
    timestamp_ns: Timestamps
    line: "pa.LargeStringArray | pa.StringViewArray | None"
    metadata: Mapping[str, "pa.LargeStringArray"] = field(default_factory=dict)
    metadata_rest: "pa.MapArray | None" = None
    facts: LineFacts | None = None

    def __len__(self) -> int:
        return len(self.timestamp_ns)

    def line_bytes(self) -> npt.NDArray[np.int64]:
        """Return the UTF-8 length of each line, int64[n]."""
        assert self.line is not None
        return value_bytes_of(self.line)

    def metadata_bytes(self) -> npt.NDArray[np.int64]:
        """Return per entry the bytes of metadata names and values, int64[n]."""
        total = np.zeros(len(self), dtype=np.int64)
        for name, values in self.metadata.items():
            total += value_bytes_of(values)
            present = len(name.encode())
            total += present
            if values.null_count:
                total[null_mask_of(values)] -= present
        if self.metadata_rest is not None:
            total += _map_bytes(self.metadata_rest)
        return total

    def total_line_bytes(self) -> int:
        """Return the bytes of all lines together, at once."""
        return total_bytes_of(self.line)

    def total_metadata_bytes(self) -> int:
        """Return the bytes of all metadata names and values together."""
        total = 0
        for name, values in self.metadata.items():
            present = len(values) - values.null_count
            total += present * len(name.encode()) + total_bytes_of(values)
        if self.metadata_rest is not None:
            total += int(_map_bytes(self.metadata_rest).sum())
        return total

    def take(self, rows: Rows) -> "EntryBatch":
        """Return the given rows, in the given order."""
        index = pa.array(rows)
        return self._with_columns(
            self.stream[rows],
            self.timestamp_ns[rows],
            lambda c: views.taken(c, rows) if views.is_viewed(c) else c.take(index),
        )

    def filter(self, mask: npt.NDArray[np.bool_]) -> "EntryBatch":
        """Return the rows where `mask` is true, in order."""
        if mask.all():
            return self
        return self.take(np.flatnonzero(mask))

    def slice(self, start: int, end: int) -> "EntryBatch":
        """Return rows [start, end) without copying."""
        part = self._with_columns(
            self.stream[start:end],
            self.timestamp_ns[start:end],
            lambda c: c.slice(start, end - start),
        )
        if self.facts is None:
            return part
        return replace(part, facts=self.facts.slice(start, end))

    def with_metadata(self, name: str, values: "pa.LargeStringArray") -> "EntryBatch":
        """Return the batch with one more (or replaced) metadata column."""
        return replace(self, metadata={**self.metadata, name: values})

    def _with_columns(self, stream, timestamp_ns, change) -> "EntryBatch":  # type: ignore[no-untyped-def] # noqa: ANN001
        rest = None if self.metadata_rest is None else change(self.metadata_rest)
        return EntryBatch(
            self.streams,
            stream,
            timestamp_ns,
            None if self.line is None else change(self.line),
            {name: change(values) for name, values in self.metadata.items()},
            rest,
        )


def value_bytes_of(values: "pa.LargeStringArray") -> npt.NDArray[np.int64]:
    """Return the byte length of each value of a text array, null is 0."""
    if views.is_viewed(values):
        return views.lengths_of(values)
    offsets = offsets_of(values)
    lengths = np.diff(offsets)
    if values.null_count:
        lengths = np.where(null_mask_of(values), 0, lengths)
    return lengths


def total_bytes_of(values: "pa.LargeStringArray") -> int:
    """Return the bytes of all values of a text array, at once."""
    if values.null_count or views.is_viewed(values):
        return int(value_bytes_of(values).sum())
    offsets = offsets_of(values)
    return int(offsets[-1] - offsets[0])


def offsets_of(values: "pa.LargeStringArray") -> npt.NDArray[np.int64]:
    """Return the n + 1 offsets into the value buffer, int64, without copying."""
    if len(values) == 0:
        return np.zeros(1, dtype=np.int64)
    offsets = np.frombuffer(values.buffers()[1], dtype=np.int64)
    return offsets[values.offset : values.offset + len(values) + 1]


def null_mask_of(values: "pa.Array") -> npt.NDArray[np.bool_]:
    """Return bool[n], true where the value is null."""
    mask: npt.NDArray[np.bool_] = pc.is_null(values).to_numpy(zero_copy_only=False)
    return mask


def _map_bytes(rest: "pa.MapArray") -> npt.NDArray[np.int64]:
    """Return per row the bytes of all keys and items of a map column."""
    sizes = np.concatenate(
        ([0], np.cumsum(value_bytes_of(rest.keys) + value_bytes_of(rest.items)))
    )
    offsets = np.asarray(rest.offsets)
    filled: npt.NDArray[np.int64] = sizes[offsets[1:]] - sizes[offsets[:-1]]
    return np.where(null_mask_of(rest), 0, filled) if rest.null_count else filled


def concat(batches: Sequence[EntryBatch]) -> EntryBatch:
    """Return one batch with the rows of all, in order.

    All batches must share one `streams` object. A metadata name that a batch
    does not have is null in its rows. Names beyond METADATA_COLUMNS_MAX move
    to the map.
    """
    assert batches
    if len(batches) == 1:
        return batches[0]
    first = batches[0]
    assert all(batch.streams is first.streams for batch in batches)
    names = list(dict.fromkeys(name for batch in batches for name in batch.metadata))
    if len(names) > METADATA_COLUMNS_MAX:
        keep = names[:METADATA_COLUMNS_MAX]
        return concat([with_names_in_rest(batch, keep=keep) for batch in batches])
    lines = [batch.line for batch in batches]
    return EntryBatch(
        first.streams,
        np.concatenate([batch.stream for batch in batches]),
        np.concatenate([batch.timestamp_ns for batch in batches]),
        None if lines[0] is None else views.joined(lines),
        {
            name: pa.concat_arrays(
                [batch.metadata.get(name, _nulls(len(batch))) for batch in batches]
            )
            for name in names
        },
        _concat_rest(batches),
        LineFacts.joined([batch.facts for batch in batches]),
    )


def joined(batches: Sequence[EntryBatch]) -> EntryBatch:
    """Return one batch with the rows of all, in order, under the streams of all.

    A label set of several batches then stands in several places.
    """
    if len(batches) == 1:
        return batches[0]
    streams: list[LabelSet] = []
    shifted = []
    for batch in batches:
        position = batch.stream + np.uint32(len(streams))
        shifted.append(replace(batch, streams=(), stream=position))
        streams += batch.streams
    return replace(concat(shifted), streams=streams)


def with_names_in_rest(batch: EntryBatch, *, keep: Sequence[str]) -> EntryBatch:
    """Return the batch with every metadata column outside `keep` moved to the map."""
    moved = {n: v for n, v in batch.metadata.items() if n not in set(keep)}
    if not moved:
        return batch
    rows, names, values = _rest_pairs(batch)
    for name, column in moved.items():
        present = np.flatnonzero(~null_mask_of(column))
        rows.append(present)
        names.append(pa.repeat(pa.scalar(name, pa.large_string()), len(present)))
        values.append(column.take(pa.array(present)))
    all_rows = np.concatenate(rows)
    order = np.argsort(all_rows, kind="stable")
    offsets = np.searchsorted(all_rows[order], np.arange(len(batch) + 1))
    index = pa.array(order)
    rest = pa.MapArray.from_arrays(
        pa.array(offsets, pa.int32()),
        pa.concat_arrays(names).take(index),
        pa.concat_arrays(values).take(index),
    ).cast(REST_TYPE)
    kept = {n: v for n, v in batch.metadata.items() if n not in moved}
    return replace(batch, metadata=kept, metadata_rest=rest)


def _rest_pairs(
    batch: EntryBatch,
) -> tuple[list[Rows], list["pa.Array"], list["pa.Array"]]:
    rest = batch.metadata_rest
    if rest is None:
        return [], [], []
    offsets = np.asarray(rest.offsets)
    counts = np.diff(offsets)
    start, length = int(offsets[0]), int(offsets[-1] - offsets[0])
    return (
        [np.repeat(np.arange(len(batch)), counts)],
        [rest.keys.slice(start, length)],
        [rest.items.slice(start, length)],
    )


def _concat_rest(batches: Sequence[EntryBatch]) -> "pa.MapArray | None":
    if all(batch.metadata_rest is None for batch in batches):
        return None
    return pa.concat_arrays(
        [
            pa.nulls(len(batch), REST_TYPE)
            if batch.metadata_rest is None
            else batch.metadata_rest
            for batch in batches
        ]
    )


def _nulls(count: int) -> "pa.LargeStringArray":
    return pa.nulls(count, pa.large_string())
