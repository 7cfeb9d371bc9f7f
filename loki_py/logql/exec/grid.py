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

    The buckets are cut into blocks of `span`; a run is the end of one block and
    the beginning of the next, so running combinations from both ends of every
    block answer all runs, at a cost that does not depend on `span`.
    """
    starts = first + stride * np.arange(count)
    if span == 1:
        return tuple(field[:, starts] for field in fields)
    rows, buckets = fields[0].shape
    blocks = -(-buckets // span)
    padding = blocks * span - buckets
    cut = tuple(
        np.pad(field, ((0, 0), (0, padding))).reshape(rows, blocks, span)
        for field in fields
    )
    heads = _running(cut, combine, backwards=False)
    tails = _running(cut, combine, backwards=True)
    flat_heads = tuple(head.reshape(rows, -1) for head in heads)
    flat_tails = tuple(tail.reshape(rows, -1) for tail in tails)
    left = tuple(tail[:, starts] for tail in flat_tails)
    ends = np.minimum(starts + span - 1, blocks * span - 1)
    right = tuple(head[:, ends] for head in flat_heads)
    whole = starts % span == 0
    both = combine(left, right)
    return tuple(np.where(whole, a, b) for a, b in zip(left, both, strict=True))


def _running(cut: Fields, combine: Combine, *, backwards: bool) -> Fields:
    """Return running combinations inside each block, from its start or its end."""
    span = cut[0].shape[2]
    out = tuple(field.copy() for field in cut)
    positions = range(span - 2, -1, -1) if backwards else range(1, span)
    for at in positions:
        here = tuple(field[:, :, at] for field in out)
        near = tuple(field[:, :, at + (1 if backwards else -1)] for field in out)
        joined = combine(here, near) if backwards else combine(near, here)
        for field, values in zip(out, joined, strict=True):
            field[:, :, at] = values
    return out
