"""Where the units of one scan may hold the same entry.

Only units of different origins can hold the same entry, and only where runs of
one stream overlap in time; runs that touch at one timestamp overlap. Finding
the overlaps looks at bounds alone, so sources that do not overlap cost one sort
of their runs and nothing else.

Pure: nothing is read here.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from loki_py.model.batch import EntryBatch, Rows, StreamIndex, Timestamps
from loki_py.model.labels import LabelSet
from loki_py.model.scan import ScanUnit, StreamRuns

_Ints = npt.NDArray[np.int64]
_Bools = npt.NDArray[np.bool_]


class StreamNumbers:
    """Numbers for label sets, the same for equal ones of different sources.

    Threads may ask at once: a label set gets its number in one step.
    """

    def __init__(self) -> None:
        self._serial = itertools.count()
        self._number_of: dict[LabelSet, int] = {}
        self._tables: dict[int, tuple[Sequence[LabelSet], _Ints]] = {}

    def of(self, streams: Sequence[LabelSet], stream: StreamIndex) -> _Ints:
        """Return the number of each position that `stream` names in `streams`."""
        known = self._tables.get(id(streams))
        if known is None:
            known = (streams, np.full(len(streams), -1, dtype=np.int64))
            self._tables[id(streams)] = known
        table = known[1]
        missing = table[stream] < 0
        if missing.any():
            for position in np.unique(stream[missing]).tolist():
                table[position] = self._number_of.setdefault(
                    streams[position], next(self._serial)
                )
        return table[stream]


@dataclass(frozen=True, slots=True)
class Window:
    """Where rows of one unit may be duplicates of rows of earlier units.

    Attributes:
        peers: positions of the earlier units.
        runs: the hull of what overlaps, one run a stream, in stream order.
    """

    peers: Sequence[int]
    runs: StreamRuns

    @property
    def min_ns(self) -> int:
        """The oldest time of any stream's window."""
        return int(self.runs.min_ns.min())

    @property
    def max_ns(self) -> int:
        """The newest."""
        return int(self.runs.max_ns.max())

    def rows_in_time(self, timestamp_ns: Timestamps) -> Rows:
        """Return the rows that could lie in a window, judged by time alone."""
        return np.flatnonzero(
            (timestamp_ns >= self.min_ns) & (timestamp_ns <= self.max_ns)
        )

    def rows_of(self, batch: EntryBatch) -> Rows:
        """Return the rows that lie in the window of their stream."""
        rows = self.rows_in_time(batch.timestamp_ns)
        return rows[self._contains(batch.stream[rows], batch.timestamp_ns[rows])]

    def _contains(self, stream: StreamIndex, timestamp_ns: Timestamps) -> _Bools:
        last = len(self.runs.stream) - 1
        at = np.minimum(np.searchsorted(self.runs.stream, stream), last)
        found: _Bools = (
            (self.runs.stream[at] == stream)
            & (timestamp_ns >= self.runs.min_ns[at])
            & (timestamp_ns <= self.runs.max_ns[at])
        )
        return found


