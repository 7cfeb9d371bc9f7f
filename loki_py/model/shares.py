"""Shares: which rows of a selection one replica answers for.

Replicas that hold the same share them out: each answers for some streams. Where
they differ, in some time, all answer and are compared.

Pure.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from loki_py.model.batch import EntryBatch
from loki_py.model.labels import LabelSet
from loki_py.model.scan import Columns, LargeUnit, ReadStats, ScanUnit, StreamRuns

Flags = npt.NDArray[np.bool_]
Spans = tuple[tuple[int, int], ...]

FIRST_NS = int(np.iinfo(np.int64).min)
END_NS = int(np.iinfo(np.int64).max)
ALWAYS: Spans = ((FIRST_NS, END_NS),)


@dataclass(frozen=True, slots=True, eq=False)
class Share:
    """Rows of some streams in some spans of time.

    Attributes:
        streams: bool by position in the selection's streams.
        spans: half-open, ascending, apart.
        is_whole: whether every row is in the share.
    """

    streams: Flags
    spans: Spans
    is_whole: bool = field(init=False)

    def __post_init__(self) -> None:
        is_whole = self.spans == ALWAYS and bool(self.streams.all())
        # Asked for once a unit.
        object.__setattr__(self, "is_whole", is_whole)

    def runs_of(self, runs: StreamRuns) -> StreamRuns:
        """Return the runs, cut to the share."""
        if self.is_whole:
            return runs
        mine = self.streams[runs.stream]
        stream, low, high = runs.stream[mine], runs.min_ns[mine], runs.max_ns[mine]
        if not len(stream):
            return StreamRuns(stream, low, high)
        streams, lows, highs = [], [], []
        for start_ns, end_ns in self.spans:
            cut_low, cut_high = np.maximum(low, start_ns), np.minimum(high, end_ns - 1)
            inside = cut_low <= cut_high
            streams.append(stream[inside])
            lows.append(cut_low[inside])
            highs.append(cut_high[inside])
        return StreamRuns(
            np.concatenate(streams), np.concatenate(lows), np.concatenate(highs)
        )

    def rows_of(self, batch: EntryBatch) -> EntryBatch:
        """Return the rows that are in the share."""
        times = batch.timestamp_ns
        if not len(times):
            return batch
        has_all = bool(self.streams.all())
        low, high = int(times.min()), int(times.max())
        if any(start <= low and high < end for start, end in self.spans):
            return batch if has_all else batch.filter(self.streams[batch.stream])
        starts = np.array([start for start, _ in self.spans])
        ends = np.array([end for _, end in self.spans])
        at = np.searchsorted(starts, times, side="right") - 1
        mask = (at >= 0) & (times < ends[at])
        return batch.filter(mask if has_all else mask & self.streams[batch.stream])


class ShareableUnit(ABC):
    """A unit that knows best how to be cut to a share of its rows."""

    @abstractmethod
    def shared(self, share: Share) -> ScanUnit | None:
        """Return the unit of the rows in the share; None where there are none."""


def shared(unit: ScanUnit, share: Share) -> ScanUnit | None:
    """Return the unit of the rows in the share; None where there are none."""
    if isinstance(unit, ShareableUnit):
        return unit.shared(share)
    return UnitShare.of(unit, share)


@dataclass(frozen=True, slots=True)
class UnitShare(LargeUnit):
    """The rows of a unit that are in a share; `runs` are those of the share."""

    unit: ScanUnit
    share: Share
    runs: StreamRuns

    @classmethod
    def of(cls, unit: ScanUnit, share: Share) -> ScanUnit | None:
        """Return the unit's share: the unit itself, a part of it, None for nothing."""
        all_runs = unit.runs
        runs = share.runs_of(all_runs)
        if not len(runs.stream):
            return None
        low, high = unit.min_ns, unit.max_ns
        is_in_time = any(start <= low and high < end for start, end in share.spans)
        if is_in_time and share.streams[all_runs.stream].all():
            return unit
        return cls(unit, share, runs)

    @property
    def streams(self) -> Sequence[LabelSet]:
        return self.unit.streams

    @property
    def min_ns(self) -> int:
        return int(self.runs.min_ns.min())

    @property
    def max_ns(self) -> int:
        return int(self.runs.max_ns.max())

    @property
    def rows_max(self) -> int:
        return self.unit.rows_max

    @property
    def origin(self) -> str:
        return self.unit.origin

    def pieces(self) -> Sequence[ScanUnit]:
        """Return the shares of the unit's pieces."""
        if not isinstance(self.unit, LargeUnit):
            return [self]
        cut = [UnitShare.of(piece, self.share) for piece in self.unit.pieces()]
        return [piece for piece in cut if piece is not None]

    def narrowed(self, *, start_ns: int, end_ns: int) -> ScanUnit:
        """Return the share of the unit in a narrower time."""
        if not isinstance(self.unit, LargeUnit):
            return self
        unit = self.unit.narrowed(start_ns=start_ns, end_ns=end_ns)
        return UnitShare.of(unit, self.share) or self

    def read(self, columns: Columns, stats: ReadStats) -> EntryBatch:
        """Return the rows in the share; what is read beside them counts too."""
        return self.share.rows_of(self.unit.read(columns, stats))
