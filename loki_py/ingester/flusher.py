"""Write a tenant's block files to the object store as packs and an index file.

Blocking; runs on a worker thread. Owns nothing but a temporary file per pack.
The order is pack, then index, then the local flush record: a crash in between
leaves entries twice at worst, never nowhere, and reading drops duplicates.
"""

import errno
import io
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np

from loki_py.chunks.block_parts import BlockPart
from loki_py.chunks.pack_writer import ByteSink, PackSummary, PackWriter
from loki_py.chunks.sorting import sort_and_deduplicate
from loki_py.index.files import PackEntry, encode_index_file
from loki_py.ingester.blockstore import LocalFile
from loki_py.ingester.flush_record import FlushRecord
from loki_py.ingester.selection import FIRST_NS, LAST_NS
from loki_py.ingester.slices import (
    SLICE_BYTES,
    Slice,
    StreamSize,
    slices_of,
)
from loki_py.model.batch import EntryBatch, Timestamps, concat
from loki_py.model.labels import LabelSet
from loki_py.model.object_keys import index_key, pack_key, ulid_of
from loki_py.model.scan import Columns
from loki_py.runtime.clock import Clock
from loki_py.runtime.logs import logger_of
from loki_py.storage.abc import ObjectStore

PACK_BYTES_MAX = 1 << 30
"""Lines and metadata after which a flush goes on in another pack."""

PACK_BYTES_MIN = SLICE_BYTES
"""The same where the local disk, on which packs are put together, is full."""

ROOM_BYTES_MIN = 4 * PACK_BYTES_MIN
"""Where the disk has less, packs are so small, and put together in memory."""

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})

_log = logger_of("ingester")
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

    def bytes_by_number(self, totals: "np.typing.NDArray[np.float64]") -> None:
        """Add about how many bytes each stream has; exact per block."""
        for of in (stream_bytes_of, metadata_bytes_of):
            np.add.at(totals, self._number_of, of(self._local, self._tenant))

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
    return _spread(local, tenant, lambda part: part.line_bytes)


def metadata_bytes_of(local: LocalFile, tenant: str) -> "np.typing.NDArray[np.float64]":
    """Return about how much metadata each stream has; exact per block."""
    return _spread(local, tenant, lambda part: local.file.metadata_bytes(part.block))


def _spread(
    local: LocalFile, tenant: str, bytes_of: Callable[[BlockPart], int]
) -> "np.typing.NDArray[np.float64]":
    """Return what each stream has of its blocks, which is as much for every row."""
    totals = np.zeros(len(local.file.streams(tenant)), np.float64)
    parts = local.file.select(tenant, None, start_ns=FIRST_NS, end_ns=LAST_NS)
    for part in parts:
        per_row = bytes_of(part) / max(part.rows_max, 1)
        np.add.at(totals, part.runs.stream, part.rows * per_row)
    return totals


