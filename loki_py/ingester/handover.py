"""Give a tenant's small unflushed data to other ingesters instead of uploading it.

An ingester that leaves for good would write one small pack for each tenant. What
is small goes to the next owners of its streams instead, which make it durable
before they answer and flush it with what they have.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

from loki_py.ingester.blockstore import LocalFile
from loki_py.ingester.flush_record import FlushRecord
from loki_py.ingester.selection import FIRST_NS, LAST_NS
from loki_py.model.batch import EntryBatch
from loki_py.model.scan import Columns

DUPLICATES_UNCOUNTED = 1
"""Nobody compared the files with each other: there may be some."""

_EVERYTHING = Columns()


class Successors(Protocol):
    """Who owns the streams of an ingester that leaves."""

    @property
    def line_bytes_max(self) -> int:
        """A tenant with more unflushed line bytes is uploaded."""
        ...

    async def store(self, tenant: str, batch: EntryBatch) -> None:
        """Return once every entry is on disk, fsynced, with its next owner.

        Raises: LokiError where that can not be had for all of them.
        """
        ...


def is_small(tenant: str, files: Sequence[LocalFile], successors: Successors) -> bool:
    """Whether what a tenant has in the files is to be handed over."""
    size_bytes = sum(local.parts[tenant].line_bytes for local in files)
    return size_bytes <= successors.line_bytes_max


def batches_of(tenant: str, files: Sequence[LocalFile]) -> Iterator[EntryBatch]:
    """Yield all entries of a tenant in the files, a block at a time. Blocking.

    Raises: CorruptData.
    """
    for local in files:
        parts = local.file.select(tenant, None, start_ns=FIRST_NS, end_ns=LAST_NS)
        for part in parts:
            yield local.file.read(part, _EVERYTHING)


def record_of(
    tenant: str, files: Sequence[LocalFile], *, ulid: str, now_ns: int
) -> FlushRecord:
    """Return the record of a hand-over: a flush that wrote no pack."""
    return FlushRecord(
        ulid=ulid,
        tenant=tenant,
        generations=tuple(local.generation for local in files),
        packs=(),
        flushed_ns=now_ns,
        duplicates=DUPLICATES_UNCOUNTED,
    )
