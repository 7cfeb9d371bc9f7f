"""Write a tenant's block files to the object store as packs and an index file.

Blocking; runs on a worker thread. Owns nothing but a temporary file per pack.
The order is pack, then index, then the local flush record: a crash in between
leaves entries twice at worst, never nowhere, and reading drops duplicates.
"""

import io
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from loki_py.chunks.pack_writer import ByteSink, PackSummary, PackWriter
from loki_py.chunks.sorting import sort_and_deduplicate
from loki_py.index.files import PackEntry, encode_index_file
from loki_py.ingester.blockstore import LocalFile
from loki_py.ingester.flush_record import FlushRecord
from loki_py.ingester.selection import FIRST_NS, LAST_NS
from loki_py.ingester.slices import (
    SLICE_LINE_BYTES,
    Slice,
    StreamSize,
    slices_of,
)
from loki_py.model.batch import EntryBatch, Timestamps, concat
from loki_py.model.labels import LabelSet
from loki_py.model.object_keys import index_key, pack_key, ulid_of
from loki_py.model.scan import Columns
from loki_py.runtime.clock import Clock
from loki_py.storage.abc import ObjectStore

PACK_LINE_BYTES_MAX = 1 << 30
"""Lines after which a flush goes on in another pack."""

PACK_LINE_BYTES_MIN = SLICE_LINE_BYTES
"""The same where the local disk, on which packs are put together, is full."""

ROOM_BYTES_MIN = 4 * PACK_LINE_BYTES_MIN
"""Where the disk has less, packs are so small, and put together in memory."""

_TIMES_ONLY = Columns(line=False, metadata=frozenset())
_ULID_RANDOM_BYTES = 10


@dataclass(frozen=True, slots=True)
class FlushOutcome:
    """What a flush wrote, durably.

    Attributes:
        record: to be kept beside the block files.
        index_key: the index file's key.
        index: the index file's bytes.
        chunks_count: chunks in it.
    """

    record: FlushRecord
    index_key: str
    index: bytes
    chunks_count: int


class _Source:
    """One block file as a flush sees it: streams by number of the flush."""

    def __init__(
        self, local: LocalFile, tenant: str, numbers: dict[LabelSet, int]
    ) -> None:
        self._local = local
        self._file = local.file
        self._tenant = tenant
        streams = local.file.streams(tenant)
        self._number_of = np.array(
            [numbers.setdefault(labels, len(numbers)) for labels in streams], np.uint32
        )
        self.metadata_names = local.file.metadata_names(tenant)
        self.has_rest = local.file.has_rest(tenant)

    def release_pages(self) -> None:
        """Give the mapped pages back: what was read is not read again."""
        self._local.release_pages()

    def line_bytes_by_number(self, totals: "np.typing.NDArray[np.float64]") -> None:
        """Add about how many line bytes each stream has; exact per block."""
        np.add.at(totals, self._number_of, stream_bytes_of(self._local, self._tenant))

    def read(
        self, part: Slice, columns: Columns, streams: Sequence[LabelSet]
    ) -> Iterator[EntryBatch]:
        """Yield the slice's rows, stream numbers being those of the flush."""
        wanted = np.isin(self._number_of, np.array(part.numbers, np.uint32))
        if not wanted.any():
            return
        found = self._file.select(
            self._tenant, wanted, start_ns=part.start_ns, end_ns=part.end_ns
        )
        for each in found:
            batch = self._file.read(each, columns)
            yield EntryBatch(
                streams,
                self._number_of[batch.stream],
                batch.timestamp_ns,
                batch.line,
                batch.metadata,
                batch.metadata_rest,
            )


def stream_bytes_of(local: LocalFile, tenant: str) -> "np.typing.NDArray[np.float64]":
    """Return about how many line bytes each stream has; exact per block."""
    totals = np.zeros(len(local.file.streams(tenant)), np.float64)
    parts = local.file.select(tenant, None, start_ns=FIRST_NS, end_ns=LAST_NS)
    for part in parts:
        per_row = part.line_bytes / max(part.rows_max, 1)
        np.add.at(totals, part.runs.stream, part.rows * per_row)
    return totals