def pack_bytes_max(free_bytes: int) -> int:
    """Return how much a pack may hold where a disk has so much room.

    It is compressed; where it can not be, half of the room is enough. So
    what filled a disk while the object store was away can leave it.
    """
    if free_bytes < ROOM_BYTES_MIN:
        return PACK_BYTES_MIN
    return min(PACK_BYTES_MAX, free_bytes // 2)


class Flusher:
    """Flushes one tenant's files at a time.

    Args:
        store: where packs and index files go.
        instance_id: who writes, part of every key.
        folder: where packs are put together.
        free_bytes: how much room there is.
        open_pack: makes the file of a pack.
    """

    def __init__(
        self,
        store: ObjectStore,
        instance_id: str,
        folder: Path,
        *,
        free_bytes: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free,
        open_pack: Callable[[Path], BinaryIO] = lambda path: path.open("wb"),
    ) -> None:
        self._store = store
        self._instance_id = instance_id
        self._folder = folder
        self._free_bytes = free_bytes
        self._open_pack = open_pack

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
        batches = _Ahead(sources, tuple(numbers), without)
        writer_of = self._writers(tenant, sources)
        packs: list[PackEntry] = []
        while batches.has_next:
            packs.append(self._write_pack(tenant, writer_of, batches, now_ns=now_ns))
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

    def _writers(
        self, tenant: str, sources: Sequence[_Source]
    ) -> Callable[[ByteSink], PackWriter]:
        """Return what makes the writer of a pack of all these."""
        names = sorted({n for source in sources for n in source.metadata_names})
        has_rest = any(source.has_rest for source in sources)
        return lambda sink: PackWriter(
            sink,
            tenant=tenant,
            writer=self._instance_id,
            metadata_names=names,
            has_rest=has_rest,
        )

    def _write_pack(
        self,
        tenant: str,
        writer_of: Callable[[ByteSink], PackWriter],
        batches: "_Ahead",
        *,
        now_ns: int,
    ) -> PackEntry:
        """Write batches to one pack until it is full or none is left."""
        key = pack_key(
            tenant, now_ns=now_ns, ulid=_new_ulid(now_ns), writer=self._instance_id
        )
        path = self._folder / key.rpartition("/")[2]
        try:
            summary = self._on_disk(path, writer_of, batches)
            if summary is not None:
                self._store.put(key, path)
        finally:
            path.unlink(missing_ok=True)
        if summary is None:
            memory = io.BytesIO()
            summary = _put_together(writer_of(memory), batches, PACK_BYTES_MIN)
            self._store.put(key, memory.getvalue())
        return PackEntry(
            key,
            summary.object_bytes,
            summary.footer_bytes,
            summary.sha256,
            summary.chunks,
        )

    def _on_disk(
        self,
        path: Path,
        writer_of: Callable[[ByteSink], PackWriter],
        batches: "_Ahead",
    ) -> PackSummary | None:
        """Put the next batches together in a file; None, and all left, without room."""
        free_bytes = self._free_bytes(self._folder)
        if batches.met_full_disk or free_bytes < ROOM_BYTES_MIN:
            return None
        batches.mark()
        try:
            with self._open_pack(path) as sink:
                return _put_together(
                    writer_of(sink), batches, pack_bytes_max(free_bytes)
                )
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            _log.warning(
                "flush goes on in memory", reason=str(error), free_bytes=free_bytes
            )
        batches.rewind()
        batches.met_full_disk = True
        return None


def _put_together(writer: PackWriter, batches: "_Ahead", bytes_max: int) -> PackSummary:
    """Write the next batches, until there are so many lines and metadata."""
    written_bytes = 0
    while batches.has_next and written_bytes < bytes_max:
        batch = batches.take()
        written_bytes += batch.total_line_bytes() + batch.total_metadata_bytes()
        writer.append(batch)
    return writer.close()


class _Ahead:
    """Batches in file order, sorted and without duplicates, one looked at ahead.

    Attributes:
        duplicates: entries that were dropped of those taken.
        met_full_disk: whether what was taken had to be taken again.
    """

    def __init__(
        self,
        sources: Sequence[_Source],
        streams: Sequence[LabelSet],
        without: frozenset[LabelSet],
    ) -> None:
        self._sources = sources
        self._streams = streams
        self._slices = self._slices_without(without)
        self._taken: list[Slice] = []
        self.duplicates = self._duplicates_marked = 0
        self.met_full_disk = False
        self._next = self._read_next()

    @property
    def has_next(self) -> bool:
        return self._next is not None

    def take(self) -> EntryBatch:
        assert self._next is not None
        part, found = self._next
        self._taken.append(part)
        batch, dropped = sort_and_deduplicate(found)
        self.duplicates += dropped
        for source in self._sources:
            source.release_pages()
        self._next = self._read_next()
        return batch

    def mark(self) -> None:
        """Remember where this is."""
        self._taken = []
        self._duplicates_marked = self.duplicates

    def rewind(self) -> None:
        """Go back to the mark: what was taken since is read anew."""
        ahead = [] if self._next is None else [self._next[0]]
        self._slices = chain(self._taken, ahead, self._slices)
        self._next = None
        self._taken, self.duplicates = [], self._duplicates_marked
        self._next = self._read_next()

    def _read_next(self) -> tuple[Slice, EntryBatch] | None:
        for part in self._slices:
            found = [batch for batch in self._read(part, Columns()) if len(batch)]
            if found:
                return part, concat(found)
        return None

    def _read(self, part: Slice, columns: Columns) -> Iterator[EntryBatch]:
        for source in self._sources:
            yield from source.read(part, columns, self._streams)

    def _slices_without(self, without: frozenset[LabelSet]) -> Iterator[Slice]:
        totals = np.zeros(len(self._streams), np.float64)
        for source in self._sources:
            source.bytes_by_number(totals)
        sizes = [
            StreamSize(number, labels, int(totals[number]))
            for number, labels in enumerate(self._streams)
            if labels not in without
        ]
        return slices_of(sizes, self._timestamps_of)

    def _timestamps_of(self, number: int) -> Timestamps:
        found = self._read(Slice((number,)), _TIMES_ONLY)
        return np.concatenate([batch.timestamp_ns for batch in found])


def _new_ulid(now_ns: int) -> str:
    return ulid_of(now_ns, secrets.token_bytes(_ULID_RANDOM_BYTES))
