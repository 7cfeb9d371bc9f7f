"""What a replica holds, in sums: entries by stream and slice of time.

Replicas that hold the same entries of a stream and slice have equal cells there;
replicas that hold different ones have unequal ones but for a chance of 1 in 2^64.
So most of what replicas hold is known to be equal without looking at an entry.

A slice is 2^shift ns long and begins at a multiple of that, so that slices of one
length are made of those of a shorter one.

Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from loki_py.model.batch import EntryBatch, StreamIndex
from loki_py.wire.digests import keys_in_stream

SHIFT_MIN = 33
"""The shortest slice: 8.6 s."""

SHIFT_MAX = 43
"""The longest: 2.4 hours."""

CELLS_MAX = 4_096
"""Cells that are told of one selection, unless there are more streams."""

_Ints = npt.NDArray[np.int64]
_Sums = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Cells:
    """Cells by stream and slice, each once: columns of equal length.

    Attributes:
        shift: the length of a slice is 2^shift ns.
        stream: whose, by position.
        slice: i64, the slice's begin divided by its length.
        count: i64, entries.
        total: u64, the sum of the entries' numbers (`digests.keys_in_stream`).
    """

    shift: int
    stream: StreamIndex
    slice: _Ints
    count: _Ints
    total: _Sums

    def __len__(self) -> int:
        return len(self.slice)

    def take(self, chosen: "npt.NDArray[np.bool_ | np.intp]") -> "Cells":
        """Return the chosen cells, by mask or position."""
        return Cells(
            self.shift,
            self.stream[chosen],
            self.slice[chosen],
            self.count[chosen],
            self.total[chosen],
        )

    def coarser(self, shift: int) -> "Cells":
        """Return the same entries in longer slices."""
        assert shift >= self.shift
        if shift == self.shift:
            return self
        return _summed(
            shift,
            self.stream,
            self.slice >> (shift - self.shift),
            self.count,
            self.total,
        )


NO_CELLS = Cells(
    SHIFT_MIN,
    np.zeros(0, np.uint32),
    np.zeros(0, np.int64),
    np.zeros(0, np.int64),
    np.zeros(0, np.uint64),
)


def cells_of(batch: EntryBatch) -> Cells:
    """Return the cells of a batch, the shortest; it must have all its columns."""
    slices = batch.timestamp_ns >> SHIFT_MIN
    return _summed(
        SHIFT_MIN,
        batch.stream,
        slices,
        np.ones(len(batch), np.int64),
        keys_in_stream(batch),
    )


def added(parts: Sequence[Cells]) -> Cells:
    """Return the cells of all parts together, as long as the longest's."""
    if not parts:
        return NO_CELLS
    shift = max(part.shift for part in parts)
    same = [part.coarser(shift) for part in parts]
    if len(same) == 1:
        return same[0]
    return _summed(
        shift,
        np.concatenate([part.stream for part in same]),
        np.concatenate([part.slice for part in same]),
        np.concatenate([part.count for part in same]),
        np.concatenate([part.total for part in same]),
    )


def at_most(cells: Cells, cells_max: int) -> Cells:
    """Return the same in slices so long that there are few cells, or the longest."""
    if len(cells) <= cells_max:
        return cells
    streams_count = int((cells.stream[1:] != cells.stream[:-1]).sum()) + 1
    first, last = int(cells.slice.min()), int(cells.slice.max())
    shift = shift_of(
        first << cells.shift,
        last << cells.shift,
        slices_max=cells_max // streams_count,
    )
    return cells.coarser(max(shift, cells.shift))


def shift_of(start_ns: int, end_ns: int, *, slices_max: int) -> int:
    """Return the shortest slices of which a span of time has at most so many."""
    for shift in range(SHIFT_MIN, SHIFT_MAX):
        if (end_ns >> shift) - (start_ns >> shift) < slices_max:
            return shift
    return SHIFT_MAX


def _summed(
    shift: int, stream: StreamIndex, slices: _Ints, count: _Ints, total: _Sums
) -> Cells:
    """Return each stream and slice once, in order.

    Neighbours are added before all are sorted, which mostly they are already.
    """
    cells = Cells(shift, stream, slices, count, total)
    if not len(slices):
        return cells
    cells = _neighbours_added(cells)
    later = (cells.stream[1:] > cells.stream[:-1]) | (
        (cells.stream[1:] == cells.stream[:-1]) & (cells.slice[1:] > cells.slice[:-1])
    )
    if later.all():
        return cells
    order = np.lexsort((cells.slice, cells.stream))
    return _neighbours_added(cells.take(order))


def _neighbours_added(cells: Cells) -> Cells:
    stream, slices = cells.stream, cells.slice
    changes = (stream[1:] != stream[:-1]) | (slices[1:] != slices[:-1])
    starts = np.flatnonzero(np.concatenate(([True], changes)))
    return Cells(
        cells.shift,
        stream[starts],
        slices[starts],
        np.add.reduceat(cells.count, starts),
        np.add.reduceat(cells.total, starts),
    )
