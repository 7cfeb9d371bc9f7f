"""Who of several replicas answers for what, where their cells say they are equal.

Each stream is answered for by one of those that hold it. In slices of time in
which replicas differ in any stream all answer for all of their streams, and are
compared by entry.

Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from loki_py.model.labels import LabelSet
from loki_py.model.scan import ScanUnit
from loki_py.model.shares import (
    ALWAYS,
    END_NS,
    FIRST_NS,
    Flags,
    Share,
    Spans,
    shared,
)
from loki_py.querier.overlap import StreamNumbers
from loki_py.wire.cells import Cells

SPANS_MAX = 32
"""Spans in which replicas differ; beyond, near ones become one."""

SPREAD_ROWS_MIN = 4_000_000
"""Of fewer entries one of those that hold all is asked: every further one costs
more than it helps."""

_FRACTIONS = 1 << 20
_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Replica:
    """What one instance holds for a scan.

    Attributes:
        cells: of `units`, by position in `streams`.
    """

    units: Sequence[ScanUnit]
    streams: Sequence[LabelSet]
    cells: Cells


def shared_out(replicas: Sequence[Replica]) -> list[ScanUnit]:
    """Return units of all entries; they overlap only where replicas differ."""
    shift = max(replica.cells.shift for replica in replicas)
    cells = [replica.cells.coarser(shift) for replica in replicas]
    numbers = _numbers_of(replicas)
    fraction = _fractions(numbers, replicas, cells)
    if all(
        _are_equal(numbers[0], cells[0], *rest)
        for rest in zip(numbers, cells, strict=True)
    ):
        owners = (fraction * len(replicas)).astype(np.int64)
        doubtful = np.zeros(0, np.int64)
    else:
        table = _Table.of(cells, numbers, fraction)
        owners = table.owners()
        doubtful = table.doubtful(owners)
    equal, unequal = _spans_of(doubtful, shift)
    found: list[ScanUnit] = []
    for position, (replica, own) in enumerate(zip(replicas, numbers, strict=True)):
        owned = owners[own] == position
        if equal and owned.any():
            found += _cut(replica.units, Share(owned, equal))
        if unequal:
            found += _cut(replica.units, Share(np.ones_like(owned), unequal))
    return found


def alike(replicas: Sequence[Replica]) -> bool:
    """Return whether all hold the same, so little that one of them should answer."""
    shift = max(replica.cells.shift for replica in replicas)
    cells = [replica.cells.coarser(shift) for replica in replicas]
    if int(cells[0].count.sum()) >= SPREAD_ROWS_MIN:
        return False
    numbers = _numbers_of(replicas)
    if all(
        _are_equal(numbers[0], cells[0], *each)
        for each in zip(numbers, cells, strict=True)
    ):
        return True
    first, *rest = (
        _in_order(own, each) for own, each in zip(numbers, cells, strict=True)
    )
    return all(
        np.array_equal(mine, theirs)
        for each in rest
        for mine, theirs in zip(first, each, strict=True)
    )


def _in_order(numbers: _Ints, cells: Cells) -> tuple[npt.NDArray[Any], ...]:
    """Return the cells' columns, by number of the stream and slice."""
    number = numbers[cells.stream]
    order = np.lexsort((cells.slice, number))
    columns = (number, cells.slice, cells.count, cells.total)
    return tuple(column[order] for column in columns)


@dataclass(frozen=True, slots=True)
class _Table:
    """The cells of all replicas, those of one stream and slice side by side.

    Attributes:
        stream, slice, replica: whose each cell is.
        starts: where each group of one stream and slice begins.
        agrees: bool by group, whether all of its cells are equal.
        fraction: by stream, where it stands among all, in [0, 1).
        replicas_count: of all.
    """

    stream: _Ints
    slice: _Ints
    replica: _Ints
    starts: _Ints
    agrees: Flags
    fraction: npt.NDArray[np.float64]
    replicas_count: int

    @classmethod
    def of(
        cls,
        cells: Sequence[Cells],
        numbers: Sequence[_Ints],
        fraction: npt.NDArray[np.float64],
    ) -> "_Table":
        stream = np.concatenate(
            [own[each.stream] for own, each in zip(numbers, cells, strict=True)]
        )
        slices = np.concatenate([each.slice for each in cells])
        count = np.concatenate([each.count for each in cells])
        total = np.concatenate([each.total for each in cells])
        sizes = [len(each) for each in cells]
        replica = np.repeat(np.arange(len(cells)), sizes)
        order = np.lexsort((replica, slices, stream))
        stream, slices, replica = stream[order], slices[order], replica[order]
        count, total = count[order], total[order]
        changes = (stream[1:] != stream[:-1]) | (slices[1:] != slices[:-1])
        starts = np.flatnonzero(np.concatenate(([True], changes)))
        equal = np.ones(len(stream), np.bool_)
        equal[1:] = changes | ((count[1:] == count[:-1]) & (total[1:] == total[:-1]))
        agrees = np.logical_and.reduceat(equal, starts)
        return cls(stream, slices, replica, starts, agrees, fraction, len(cells))

    def owners(self) -> _Ints:
        """Return by stream which replica answers for it.

        One of those that hold it in most slices; neighbours in the order of
        fingerprints, which lie side by side, go to the same.
        """
        held = np.zeros((len(self.fraction), self.replicas_count), np.int64)
        np.add.at(held, (self.stream, self.replica), 1)
        best = held == held.max(axis=1, keepdims=True)
        wanted = (self.fraction * best.sum(axis=1)).astype(np.int64)
        is_it = best & (np.cumsum(best, axis=1) == (wanted + 1)[:, None])
        found: _Ints = is_it.argmax(axis=1)
        return found

    def doubtful(self, owners: _Ints) -> _Ints:
        """Return the slices that not each owner answers for alone, ascending."""
        is_owners = self.replica == owners[self.stream]
        is_held = np.logical_or.reduceat(is_owners, self.starts)
        found: _Ints = np.unique(self.slice[self.starts[~(self.agrees & is_held)]])
        return found


