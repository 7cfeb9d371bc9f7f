"""What a tail does with entries between reading and sending them. Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loki_py.logql.exec.tail_leaf import TailEntries
from loki_py.model.batch import EntryBatch, concat
from loki_py.model.results import Categories, Indices, Labels, Streams

FRAME_ENTRIES_MAX = 100
FRAME_LINE_BYTES_MAX = 256 << 10
"""Lines in one frame, unless one alone is longer: clients bound messages at 1 MiB."""

_Key: TypeAlias = tuple[Labels, Labels, Labels, int, str]

NOTHING = TailEntries(
    (), np.zeros(0, np.int64), np.zeros(0, np.int64), pa.nulls(0, pa.large_string())
)


def in_order(streams: Streams) -> TailEntries:
    """Return the entries of a result that is newest first, oldest first."""
    index = np.repeat(np.arange(len(streams.labels)), np.diff(streams.offsets))
    entries = TailEntries(
        streams.labels, index, streams.timestamp_ns, streams.line, streams.categories
    )
    # Of equal times the last that came stands first in its stream.
    rows = np.arange(len(index))
    return entries.take(np.lexsort((-rows, index, streams.timestamp_ns)))


def joined(batches: Sequence[EntryBatch]) -> list[EntryBatch]:
    """Return the batches, those of one source as one."""
    by_source: dict[int, list[EntryBatch]] = {}
    for batch in batches:
        by_source.setdefault(id(batch.streams), []).append(batch)
    return [concat(found) for found in by_source.values()]


def merged(parts: Sequence[TailEntries]) -> TailEntries:
    """Return the entries of all parts, oldest first; one part is as it was."""
    if len(parts) == 1:
        return parts[0]
    categories = None
    if all(part.categories is not None for part in parts):
        known = [part.categories for part in parts if part.categories is not None]
        metadata, metadata_index = _stacked(
            [
                (each.structured_metadata, each.structured_metadata_index)
                for each in known
            ]
        )
        parsed, parsed_index = _stacked(
            [(each.parsed, each.parsed_index) for each in known]
        )
        categories = Categories(metadata, metadata_index, parsed, parsed_index)
    labels, index = _stacked([(part.labels, part.labels_index) for part in parts])
    times = np.concatenate([part.timestamp_ns for part in parts])
    lines = pa.concat_arrays([part.line for part in parts])
    entries = TailEntries(labels, index, times, lines, categories)
    return entries.take(np.argsort(times, kind="stable"))


def _stacked(
    parts: Sequence[tuple[Sequence[Labels], Indices]],
) -> tuple[list[Labels], Indices]:
    labels: list[Labels] = []
    indices = []
    for found, index in parts:
        indices.append(index + len(labels))
        labels += found
    return labels, np.concatenate(indices)


def frame_bounds(line_bytes: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield [start, end) of frames, by the sizes of all lines."""
    ends = np.cumsum(line_bytes)
    start = 0
    while start < len(ends):
        before = int(ends[start - 1]) if start else 0
        fit = int(np.searchsorted(ends, before + FRAME_LINE_BYTES_MAX, side="right"))
        end = max(min(fit, start + FRAME_ENTRIES_MAX), start + 1)
        yield start, end
        start = end


class Overlap:
    """The entries of a backlog, some of which come again as new ones."""

    def __init__(self, backlog: TailEntries) -> None:
        self._timestamp_ns = np.unique(backlog.timestamp_ns)
        self._left = Counter(_keys(backlog))

    def without_known(self, entries: TailEntries) -> TailEntries:
        """Return the entries without those of the backlog, each left out once."""
        suspects = np.flatnonzero(np.isin(entries.timestamp_ns, self._timestamp_ns))
        if not len(suspects):
            return entries
        keep = np.ones(len(entries), np.bool_)
        for row, key in zip(
            suspects.tolist(), _keys(entries.take(suspects)), strict=True
        ):
            if self._left[key] > 0:
                self._left[key] -= 1
                keep[row] = False
        return entries.take(np.flatnonzero(keep))


def _keys(entries: TailEntries) -> Iterator[_Key]:
    blank: list[Labels] = [()] * len(entries)
    metadata, parsed = blank, blank
    categories = entries.categories
    if categories is not None:
        metadata = _picked(
            categories.structured_metadata, categories.structured_metadata_index
        )
        parsed = _picked(categories.parsed, categories.parsed_index)
    return zip(
        _picked(entries.labels, entries.labels_index),
        metadata,
        parsed,
        entries.timestamp_ns.tolist(),
        entries.line.to_pylist(),
        strict=True,
    )


def _picked(labels: Sequence[Labels], index: Indices) -> list[Labels]:
    return [labels[i] for i in index.tolist()]
