"""Evaluation times, and windows over them as runs of buckets.

The time line is cut at every edge that a window can have: at each evaluation
time T and, where the range is no multiple of the step, at each T - range. A
window is then a run of whole buckets, all runs are equally long, and entries
are summed up once per bucket however many windows they are in.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Ints: TypeAlias = npt.NDArray[np.int64]
Fields: TypeAlias = tuple[npt.NDArray[np.float64], ...]
Combine: TypeAlias = Callable[[Fields, Fields], Fields]


@dataclass(frozen=True)
class Grid:
    """The evaluation times start_ns, start_ns + step_ns, …; `count` of them."""

    start_ns: int
    step_ns: int
    count: int

    @cached_property
    def times_ns(self) -> Ints:
        """The evaluation times, int64[count]."""
        return self.start_ns + self.step_ns * np.arange(self.count, dtype=np.int64)


def range_grid(start_ns: int, end_ns: int, step_ns: int) -> Grid:
    """Return the times of a range query: multiples of the step around the interval."""
    first = start_ns // step_ns * step_ns
    last = -(-end_ns // step_ns) * step_ns
    return Grid(first, step_ns, (last - first) // step_ns + 1)


def instant_grid(time_ns: int) -> Grid:
    """Return the single evaluation time of an instant query."""
    return Grid(time_ns, 1, 1)


@dataclass(frozen=True)
class Windows:
    """The windows (T - offset - range, T - offset] of a grid's times.

    Attributes:
        buckets: how many buckets there are; windows outside are not asked for.
    """

    grid: Grid
    range_ns: int
    offset_ns: int = 0

    @cached_property
    def _step_ns(self) -> int:
        return self.grid.step_ns if self.grid.count > 1 else max(self.range_ns, 1)

    @cached_property
    def _whole(self) -> int:
        return self.range_ns // self._step_ns

    @cached_property
    def _part_ns(self) -> int:
        return self.range_ns % self._step_ns

    @property
    def start_ns(self) -> int:
        """The first nanosecond of interest."""
        return self.grid.start_ns - self.offset_ns - self.range_ns + 1

    @property
    def end_ns(self) -> int:
        """The nanosecond after the last of interest."""
        last = self.grid.start_ns + self.grid.step_ns * (self.grid.count - 1)
        return last - self.offset_ns + 1

    @property
    def has_gaps(self) -> bool:
        """Whether some times lie in no window."""
        return self._whole == 0

    @property
    def are_disjoint(self) -> bool:
        """Whether no time is in two windows; a bucket is then a window."""
        return self._whole == 0 or (self._whole == 1 and self._part_ns == 0)

    @cached_property
    def buckets(self) -> int:
        if self._whole == 0:
            return self.grid.count
        if self._part_ns == 0:
            return self.grid.count + self._whole - 1
        return 2 * (self.grid.count + self._whole)

    def bucket_of(self, timestamp_ns: Ints) -> Ints:
        """Return each time's bucket, -1 where no window covers it."""
        step_ns = self._step_ns
        back = self.grid.start_ns - self.offset_ns - timestamp_ns
        behind = back // step_ns
        if self._whole == 0:
            in_window = back - behind * step_ns < self._part_ns
            return np.where(in_window & (behind <= 0), -behind, -1)
        if self._part_ns == 0:
            return self._whole - 1 - behind
        second = back - behind * step_ns < self._part_ns
        return 2 * (self._whole - behind) + second

    @cached_property
    def edges_ns(self) -> "Ints | None":
        """The edges of the buckets; None where a bucket is no plain span of time.

        Bucket k holds the times in (edges[k], edges[k + 1]].
        """
        if self._whole == 0 or self._part_ns:
            return None
        first = self.grid.start_ns - self.offset_ns - self._whole * self._step_ns
        return first + self._step_ns * np.arange(self.buckets + 1, dtype=np.int64)

    def slide(self, fields: Fields, combine: Combine) -> Fields:
        """Return for each window the combination of its buckets, [s, count].

        Args:
            fields: arrays [s, buckets].
            combine: associative, earlier buckets on the left.
        """
        count = self.grid.count
        if self._whole == 0:
            return fields
        if self._part_ns == 0:
            return _slide(
                fields, combine, span=self._whole, first=0, stride=1, count=count
            )
        span = 2 * self._whole + 1
        return _slide(fields, combine, span=span, first=1, stride=2, count=count)


def _slide(
    fields: Fields, combine: Combine, *, span: int, first: int, stride: int, count: int
) -> Fields:
    """Combine runs of `span` buckets that begin at `first` and every `stride`.

    Runs of 1, 2, 4, … buckets are combined from runs of half their length; a
    run of `span` is made of those that `span` has in binary. The cost grows
    with the buckets and the logarithm of `span`.
    """
    behind = first + stride * (count - 1) + 1
    runs = fields
    length = 1
    taken = 0
    out: Fields | None = None
    while True:
        if span & length:
            starts = slice(first + taken, behind + taken, stride)
            part = tuple(field[:, starts] for field in runs)
            out = part if out is None else combine(out, part)
            taken += length
        if 2 * length > span:
            assert out is not None
            return out
        left = tuple(field[:, :-length] for field in runs)
        right = tuple(field[:, length:] for field in runs)
        runs = combine(left, right)
        length *= 2
