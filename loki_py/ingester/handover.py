"""Give small chunks to other ingesters instead of uploading them.

A chunk is what an ingester holds of one stream and has not flushed. One that
leaves for good would write them all to one small pack for each tenant. What is
small goes to the next owners of its stream instead, which make it durable before
they answer and flush it with what they have. Large chunks, and those that a next
owner refuses, are uploaded.
"""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from loki_py.errors import CorruptData
from loki_py.ingester.blockstore import LocalFile
from loki_py.ingester.flush_record import FlushRecord
from loki_py.ingester.flusher import stream_bytes_of
from loki_py.ingester.selection import FIRST_NS, LAST_NS
from loki_py.model.batch import EntryBatch
from loki_py.model.labels import LabelSet
from loki_py.model.scan import Columns
from loki_py.runtime.logs import logger_of

DUPLICATES_UNCOUNTED = 1
"""Nobody compared the files with each other: there may be some."""

_EVERYTHING = Columns()
_log = logger_of("ingester")


class Successors(Protocol):
    """Who owns the streams of an ingester that leaves."""

    @property
    def chunk_bytes_max(self) -> int:
        """A chunk with more line bytes is uploaded."""
        ...

    async def store(self, tenant: str, batch: EntryBatch) -> npt.NDArray[np.bool_]:
        """Return by position in the batch's `streams` which are taken over.

        Of these every entry is on disk, fsynced, with each next owner.
        """
        ...


async def handed_over(
    tenant: str, files: Sequence[LocalFile], successors: Successors
) -> frozenset[LabelSet]:
    """Return the streams all of whose entries in the files others have now."""
    wanted = small_chunks(tenant, files, bytes_max=successors.chunk_bytes_max)
    left = set(wanted)
    batches = batches_of(tenant, files, wanted)
    try:
        while left:
            batch = await asyncio.to_thread(next, batches, None)
            if batch is None:
                break
            # What was refused once will be uploaded whole.
            is_left = np.array([s in left for s in batch.streams], np.bool_)
            batch = batch.filter(is_left[batch.stream])
            if not len(batch):
                continue
            is_stored = await successors.store(tenant, batch)
            present = np.unique(batch.stream)
            refused = present[~is_stored[present]]
            left.difference_update([batch.streams[n] for n in refused.tolist()])
    except CorruptData as error:
        _log.warning("not handed over", tenant=tenant, reason=str(error))
        return frozenset()
    if wanted:
        _log.info(
            "handed over", tenant=tenant, chunks=len(left), refused=len(wanted - left)
        )
    return frozenset(left)


def small_chunks(
    tenant: str, files: Sequence[LocalFile], *, bytes_max: int
) -> frozenset[LabelSet]:
    """Return the streams with no more than about so many line bytes in all files."""
    sizes: dict[LabelSet, float] = {}
    for local in files:
        found = stream_bytes_of(local, tenant).tolist()
        for labels, size in zip(local.file.streams(tenant), found, strict=True):
            sizes[labels] = sizes.get(labels, 0) + size
    return frozenset(labels for labels, size in sizes.items() if size <= bytes_max)


def streams_of(tenant: str, files: Sequence[LocalFile]) -> frozenset[LabelSet]:
    """Return all streams of a tenant in the files."""
    return frozenset(s for local in files for s in local.file.streams(tenant))


def batches_of(
    tenant: str, files: Sequence[LocalFile], wanted: frozenset[LabelSet]
) -> Iterator[EntryBatch]:
    """Yield all entries of some streams in the files, a block at a time. Blocking.

    Raises: CorruptData.
    """
    for local in files:
        is_wanted = np.array(
            [s in wanted for s in local.file.streams(tenant)], np.bool_
        )
        if not is_wanted.any():
            continue
        parts = local.file.select(tenant, is_wanted, start_ns=FIRST_NS, end_ns=LAST_NS)
        for part in parts:
            batch = local.file.read(part, _EVERYTHING)
            if len(batch):
                yield batch


def record_of(
    tenant: str, files: Sequence[LocalFile], *, ulid: str, now_ns: int
) -> FlushRecord:
    """Return the record of a hand-over of everything: a flush that wrote no pack."""
    return FlushRecord(
        ulid=ulid,
        tenant=tenant,
        generations=tuple(local.generation for local in files),
        packs=(),
        flushed_ns=now_ns,
        duplicates=DUPLICATES_UNCOUNTED,
    )
