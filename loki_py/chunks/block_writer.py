"""Write a block file: sorted batches in, buffers to write out."""

from collections.abc import Iterable, Iterator

import pyarrow as pa

from loki_py.chunks.blocks import BlockFileHeader
from loki_py.model.batch import EntryBatch


def encode_block_file(
    header: BlockFileHeader, batches: Iterable[tuple[str, EntryBatch]]
) -> Iterator[pa.Buffer | bytes]:
    """Yield, in order, the buffers that make up one block file.

    The caller writes them to a temporary name, fsyncs and renames; a file that
    is not whole is refused by `BlockFile.open`.

    Args:
        batches: (tenant, batch); each tenant at most once and in ascending
            order, each batch as `sort_and_deduplicate` returns it; batches
            without rows are skipped. Taken one by one, so that a generator
            keeps only one tenant's batch alive.
    """
    raise NotImplementedError
