"""Scan units over block files: what a query may read of local disk."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loki_py.chunks.block_parts import BlockPart
from loki_py.chunks.line_runs import LineRuns
from loki_py.errors import CorruptData, DataUnreadable
from loki_py.ingester.block_search import searched
from loki_py.ingester.blockstore import BlockStore, LocalFile, TenantPart
from loki_py.ingester.selection import Wanted
from loki_py.model.batch import EntryBatch, StreamIndex, concat
from loki_py.model.labels import LabelSet
from loki_py.model.line_facts import LineFacts, RunsOfLines
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
from loki_py.model.unit_group import UnitGroup

_Ints = npt.NDArray[np.int64]

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
    def buffer(self) -> "pa.Buffer":
        return self.local.file.buffer

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
        batch = _read([self], columns, stats)[0]
        return replace(batch, facts=_facts_of([self], batch))

    def whole(self, columns: Columns, stats: ReadStats, *, joined: bool) -> EntryBatch:
        """Return all wanted rows, `joined` where other blocks of the file come too."""
        try:
            batch = self.local.file.read(self.part, columns, joined=joined)
        except CorruptData as error:
            raise self._unreadable(error) from error
        line_bytes = 0 if batch.line is None else batch.total_line_bytes()
        self._count(batch, len(batch), line_bytes, stats)
        return self._numbered(batch)

    def line_runs(self, part: BlockPart | None = None) -> LineRuns | None:
        """Return the lines in runs; None where they are not worth searching.

        Args:
            part: of which lines, if not of all.
        """
        try:
            return self.local.file.line_runs(part or self.part)
        except CorruptData as error:
            raise self._unreadable(error) from error

    def found(
        self,
        runs: LineRuns,
        hits: npt.NDArray[np.bool_],
        columns: Columns,
        stats: ReadStats,
    ) -> EntryBatch | None:
        """Return the wanted rows in some of the runs of lines; None for no rows.

        What was searched counts as read.
        """
        stats.blocks_searched += 1
        rows, line_bytes = int((runs.last - runs.first).sum()), int(runs.length.sum())
        if not hits.any():
            stats.blocks_without += 1
            stats.block_rows += rows
            stats.block_bytes += line_bytes
            self.store.note_read(line_bytes)
            return None
        try:
            batch = self.local.file.read_rows(self.part, columns, runs, hits)
        except CorruptData as error:
            raise self._unreadable(error) from error
        self._count(batch, rows, line_bytes, stats)
        return self._numbered(batch)

    def _count(
        self, batch: EntryBatch, rows: int, line_bytes: int, stats: ReadStats
    ) -> None:
        metadata_bytes = batch.total_metadata_bytes()
        stats.block_rows += rows
        stats.block_bytes += line_bytes
        stats.metadata_bytes += metadata_bytes
        self.store.note_read(line_bytes + metadata_bytes + 8 * rows)

    def _numbered(self, batch: EntryBatch) -> EntryBatch:
        return replace(
            batch,
            streams=self.wanted.streams,
            stream=self.local_of_position[batch.stream],
        )

    def read_times(
        self, columns: Columns, stats: ReadStats
    ) -> Sequence[TimeRuns] | None:
        """Return the runs of the block, times lying in the mapped file."""
        return _read_times([self], columns, stats)

    def time_runs(self, columns: Columns) -> tuple[StreamIndex, _Ints, _Ints] | None:
        """Return the runs of the block as its file has them."""
        try:
            return self.local.file.time_runs(self.part, columns)
        except CorruptData as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: CorruptData) -> DataUnreadable:
        return DataUnreadable(
            f"block {self.part.block} of {self.local.path.name} is damaged: {error}"
        )


@dataclass(frozen=True, slots=True)
class BlockGroup(UnitGroup[BlockUnit], LargeUnit, ShareableUnit, TimedUnit):
    """Neighbouring blocks of one file of which a scan wants little each."""

    @property
    def runs(self) -> StreamRuns:
        runs = [unit.part.runs for unit in self.units]
        stream = np.concatenate([each.stream for each in runs])
        return StreamRuns(
            self.units[0].local_of_position[stream],
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
        inside = [
            unit
            for unit in self.units
            if unit.max_ns >= start_ns and unit.min_ns < end_ns
        ]
        return BlockGroup(
            [
                replace(unit, part=_narrowed(unit.part, start_ns, end_ns))
                for unit in inside or self.units[:1]
            ]
        )

    def read(self, columns: Columns, stats: ReadStats) -> EntryBatch:
        """Return the wanted rows of all blocks, copied together."""
        batch = concat(_read(self.units, columns, stats))
        return replace(batch, facts=_facts_of(self.units, batch))

    def read_times(
        self, columns: Columns, stats: ReadStats
    ) -> Sequence[TimeRuns] | None:
        """Return the runs of all blocks."""
        return _read_times(self.units, columns, stats)


def _read_times(
    units: Sequence[BlockUnit], columns: Columns, stats: ReadStats
) -> Sequence[TimeRuns] | None:
    """Return the wanted runs of blocks of one file."""
    found = []
    for unit in units:
        runs = unit.time_runs(columns)
        if runs is None:
            return None
        found.append(runs)
    stream, first, last = map(np.concatenate, zip(*found, strict=True))
    rows = int((last - first).sum())
    stats.block_rows += rows
    of = units[0]
    of.store.note_read(8 * rows)
    numbers = of.local_of_position[stream]
    return [TimeRuns(of.streams, numbers, first, last, of.local.file.times.all)]


def _read(
    units: Sequence[BlockUnit], columns: Columns, stats: ReadStats
) -> Sequence[EntryBatch]:
    """Return the wanted rows of blocks of one file; one batch at least."""
    found = searched(units, columns, stats)
    if found is None:
        joined = len(units) > 1
        found = [unit.whole(columns, stats, joined=joined) for unit in units]
        found = [batch for batch in found if len(batch)] or found[:1]
    return found


def _facts_of(units: Sequence[BlockUnit], batch: EntryBatch) -> LineFacts | None:
    """Return what is known of the lines that blocks of one file have for a scan."""
    if batch.line is None:
        return None
    parts = [unit.part for unit in units]
    rows = np.concatenate([part.rows for part in parts])
    # A part that is cut, or that was searched, may not give all of its rows.
    is_whole = len(batch) == rows.sum() and not any(part.is_cut for part in parts)
    source = RunsOfLines(
        units[0].local.file.line_kinds,
        np.concatenate([part.run for part in parts]),
        rows if is_whole else None,
    )
    return LineFacts([source])


def _narrowed(part: BlockPart, start_ns: int, end_ns: int) -> BlockPart:
    return replace(
        part,
        start_ns=max(part.start_ns, start_ns),
        end_ns=min(part.end_ns, end_ns),
        min_ns=max(part.min_ns, start_ns),
        max_ns=min(part.max_ns, end_ns - 1),
        is_cut=True,
    )


@dataclass(frozen=True, slots=True)
class FileUnits:
    """What a file has for a scan.

    Attributes:
        units: none where no row is wanted.
        chunks: what blocks have of one stream each and the scan wants.
        skipped: chunks that it does not want.
    """

    units: Sequence[ScanUnit]
    chunks: int
    skipped: Skipped


def units_of_file(
    store: BlockStore,
    local: LocalFile,
    part: TenantPart,
    tenant: str,
    wanted: Wanted,
    *,
    with_lines: bool,
) -> FileUnits:
    """Return the file's units for a scan.

    Args:
        with_lines: whether the scan reads lines.
    """
    local_of_position = wanted.local_of_ref[part.refs]
    selects = local_of_position >= 0
    parts: Sequence[BlockPart] = ()
    if selects.any():
        parts = local.file.select(
            tenant,
            None if selects.all() else selects,
            start_ns=wanted.start_ns,
            end_ns=wanted.end_ns,
        )
    origin = store.origin_of(local, part)
    numbers = local_of_position.astype(np.uint32)
    units = [BlockUnit(wanted, store, local, numbers, each, origin) for each in parts]
    chunks = sum(len(each.runs.stream) for each in parts)
    return FileUnits(
        [
            group[0] if len(group) == 1 else BlockGroup(group)
            for group in _groups(units, with_lines=with_lines)
        ],
        chunks,
        _skipped(local, tenant, wanted, chunks),
    )


def _skipped(local: LocalFile, tenant: str, wanted: Wanted, matched: int) -> Skipped:
    """Return which chunks of the tenant a scan does not want."""
    runs = local.file.stream_runs(tenant)
    in_time = (runs.max_ns >= wanted.start_ns) & (runs.min_ns < wanted.end_ns)
    inside = int(np.count_nonzero(in_time))
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