def pack_line_bytes_max(free_bytes: int) -> int:
    """Return how many lines a pack may have where a disk has so much room.

    Lines are compressed; where they can not be, half of the room is enough. So
    what filled a disk while the object store was away can leave it.
    """
    if free_bytes < ROOM_BYTES_MIN:
        return PACK_LINE_BYTES_MIN
    return min(PACK_LINE_BYTES_MAX, free_bytes // 2)


class Flusher:
    """Flushes one tenant's files at a time.

    Args:
        store: where packs and index files go.
        instance_id: who writes, part of every key.
        folder: where packs are put together.
        free_bytes: how much room there is.
    """

    def __init__(
        self,
        store: ObjectStore,
        instance_id: str,
        folder: Path,
        *,
        free_bytes: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free,
    ) -> None:
        self._store = store
        self._instance_id = instance_id
        self._folder = folder
        self._free_bytes = free_bytes

    def start(self) -> None:
        """Make the folder and remove what an interrupted flush left in it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for leftover in self._folder.iterdir():
            leftover.unlink()

    def flush(
        self,
        tenant: str,
        files: Sequence[LocalFile],
        *,
        clock: Clock,
        without: frozenset[LabelSet] = frozenset(),
    ) -> FlushOutcome:
        """Write the entries of the tenant in these files; durable on return.

        Args:
            clock: tells when it began, and when all of it was durable.
            without: streams that are durable elsewhere; not all there are.

        Raises: CorruptData where a block changed on disk; OSError, Unavailable
            where the store refuses. Nothing is visible then.
        """
        now_ns = clock.now_ns()
        numbers: dict[LabelSet, int] = {}
        sources = [_Source(local, tenant, numbers) for local in files]
        batches = _Ahead(self._batches(sources, tuple(numbers), without))
        packs: list[PackEntry] = []
        while batches.has_next:
            packs.append(self._write_pack(tenant, sources, batches, now_ns=now_ns))
        ulid = _new_ulid(now_ns)
        key = index_key(tenant, now_ns=now_ns, ulid=ulid, writer=self._instance_id)
        index = encode_index_file(packs, tenant=tenant, writer=self._instance_id)
        self._store.put(key, index)
        record = FlushRecord(
            ulid=ulid,
            tenant=tenant,
            generations=tuple(local.generation for local in files),
            packs=tuple(pack.key for pack in packs),
            flushed_ns=clock.now_ns(),
            duplicates=batches.duplicates,
        )
        chunks_count = sum(len(pack.chunks) for pack in packs)
        return FlushOutcome(record, key, index, chunks_count)

    def _write_pack(
        self,
        tenant: str,
        sources: Sequence[_Source],
        batches: "_Ahead",
        *,
        now_ns: int,
    ) -> PackEntry:
        """Write batches to one pack until it is full or none is left."""
        key = pack_key(
            tenant, now_ns=now_ns, ulid=_new_ulid(now_ns), writer=self._instance_id
        )
        path = self._folder / key.rpartition("/")[2]
        free_bytes = self._free_bytes(self._folder)
        bytes_max = pack_line_bytes_max(free_bytes)
        try:
            if free_bytes < ROOM_BYTES_MIN:
                memory = io.BytesIO()
                summary = self._put_together(
                    memory, tenant, sources, batches, bytes_max
                )
                self._store.put(key, memory.getvalue())
            else:
                with path.open("wb") as sink:
                    summary = self._put_together(
                        sink, tenant, sources, batches, bytes_max
                    )
                self._store.put(key, path)
        finally:
            path.unlink(missing_ok=True)
        return PackEntry(
            key,
            summary.object_bytes,
            summary.footer_bytes,
            summary.sha256,
            summary.chunks,
        )

    def _put_together(
        self,
        sink: ByteSink,
        tenant: str,
        sources: Sequence[_Source],
        batches: "_Ahead",
        line_bytes_max: int,
    ) -> PackSummary:
        """Write the next batches, until there are so many lines."""
        writer = PackWriter(
            sink,
            tenant=tenant,
            writer=self._instance_id,
            metadata_names=sorted({n for s in sources for n in s.metadata_names}),
            has_rest=any(source.has_rest for source in sources),
        )
        line_bytes = 0
        while batches.has_next and line_bytes < line_bytes_max:
            batch = batches.take()
            line_bytes += int(batch.line_bytes().sum())
            writer.append(batch)
        return writer.close()

    def _batches(
        self,
        sources: Sequence[_Source],
        streams: Sequence[LabelSet],
        without: frozenset[LabelSet],
    ) -> Iterator[EntryBatch]:
        totals = np.zeros(len(streams), np.float64)
        for source in sources:
            source.line_bytes_by_number(totals)
        sizes = [
            StreamSize(number, labels, int(totals[number]))
            for number, labels in enumerate(streams)
            if labels not in without
        ]

        def timestamps_of(number: int) -> Timestamps:
            every = Slice((number,))
            found = [b for s in sources for b in s.read(every, _TIMES_ONLY, streams)]
            return np.concatenate([batch.timestamp_ns for batch in found])

        for part in slices_of(sizes, timestamps_of):
            found = [b for s in sources for b in s.read(part, Columns(), streams)]
            filled = [batch for batch in found if len(batch)]
            if filled:
                yield concat(filled)
            for source in sources:
                source.release_pages()


class _Ahead:
    """Batches in file order, sorted and without duplicates, one looked at ahead."""

    def __init__(self, batches: Iterator[EntryBatch]) -> None:
        self._batches = batches
        self._next = next(batches, None)
        self.duplicates = 0

    @property
    def has_next(self) -> bool:
        return self._next is not None

    def take(self) -> EntryBatch:
        assert self._next is not None
        batch, dropped = sort_and_deduplicate(self._next)
        self.duplicates += dropped
        self._next = next(self._batches, None)
        return batch


def _new_ulid(now_ns: int) -> str:
    return ulid_of(now_ns, secrets.token_bytes(_ULID_RANDOM_BYTES))
