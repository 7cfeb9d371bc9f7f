"""Scan units over block files: what a query may read of local disk."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from loki_py.chunks.block_reader import BlockPart
from loki_py.errors import CorruptData, DataUnreadable
from loki_py.ingester.blockstore import BlockStore, LocalFile, TenantPart
from loki_py.ingester.selection import Wanted
from loki_py.model.batch import EntryBatch, StreamIndex, concat
from loki_py.model.labels import LabelSet
from loki_py.model.scan import (
    Columns,
    LargeUnit,
    ReadStats,
    ScanUnit,
    Skipped,
    StreamRuns,
    TimedUnit,
    TimeRuns,
)
from loki_py.model.shares import Share, ShareableUnit, UnitShare

UNIT_LINE_BYTES = 16 << 20
"""Lines that one unit has at most, unless a single block has more."""

UNIT_ROWS_MAX = 90_000
"""Rows that one unit has at most where lines are not read, and bytes mean little."""


@dataclass(frozen=True, slots=True)
class BlockUnit(TimedUnit):
    """One block of a file, as far as a scan wants it."""

    wanted: Wanted
    store: BlockStore
    local: LocalFile
    local_of_position: StreamIndex
    part: BlockPart
    origin: str

    @property
    def streams(self) -> Sequence[LabelSet]:
        return self.wanted.streams

    @property
    def min_ns(self) -> int:
        return self.part.min_ns

    @property
    def max_ns(self) -> int:
        return self.part.max_ns

    @property
    def rows_max(self) -> int:
        return self.part.rows_max

    @property
    def runs(self) -> StreamRuns:
        runs = self.part.runs
        return StreamRuns(self.local_of_position[runs.stream], runs.min_ns, runs.max_ns)

    def read(self, columns: Columns, stats: ReadStats) -> EntryBatch:
        """Return the wanted rows, columns lying in the mapped file where they can."""
        return self.read_one(columns, stats, joined=False)

    def read_one(
        self, columns: Columns, stats: ReadStats, *, joined: bool
    ) -> EntryBatch:
        """Return the same, `joined` where other blocks of the file come with it."""
        try:
            batch = self.local.file.read(self.part, columns, joined=joined)
        except CorruptData as error:
            raise self._unreadable(error) from error
        line_bytes = 0 if batch.line is None else batch.total_line_bytes()
        metadata_bytes = batch.total_metadata_bytes()
        stats.block_rows += len(batch)
        stats.block_bytes += line_bytes
        stats.metadata_bytes += metadata_bytes
        self.store.note_read(line_bytes + metadata_bytes + 8 * len(batch))
        return EntryBatch(
            self.wanted.streams,
            self.local_of_position[batch.stream],
            batch.timestamp_ns,
            batch.line,
            batch.metadata,
            batch.metadata_rest,
        )

    def read_times(
        self, columns: Columns, stats: ReadStats
    ) -> Sequence[TimeRuns] | None:
        """Return the runs of the block, times lying in the mapped file."""
        try:
            found = self.local.file.times(self.part, columns)
        except CorruptData as error:
            raise self._unreadable(error) from error
        if found is None:
            return None
        stream, first, last, timestamp_ns = found
        rows = int((last - first).sum())
        stats.block_rows += rows
        self.store.note_read(8 * rows)
        numbers = self.local_of_position[stream]
        return [TimeRuns(self.wanted.streams, numbers, first, last, timestamp_ns)]

    def _unreadable(self, error: CorruptData) -> DataUnreadable:
        return DataUnreadable(
            f"block {self.part.block} of {self.local.path.name} is damaged: {error}"
        )


@dataclass(frozen=True, slots=True)
class BlockGroup(LargeUnit, ShareableUnit, TimedUnit):
    """Neighbouring blocks of one file of which a scan wants little each."""

    units: Sequence[BlockUnit]

    @property
    def streams(self) -> Sequence[LabelSet]:
        return self.units[0].streams

    @property
    def origin(self) -> str:
        return self.units[0].origin

    @property
    def min_ns(self) -> int:
        return min(unit.min_ns for unit in self.units)

    @property
    def max_ns(self) -> int:
        return max(unit.max_ns for unit in self.units)

    @property
    def rows_max(self) -> int:
        return sum(unit.rows_max for unit in self.units)

    @property
    def runs(self) -> StreamRuns:
        runs = [unit.runs for unit in self.units]
        return StreamRuns(
            np.concatenate([each.stream for each in runs]),
            np.concatenate([each.min_ns for each in runs]),
            np.concatenate([each.max_ns for each in runs]),
        )

    def pieces(self) -> Sequence[ScanUnit]:
        """Return the blocks one by one."""
        return self.units

    def shared(self, share: Share) -> ScanUnit | None:
        """Return the blocks with rows in the share; see `ShareableUnit`."""
        mine = [unit for unit in self.units if len(share.runs_of(unit.runs).stream)]
        if not mine:
            return None
        return UnitShare.of(mine[0] if len(mine) == 1 else BlockGroup(mine), share)

    def narrowed(self, *, start_ns: int, end_ns: int) -> ScanUnit:
        """Return a unit of the rows with times in [start_ns, end_ns)."""
        return BlockGroup(
            [
                replace(unit, part=_narrowed(unit.part, start_ns, end_ns))
                for unit in self.units
            ]
        )

    def read(self, columns: Columns, stats: ReadStats) -> EntryBatch:
        """Return the wanted rows of all blocks, copied together."""
        batches = [unit.read_one(columns, stats, joined=True) for unit in self.units]
        return concat([batch for batch in batches if len(batch)] or batches[:1])

    def read_times(
        self, columns: Columns, stats: ReadStats
    ) -> Sequence[TimeRuns] | None:
        """Return the runs of all blocks."""
        own = ReadStats()
        found: list[TimeRuns] = []
        for unit in self.units:
            runs = unit.read_times(columns, own)
            if runs is None:
                return None
            found += runs
        stats.add(own)
        return found


def _narrowed(part: BlockPart, start_ns: int, end_ns: int) -> BlockPart:
    return replace(
        part,
        start_ns=max(part.start_ns, start_ns),
        end_ns=min(part.end_ns, end_ns),
        min_ns=max(part.min_ns, start_ns),
        max_ns=min(part.max_ns, end_ns - 1),
        is_cut=True,
    )


def units_of_file(
    store: BlockStore,
    local: LocalFile,
    part: TenantPart,
    tenant: str,
    wanted: Wanted,
    *,
    with_lines: bool,
) -> list[ScanUnit]:
    """Return the file's units for a scan; none where it has no wanted row.

    Args:
        with_lines: whether the scan reads lines.
    """
    local_of_position = wanted.local_of_ref[part.refs]
    selects = local_of_position >= 0
    if not selects.any():
        return []
    parts = local.file.select(
        tenant,
        None if selects.all() else selects,
        start_ns=wanted.start_ns,
        end_ns=wanted.end_ns,
    )
    origin = store.origin_of(local, part)
    numbers = local_of_position.astype(np.uint32)
    units = [BlockUnit(wanted, store, local, numbers, each, origin) for each in parts]
    return [
        group[0] if len(group) == 1 else BlockGroup(group)
        for group in _groups(units, with_lines=with_lines)
    ]


def skipped_of_file(
    local: LocalFile, tenant: str, wanted: Wanted, units: Sequence[ScanUnit]
) -> Skipped:
    """Return which runs of the tenant are in none of the file's units for a scan."""
    runs = local.file.stream_runs(tenant)
    in_time = (runs.max_ns >= wanted.start_ns) & (runs.min_ns < wanted.end_ns)
    inside = int(np.count_nonzero(in_time))
    matched = sum(len(unit.runs.stream) for unit in units)
    return Skipped(outside_time=len(in_time) - inside, other_streams=inside - matched)


def _groups(units: Sequence[BlockUnit], *, with_lines: bool) -> list[list[BlockUnit]]:
    """Return neighbours together, as long as they are little."""
    most = UNIT_LINE_BYTES if with_lines else UNIT_ROWS_MAX
    groups: list[list[BlockUnit]] = []
    held = most
    for unit in units:
        size = unit.part.line_bytes if with_lines else unit.part.rows_max
        if held + size > most:
            groups.append([])
            held = 0
        groups[-1].append(unit)
        held += size
    return groups
