"""The block files of an ingester on local disk, and what was flushed of them.

Owns one folder:

    <generation>.blocks     the entries of one generation (docs/formats/blocks.md)
    <ulid>.flushed          a tenant's entries of these generations are in these
                            packs (docs/formats/flushed.md)
    *.damaged               what could not be read at a start, kept for people

A tenant's part of a file goes through three states: *unflushed*; *hot*, flushed
but kept because reading it needs no decompression; *dropped*. Parts that were
flushed together are dropped together, so that packs and hot parts never hold
each a half. A file goes when all of its parts are dropped.

Methods that change anything are called on the event loop; those that say
"Blocking" on worker threads. Reading is safe from every thread.
"""

import contextlib
import mmap
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from loki_py.chunks.block_reader import BlockFile
from loki_py.encoding.checksum import Buffer
from loki_py.errors import CorruptData
from loki_py.ingester.flush_record import FlushRecord, decode_record, encode_record
from loki_py.ingester.stream_table import Refs
from loki_py.runtime.logs import logger_of
from loki_py.wal.segment_file import sync_folder

BLOCKS_SUFFIX = ".blocks"
FLUSHED_SUFFIX = ".flushed"
DAMAGED_SUFFIX = ".damaged"
TEMPORARY_SUFFIX = ".tmp"

MAPPED_BYTES_KEPT = 192 << 20
"""Bytes read through maps after which their pages are given back."""

UNSYNCED_BYTES_MAX = 2 << 20
"""Of a file that is being written: the WAL's next sync, for which pushes wait, is
behind so much on the disk and no more."""

log = logger_of("ingester")


@dataclass(slots=True)
class TenantPart:
    """One tenant's part of a block file.

    Attributes:
        refs: uint32 by stream position in the file, the stream's ref.
        flushed: the ulid of its flush, "" while it is unflushed.
        line_bytes: bytes of its lines.
    """

    refs: Refs
    line_bytes: int
    flushed: str = ""


@dataclass(slots=True)
class LocalFile:
    """One open block file.

    Attributes:
        generation: its number, and its name.
        file: the reader.
        created_ns: wall clock at which its generation was sealed.
        parts: by tenant, what is not dropped.
    """

    generation: int
    path: Path
    file: BlockFile
    created_ns: int
    _map: mmap.mmap
    parts: dict[str, TenantPart] = field(default_factory=dict)

    def release_pages(self) -> None:
        """Give mapped pages back to the system; readers only pay to map again."""
        self._map.madvise(mmap.MADV_DONTNEED)