def _numbers_of(replicas: Sequence[Replica]) -> list[_Ints]:
    """Return by replica the number of each of its streams, the same for equal ones."""
    first = replicas[0].streams
    own = np.arange(len(first))
    if all(tuple(each.streams) == tuple(first) for each in replicas):
        return [own] * len(replicas)
    numbers = StreamNumbers()
    found = [
        numbers.of(each.streams, np.arange(len(each.streams), dtype=np.uint32))
        for each in replicas
    ]
    # Numbers have gaps; what is counted by stream needs them dense.
    _, dense = np.unique(np.concatenate(found), return_inverse=True)
    ends = np.cumsum([len(each) for each in found])
    return np.split(dense.astype(np.int64), ends[:-1])


def _are_equal(
    first_numbers: _Ints, first: Cells, numbers: _Ints, cells: Cells
) -> bool:
    """Return whether a replica holds what the first holds, of the same streams."""
    return first_numbers is numbers and (
        np.array_equal(first.total, cells.total)
        and np.array_equal(first.count, cells.count)
        and np.array_equal(first.slice, cells.slice)
        and np.array_equal(first.stream, cells.stream)
    )


def _fractions(
    numbers: Sequence[_Ints], replicas: Sequence[Replica], cells: Sequence[Cells]
) -> npt.NDArray[np.float64]:
    """Return a number in [0, 1) by stream, which tells who answers for it.

    Many entries are spread, by the streams' places in the order of fingerprints.
    Few have one for all, by the first stream: so questions go to all replicas,
    and equal ones to the same.
    """
    streams_count = max(int(own.max(initial=-1)) for own in numbers) + 1
    prints = np.zeros(streams_count, np.uint64)
    for own, replica in zip(numbers, replicas, strict=True):
        prints[own] = [each.fingerprint for each in replica.streams]
    rows = sum(int(each.count.sum()) for each in cells)
    if rows < SPREAD_ROWS_MIN * len(cells):
        least = int(prints.min()) if streams_count else 0
        return np.full(streams_count, least % _FRACTIONS / _FRACTIONS)
    place = np.empty(streams_count)
    place[np.argsort(prints, kind="stable")] = np.arange(streams_count)
    return place / max(streams_count, 1)


def _spans_of(doubtful: _Ints, shift: int) -> tuple[Spans, Spans]:
    """Return the spans without the slices, and those of the slices."""
    if not len(doubtful):
        return ALWAYS, ()
    gaps = np.diff(doubtful)
    cuts = np.flatnonzero(gaps > 1)
    if len(cuts) >= SPANS_MAX:
        cuts = np.sort(cuts[np.argsort(gaps[cuts], kind="stable")[1 - SPANS_MAX :]])
    first = [int(doubtful[0]), *doubtful[cuts + 1].tolist()]
    last = [*doubtful[cuts].tolist(), int(doubtful[-1])]
    unequal = tuple(
        (start << shift, (end + 1) << shift)
        for start, end in zip(first, last, strict=True)
    )
    edges = [FIRST_NS, *(edge for span in unequal for edge in span), END_NS]
    equal = tuple(zip(edges[::2], edges[1::2], strict=True))
    return equal, unequal


def _cut(units: Sequence[ScanUnit], share: Share) -> list[ScanUnit]:
    """Return the units' shares, where they have any."""
    cut = (shared(unit, share) for unit in units)
    return [unit for unit in cut if unit is not None]