@dataclass(frozen=True, slots=True)
class Overlaps:
    """The runs that overlap runs of other origins, grouped into clusters.

    A cluster is a maximal set of runs of one stream in which each overlaps
    another, of whatever origin; only clusters of two origins or more are kept.

    Attributes:
        unit: position of the unit that the run belongs to, by cluster.
        origin: number of its origin.
        stream: position of the stream in that unit's `streams`.
        min_ns, max_ns: the run's bounds.
        cluster_start, cluster_end: the run's cluster is rows [start, end).
    """

    unit: _Ints
    origin: _Ints
    stream: StreamIndex
    min_ns: Timestamps
    max_ns: Timestamps
    cluster_start: _Ints
    cluster_end: _Ints

    def later_units(self) -> list[int]:
        """Return the positions of units that overlap a unit before them, about.

        Units that only come before those they overlap are not among them.
        """
        starts = np.unique(self.cluster_start)
        sizes = self.cluster_end[starts] - starts
        first = np.repeat(np.minimum.reduceat(self.unit, starts), sizes)
        later: list[int] = np.unique(self.unit[self.unit > first]).tolist()
        return later

    def window_of(self, unit: int) -> Window | None:
        """Return where the unit overlaps units before it, None for nowhere."""
        return self._window(unit, units_end=unit)

    def edge_of(self, unit: int) -> Window | None:
        """Return where the unit overlaps any other unit, None for nowhere."""
        return self._window(unit, units_end=int(self.unit.max()) + 1)

    def _window(self, unit: int, *, units_end: int) -> Window | None:
        mine = np.flatnonzero(self.unit == unit)
        counts = self.cluster_end[mine] - self.cluster_start[mine]
        own = np.repeat(mine, counts)
        firsts = np.cumsum(counts) - counts
        other = np.arange(len(own)) + np.repeat(
            self.cluster_start[mine] - firsts, counts
        )
        low = np.maximum(self.min_ns[own], self.min_ns[other])
        high = np.minimum(self.max_ns[own], self.max_ns[other])
        real = (self.unit[other] < units_end) & (low <= high)
        real &= self.origin[other] != self.origin[own]
        if not real.any():
            return None
        stream, low, high = self.stream[own[real]], low[real], high[real]
        hull = StreamRuns.of(
            np.concatenate((stream, stream)), np.concatenate((low, high))
        )
        by_stream = np.argsort(hull.stream, kind="stable")
        return Window(
            np.unique(self.unit[other[real]]).tolist(),
            _one_run_a_stream(hull, by_stream),
        )


def overlaps_of(units: Sequence[ScanUnit], numbers: StreamNumbers) -> Overlaps | None:
    """Return where units of different origins overlap, None for nowhere."""
    origin_numbers: dict[str, int] = {}
    origin_of = [
        origin_numbers.setdefault(u.origin, len(origin_numbers)) for u in units
    ]
    if len(origin_numbers) < 2:
        return None
    runs = [unit.runs for unit in units]
    counts = [len(run.stream) for run in runs]
    number = np.concatenate(
        [
            numbers.of(unit.streams, run.stream)
            for unit, run in zip(units, runs, strict=True)
        ]
    )
    low = np.concatenate([run.min_ns for run in runs])
    high = np.concatenate([run.max_ns for run in runs])
    order, starts = _clusters(number, low, high)
    if len(order) == 0:
        return None
    origin = np.repeat(np.array(origin_of, dtype=np.int64), counts)[order]
    ends = np.append(starts[1:], len(order))
    mixed = np.minimum.reduceat(origin, starts) != np.maximum.reduceat(origin, starts)
    if not mixed.any():
        return None
    sizes = (ends - starts)[mixed]
    kept = np.repeat(mixed, ends - starts)
    cluster_end = np.cumsum(sizes)
    order = order[kept]
    return Overlaps(
        np.repeat(np.arange(len(units)), counts)[order],
        origin[kept],
        np.concatenate([run.stream for run in runs])[order],
        low[order],
        high[order],
        np.repeat(cluster_end - sizes, sizes),
        np.repeat(cluster_end, sizes),
    )


def _clusters(number: _Ints, low: Timestamps, high: Timestamps) -> tuple[_Ints, _Ints]:
    """Return the runs in cluster order, and where each cluster starts in it.

    Bounds become ranks within one number line that puts every stream after the
    one before it: then one running maximum serves all streams.
    """
    order = np.lexsort((low, number))
    sorted_high = np.sort(high)
    line = number[order] * (len(high) + 1)
    low_rank = line + np.searchsorted(sorted_high, low[order])
    high_rank = line + np.searchsorted(sorted_high, high[order])
    reach = np.maximum.accumulate(high_rank)
    opens = np.ones(len(order), dtype=np.bool_)
    opens[1:] = low_rank[1:] > reach[:-1]
    return order, np.flatnonzero(opens)


def _one_run_a_stream(runs: StreamRuns, order: npt.NDArray[np.intp]) -> StreamRuns:
    stream = runs.stream[order]
    starts = np.flatnonzero(np.concatenate(([True], stream[1:] != stream[:-1])))
    return StreamRuns(
        stream[starts],
        np.minimum.reduceat(runs.min_ns[order], starts),
        np.maximum.reduceat(runs.max_ns[order], starts),
    )