class BlockStore:
    """Block files by generation, and flush records by ulid.

    Attributes:
        files: open files by generation, ascending.
        records: flushes of which hot parts are still held, by ulid.
        missing: block files that were set aside, in words for people who query.
    """

    def __init__(self, folder: Path) -> None:
        self.files: dict[int, LocalFile] = {}
        self.records: dict[str, FlushRecord] = {}
        self.missing: tuple[str, ...] = ()
        self._folder = folder
        self._mapped_bytes = 0

    def open_all(self) -> list[str]:
        """Open what is there; return the names of files that were set aside.

        Blocking. Interrupted writes are removed. A file whose footer is damaged
        is renamed, not deleted: people may want to look at it.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        for leftover in self._folder.glob(f"*{TEMPORARY_SUFFIX}"):
            leftover.unlink()
        damaged = []
        for path in sorted(self._folder.glob(f"*{BLOCKS_SUFFIX}")):
            try:
                self.files[int(path.stem)] = _open_file(path)
            except CorruptData as error:
                self._set_aside(path, error)
                damaged.append(path.name)
        aside = sorted(self._folder.glob(f"*{BLOCKS_SUFFIX}{DAMAGED_SUFFIX}"))
        self.missing = tuple(
            f"{path.name} cannot be read: entries that were only there are missing"
            for path in aside
        )
        for path in sorted(self._folder.glob(f"*{FLUSHED_SUFFIX}")):
            try:
                record = decode_record(path.read_bytes())
            except CorruptData as error:
                # What it says can be found out anew: its entries are flushed again.
                self._set_aside(path, error)
                damaged.append(path.name)
                continue
            self.records[record.ulid] = record
        return damaged

    @staticmethod
    def _set_aside(path: Path, error: CorruptData) -> None:
        log.warning("file set aside", path=str(path), reason=str(error))
        path.rename(path.with_name(path.name + DAMAGED_SUFFIX))

    def settle_records(self) -> list[tuple[str, TenantPart]]:
        """Tell which parts are hot, once all parts are known; return the others.

        A flush of which a file is gone was being dropped when the process
        ended: what is left of it is dropped too. Blocking.
        """
        dropped = []
        for record in list(self.records.values()):
            held = [
                generation
                for generation in record.generations
                if generation in self.files
                and record.tenant in self.files[generation].parts
            ]
            if len(held) == len(record.generations):
                self.add_record(record)
                continue
            dropped += [(record.tenant, part) for part, _ in self.drop(record)]
            self.remove(self.take_empty(), [record.ulid])
        return dropped

    def next_generation(self) -> int:
        """Return a number above that of every file there is or was set aside."""
        names = [path.name.partition(".")[0] for path in self._folder.iterdir()]
        return max([0, *(int(name) for name in names if name.isdecimal())]) + 1

    def write(self, generation: int, buffers: Iterable[Buffer]) -> LocalFile:
        """Write, fsync, rename and open one block file. Blocking.

        Raises: OSError; nothing is left behind then.
        """
        path = self._folder / f"{generation:010d}{BLOCKS_SUFFIX}"
        write_durably(path, buffers)
        return _open_file(path)

    def write_record(self, record: FlushRecord) -> None:
        """Make a flush record durable. Blocking. Raises: OSError."""
        path = self._record_path(record.ulid)
        write_durably(path, [encode_record(record)])

    def add_record(self, record: FlushRecord) -> None:
        """Note that the tenant's parts of these generations are flushed."""
        self.records[record.ulid] = record
        for generation in record.generations:
            self.files[generation].parts[record.tenant].flushed = record.ulid

    def unflushed(self, tenant: str) -> list[LocalFile]:
        """Return the files with unflushed entries of the tenant, oldest first."""
        return [file for file, part in self.parts_of(tenant) if not part.flushed]

    def parts_of(self, tenant: str) -> Iterator[tuple[LocalFile, TenantPart]]:
        """Yield the files that hold a part of the tenant, oldest first."""
        for file in self.files.values():
            part = file.parts.get(tenant)
            if part is not None:
                yield file, part

    def packs_covered(self, tenant: str) -> frozenset[str]:
        """Return the packs all of whose entries are in hot parts."""
        return frozenset(
            pack
            for record in self.records.values()
            if record.tenant == tenant
            for pack in record.packs
        )

    def origin_of(self, local: LocalFile, part: TenantPart) -> str:
        """Return what the part's units come from, for `ScanUnit.origin`.

        Files of a flush that met no duplicates are one origin: nothing of them
        needs to be compared again.
        """
        if part.flushed and not self.records[part.flushed].duplicates:
            return f"flush/{part.flushed}"
        return f"blocks/{local.generation}"

    def drop(self, record: FlushRecord) -> list[tuple[TenantPart, LocalFile]]:
        """Forget the hot parts of a flush; return them. See `remove_files`."""
        dropped = []
        for generation in record.generations:
            file = self.files.get(generation)
            part = None if file is None else file.parts.pop(record.tenant, None)
            if file is not None and part is not None:
                dropped.append((part, file))
        del self.records[record.ulid]
        return dropped

    def take_empty(self) -> list[LocalFile]:
        """Forget the files without parts and return them, to be removed."""
        empty = [file for file in self.files.values() if not file.parts]
        for file in empty:
            del self.files[file.generation]
        return empty

    def remove(self, files: Iterable[LocalFile], ulids: Iterable[str]) -> None:
        """Delete files, then records that spoke of them. Blocking.

        A crash in between leaves a record without its files, which says only
        that what is left of that flush is not to be used.
        """
        for file in files:
            file.path.unlink(missing_ok=True)
        sync_folder(self._folder)
        for ulid in ulids:
            self._record_path(ulid).unlink(missing_ok=True)

    def hot_bytes(self) -> int:
        """Return the bytes of files that hold flushed parts only."""
        return sum(
            local.file.file_bytes
            for local in self.files.values()
            if all(part.flushed for part in local.parts.values())
        )

    def note_read(self, count: int) -> None:
        """Count bytes read through the maps, and keep resident memory small."""
        self._mapped_bytes += count
        if self._mapped_bytes >= MAPPED_BYTES_KEPT:
            self._mapped_bytes = 0
            for local in list(self.files.values()):
                local.release_pages()

    def _record_path(self, ulid: str) -> Path:
        return self._folder / f"{ulid}{FLUSHED_SUFFIX}"


def _open_file(path: Path) -> LocalFile:
    with path.open("rb") as opened:
        size = os.fstat(opened.fileno()).st_size
        created_ns = os.fstat(opened.fileno()).st_mtime_ns
        if size == 0:
            raise CorruptData(f"block file {path.name} is empty")
        mapped = mmap.mmap(opened.fileno(), size, prot=mmap.PROT_READ)
    file = BlockFile.open(pa.py_buffer(mapped))
    return LocalFile(file.header.generation, path, file, created_ns, mapped)


def write_durably(
    path: Path,
    buffers: Iterable[Buffer],
    *,
    sync: Callable[[int], None] = os.fdatasync,
    sync_names: Callable[[Path], None] = sync_folder,
) -> None:
    """Write a file that is there whole and durable, or not at all. Blocking.

    Where its name can not be made durable, nor can it be that the name is gone:
    after a crash the file may be there, whole.

    Args:
        sync: what was written before is on disk after it.
        sync_names: makes the names in a folder durable.

    Raises: OSError.
    """
    written = temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
    try:
        with temporary.open("wb") as opened:
            unsynced_bytes = 0
            for buffer in buffers:
                opened.write(buffer)
                unsynced_bytes += len(buffer)
                if unsynced_bytes >= UNSYNCED_BYTES_MAX:
                    opened.flush()
                    sync(opened.fileno())
                    unsynced_bytes = 0
            opened.flush()
            os.fsync(opened.fileno())
        written = temporary.rename(path)
        sync_names(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            written.unlink(missing_ok=True)
        raise
