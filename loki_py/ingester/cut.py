"""Cut a sealed generation: heads in, the buffers of one block file out. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from loki_py.chunks.block_writer import encode_block_file
from loki_py.chunks.blocks import BlockFileHeader
from loki_py.chunks.sorting import sort_and_deduplicate
from loki_py.encoding.checksum import Buffer
from loki_py.ingester.generation import Generation
from loki_py.ingester.selection import Wanted, all_of, selected_of
from loki_py.ingester.stream_table import StreamTable
from loki_py.model.batch import EntryBatch


@dataclass(frozen=True, slots=True)
class HeadSnapshot:
    """A sealed head and its streams, free of anything that still changes."""

    tenant: str
    wanted: Wanted
    pieces: Sequence[EntryBatch]


@dataclass(slots=True)
class CutResult:
    """What was found while cutting.

    Attributes:
        duplicates: entries dropped because they were there already.
        entries: entries kept.
    """

    duplicates: int = 0
    entries: int = 0


def snapshots_of(
    generation: Generation, tables: dict[str, StreamTable]
) -> list[HeadSnapshot]:
    """Return what a cut needs, by tenant in ascending order.

    Called where the tables are changed, so that the cut itself may run beside.
    """
    return [
        HeadSnapshot(tenant, all_of(head.refs(), tables[tenant]), head.pieces())
        for tenant, head in sorted(generation.heads.items())
        if head.rows
    ]


def encode_generation(
    header: BlockFileHeader,
    snapshots: Sequence[HeadSnapshot],
    result: CutResult,
    *,
    block_bytes: int,
) -> Iterator[Buffer]:
    """Yield the buffers of the generation's block file; `result` fills meanwhile."""

    def batches() -> Iterator[tuple[str, EntryBatch]]:
        for snapshot in snapshots:
            whole = selected_of(snapshot.pieces, snapshot.wanted)
            assert whole is not None
            batch, dropped = sort_and_deduplicate(whole)
            del whole
            result.duplicates += dropped
            result.entries += len(batch)
            yield snapshot.tenant, batch

    yield from encode_block_file(header, batches(), block_bytes=block_bytes)
