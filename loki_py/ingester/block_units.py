"""Scan units over block files: what a query may read of local disk."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loki_py.chunks.block_reader import BlockPart
from loki_py.ingester.blockstore import BlockStore, LocalFile, TenantPart
from loki_py.ingester.selection import Wanted, empty_batch
from loki_py.ingester.stream_table import Refs
from loki_py.model.batch import EntryBatch, concat
from loki_py.model.labels import LabelSet
from loki_py.model.scan import Columns, ReadStats, ScanUnit, StreamRuns

UNIT_LINE_BYTES = 8 << 20
"""Lines that one unit holds at least, where the file has as many."""


@dataclass(frozen=True, slots=True)
class BlockUnit:
    """Neighbouring blocks of one file, as far as a scan wants them."""

    wanted: Wanted
    store: BlockStore
    local: LocalFile
    refs: Refs
    parts: Sequence[BlockPart]
    runs: StreamRuns
    origin: str

    @property
    def streams(self) -> Sequence[LabelSet]:
        return self.wanted.streams

    @property
    def min_ns(self) -> int:
        return min(part.min_ns for part in self.parts)

    @property
    def max_ns(self) -> int:
        return max(part.max_ns for part in self.parts)

    @property
    def rows_max(self) -> int:
        return sum(part.rows_max for part in self.parts)

    def read(self, columns: Columns, stats: ReadStats) -> EntryBatch:
        """Return the wanted rows, columns lying in the mapped file where they can."""
        batches = [self.local.file.read(part, columns) for part in self.parts]
        batch = concat([each for each in batches if len(each)] or batches[:1])
        if not len(batch):
            return empty_batch(self.wanted.streams)
        line_bytes = 0 if batch.line is None else int(batch.line_bytes().sum())
        metadata_bytes = int(batch.metadata_bytes().sum())
        stats.block_rows += len(batch)
        stats.block_bytes += line_bytes
        stats.metadata_bytes += metadata_bytes
        self.store.note_read(line_bytes + metadata_bytes + 8 * len(batch))
        local_of_position = self.wanted.local_of_ref[self.refs].astype(np.uint32)
        return EntryBatch(
            self.wanted.streams,
            local_of_position[batch.stream],
            batch.timestamp_ns,
            batch.line,
            batch.metadata,
            batch.metadata_rest,
        )


def units_of_file(
    store: BlockStore, local: LocalFile, part: TenantPart, tenant: str, wanted: Wanted
) -> list[ScanUnit]:
    """Return the file's units for a scan; none where it has no wanted row."""
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
    origin = f"blocks/{local.generation}"
    units: list[ScanUnit] = []
    for group in _groups(parts):
        runs = StreamRuns(
            local_of_position[
                np.concatenate([each.runs.stream for each in group])
            ].astype(np.uint32),
            np.concatenate([each.runs.min_ns for each in group]),
            np.concatenate([each.runs.max_ns for each in group]),
        )
        units.append(BlockUnit(wanted, store, local, part.refs, group, runs, origin))
    return units


def _groups(parts: Sequence[BlockPart]) -> list[list[BlockPart]]:
    groups: list[list[BlockPart]] = []
    line_bytes = UNIT_LINE_BYTES
    for part in parts:
        if line_bytes >= UNIT_LINE_BYTES:
            groups.append([])
            line_bytes = 0
        groups[-1].append(part)
        line_bytes += part.line_bytes
    return groups
