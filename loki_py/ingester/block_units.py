"""Scan units over block files: what a query may read of local disk."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loki_py.chunks.block_reader import BlockPart
from loki_py.errors import CorruptData, DataUnreadable
from loki_py.ingester.blockstore import BlockStore, LocalFile, TenantPart
from loki_py.ingester.selection import Wanted
from loki_py.model.batch import EntryBatch, StreamIndex
from loki_py.model.labels import LabelSet
from loki_py.model.scan import Columns, ReadStats, ScanUnit, StreamRuns


@dataclass(frozen=True, slots=True)
class BlockUnit:
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
        try:
            batch = self.local.file.read(self.part, columns)
        except CorruptData as error:
            raise DataUnreadable(
                f"block {self.part.block} of {self.local.path.name} is damaged: {error}"
            ) from error
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
    origin = store.origin_of(local, part)
    numbers = local_of_position.astype(np.uint32)
    return [BlockUnit(wanted, store, local, numbers, each, origin) for each in parts]
