"""Flushed data: the index of each tenant in memory, packs opened when needed.

Owns a pool of threads for fetching, the chunk tables of the tenants asked about
lately, and open packs; each is bounded. An index is listed when it was not
looked at for `refresh_ns`, and takes in at once what this process flushes
itself. Start is construction; `close` lets fetches at work end.
"""

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import pyarrow as pa

from loki_py.chunks.pack_reader import Pack, PackFooter
from loki_py.errors import (
    CorruptData,
    DataUnreadable,
    ObjectNotFound,
    TruncatedData,
)
from loki_py.index.chunk_table import ChunkTable, PackRef
from loki_py.index.files import IndexFile, decode_index_file
from loki_py.model.labels import LabelSet
from loki_py.model.matchers import Matcher
from loki_py.model.object_keys import prefix_of
from loki_py.model.scan import NOTHING_SKIPPED, ReadStats, Scan, Skipped
from loki_py.querier.index_repair import rebuild_index
from loki_py.querier.pack_units import UNIT_LINE_BYTES, PackUnit, naming, pack_units
from loki_py.runtime.clock import Clock
from loki_py.runtime.logs import logger_of
from loki_py.storage.abc import ObjectStore

T = TypeVar("T")

INDEX_REFRESH_NS = 30_000_000_000
"""How old a listing of index files may be. Ingesters keep what they flushed for
longer than this, so that no entry is in neither place."""

INDEX_BYTES_MAX = 512 * 1024 * 1024
"""Memory for chunk tables; beyond it, the tenant longest not asked is forgotten."""

TENANTS_MAX = 10_000
"""Tenants whose chunk tables are kept, however small they are."""

PACKS_OPEN_MAX = 512
"""Packs whose footers are kept."""

FOOTER_BYTES_MAX = 128 * 1024 * 1024
"""Bytes of footers that are kept."""

FETCH_THREADS = 8
"""Fetches that may wait for the object store at once."""

CHUNKS_AT_ONCE_MAX = 10_000
"""Chunks that are looked through on the event loop: a thread is dearer."""

_ROW_GROUP_ALONE_BYTES = 1
_FIRST_NS, _LAST_NS = -(1 << 63), (1 << 63) - 1

log = logger_of("querier")


@dataclass(frozen=True, slots=True)
class StoreSelection:
    """What object storage holds for a scan.

    Attributes:
        chunks_matched: chunks that the index named.
        line_bytes: bytes of their lines.
        streams_matched: streams that have any of them.
        missing: what could not be looked at, in words.
        skipped: the other chunks.
    """

    units: Sequence[PackUnit]
    chunks_matched: int = 0
    line_bytes: int = 0
    streams_matched: int = 0
    missing: tuple[str, ...] = ()
    skipped: Skipped = NOTHING_SKIPPED


@dataclass(slots=True, eq=False)
class _TenantIndex:
    """The chunk table of one tenant and how fresh it is.

    Attributes:
        listed_ns: when its files were listed, monotonic; None for never.
        bytes: memory of the table, about.
        repaired: damaged index files whose packs were read instead.
        missing: what cannot be looked at, in words.
    """

    table: ChunkTable = field(default_factory=ChunkTable)
    listed_ns: int | None = None
    bytes: int = 0
    repaired: set[str] = field(default_factory=set)
    missing: tuple[str, ...] = ()
    refreshing: asyncio.Lock = field(default_factory=asyncio.Lock)
    writing: threading.Lock = field(default_factory=threading.Lock)

    def add(self, key: str, file: IndexFile) -> None:
        with self.writing:
            self.table.add(key, file)
            self.bytes += int(file.chunks.estimated_size())

    def remove(self, key: str) -> None:
        with self.writing:
            self.table.remove(key)


class StoreReader:
    """Reads what was flushed.

    Args:
        store: the object store.
        clock: tells how old a listing is.
        refresh_ns: how old a listing may be.
    """

    def __init__(
        self, store: ObjectStore, clock: Clock, *, refresh_ns: int = INDEX_REFRESH_NS
    ) -> None:
        self._store = store
        self._clock = clock
        self._refresh_ns = refresh_ns
        self._pool = ThreadPoolExecutor(FETCH_THREADS, thread_name_prefix="store")
        self._tenants: OrderedDict[str, _TenantIndex] = OrderedDict()
        self._packs = _OpenPacks(store)

    async def select(
        self,
        tenant: str,
        scan: Scan,
        *,
        skip: frozenset[str] = frozenset(),
        stops_early: bool = False,
    ) -> StoreSelection:
        """Return what matches the scan; nothing of a pack is fetched.

        Args:
            tenant: whose data.
            scan: what is wanted.
            skip: packs that another source answers for.
            stops_early: whether the newest (oldest) few rows may suffice, so
                that row groups are to be read one by one.

        Raises: Unavailable where the index cannot be listed.
        """
        index = await self._fresh_index(tenant)
        table = index.table
        find = partial(
            table.find,
            scan.matchers,
            start_ns=scan.start_ns,
            end_ns=scan.end_ns,
            skip=skip,
        )
        some = find() if len(table) <= CHUNKS_AT_ONCE_MAX else await self._call(find)
        find_more = partial(table.selection_of, some)
        found = await self._call(find_more) if some.pieces else find_more()
        units = pack_units(
            found,
            self._packs.open,
            start_ns=scan.start_ns,
            end_ns=scan.end_ns,
            piece_bytes=_ROW_GROUP_ALONE_BYTES if stops_early else UNIT_LINE_BYTES,
        )
        return StoreSelection(
            units,
            chunks_matched=len(found.refs),
            line_bytes=sum(unit.line_bytes_max for unit in units),
            streams_matched=len(found.streams),
            missing=index.missing,
            skipped=Skipped(
                found.outside_time, found.other_streams, held_locally=found.held
            ),
        )

    def is_prepared(self, tenant: str) -> bool:
        """Return whether the tenant's index needs no look at the object store."""
        index = self._tenants.get(tenant)
        return index is not None and not self._is_stale(index)

    async def prepare(self, tenant: str) -> None:
        """Look at the object store where that is needed, for a read that comes.

        Raises: Unavailable where the index cannot be listed.
        """
        await self._fresh_index(tenant)

    async def series(
        self, tenant: str, matchers: Sequence[Matcher], *, start_ns: int, end_ns: int
    ) -> Sequence[LabelSet]:
        """Return the label sets of matching streams with chunks in [start, end).

        Raises: DataUnreadable, Unavailable.
        """
        index = await self._whole_index(tenant)
        return await self._call(
            lambda: index.table.series(matchers, start_ns=start_ns, end_ns=end_ns)
        )

    async def label_names(
        self, tenant: str, matchers: Sequence[Matcher], *, start_ns: int, end_ns: int
    ) -> Sequence[str]:
        """Return the label names on such streams.

        Raises: DataUnreadable, Unavailable.
        """
        index = await self._whole_index(tenant)
        return await self._call(
            lambda: index.table.label_names(matchers, start_ns=start_ns, end_ns=end_ns)
        )

    async def label_values(
        self,
        tenant: str,
        name: str,
        matchers: Sequence[Matcher],
        *,
        start_ns: int,
        end_ns: int,
    ) -> Sequence[str]:
        """Return the values of one label on such streams.

        Raises: DataUnreadable, Unavailable.
        """
        index = await self._whole_index(tenant)
        return await self._call(
            lambda: index.table.label_values(
                name, matchers, start_ns=start_ns, end_ns=end_ns
            )
        )

    def index_added(self, tenant: str, key: str, data: bytes) -> None:
        """Take in an index file that this process has just put; any thread.

        Without effect for tenants not asked about yet: they are listed then.
        """
        index = self._tenants.get(tenant)
        if index is not None:
            index.add(key, decode_index_file(data))

    def close(self) -> None:
        """Wait for the fetches at work."""
        self._pool.shutdown(wait=True)

    async def _whole_index(self, tenant: str) -> _TenantIndex:
        index = await self._fresh_index(tenant)
        for problem in index.missing:
            raise DataUnreadable(problem)
        return index

    async def _fresh_index(self, tenant: str) -> _TenantIndex:
        # Known before it is listed: what is flushed from here on is either in
        # the listing or comes through `index_added`.
        index = self._tenants.setdefault(tenant, _TenantIndex())
        self._tenants.move_to_end(tenant)
        if self._is_stale(index):
            async with index.refreshing:
                if self._is_stale(index):
                    now_ns = self._clock.monotonic_ns()
                    await self._refresh(tenant, index)
                    index.listed_ns = now_ns
            self._forget_oldest()
        return index

    def _is_stale(self, index: _TenantIndex) -> bool:
        age_ns = self._clock.monotonic_ns() - (index.listed_ns or 0)
        return index.listed_ns is None or age_ns > self._refresh_ns

    async def _refresh(self, tenant: str, index: _TenantIndex) -> None:
        known = index.table.keys
        listed = await self._call(
            lambda: frozenset(self._store.list(prefix_of(tenant, "index")))
        )
        wanted = sorted(listed - index.table.keys - index.repaired)
        loaded = await asyncio.gather(*(self._load(index, key) for key in wanted))
        damaged = {
            key: problem
            for key, problem in zip(wanted, loaded, strict=True)
            if problem is not None
        }
        for key in known - listed:
            index.remove(key)
        index.missing = await self._repair(tenant, index, damaged) if damaged else ()

    async def _load(self, index: _TenantIndex, key: str) -> str | None:
        """Take an index file in; returns what is wrong with it."""
        try:
            file = await self._call(lambda: decode_index_file(self._store.get(key)))
        except CorruptData as error:
            return f"index file {key} is damaged: {error}"
        except ObjectNotFound:
            # Deleted since the listing: another file, listed too, replaces it.
            return None
        index.add(key, file)
        return None

    async def _repair(
        self, tenant: str, index: _TenantIndex, damaged: Mapping[str, str]
    ) -> tuple[str, ...]:
        """Take in from the packs what damaged index files named.

        Returns what is missing all the same.
        """
        everything = await self._call(
            lambda: index.table.select((), start_ns=_FIRST_NS, end_ns=_LAST_NS)
        )
        known = {ref.key for ref in everything.packs}
        rebuilt = await self._call(
            lambda: rebuild_index(self._store, tenant, known=known)
        )
        log.warning(
            "index files are damaged, packs were read instead",
            tenant=tenant,
            damaged=list(damaged.values()),
            packs_count=rebuilt.packs_count,
            problems=list(rebuilt.problems),
        )
        if rebuilt.file is not None:
            # In the place of a file that is listed, so that it stays.
            index.add(min(damaged), rebuilt.file)
        if rebuilt.problems:
            return (*damaged.values(), *rebuilt.problems)
        index.repaired.update(damaged)
        return ()

    def _forget_oldest(self) -> None:
        total = sum(index.bytes for index in self._tenants.values())
        while len(self._tenants) > 1 and (
            total > INDEX_BYTES_MAX or len(self._tenants) > TENANTS_MAX
        ):
            _, oldest = self._tenants.popitem(last=False)
            total -= oldest.bytes

    async def _call(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, function)


class _OpenPacks:
    """Packs with their footers, those used last kept; for any thread."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[Pack, int]] = OrderedDict()
        self._bytes = 0

    def open(self, ref: PackRef, stats: ReadStats) -> Pack:
        """Return the open pack, see `pack_units.OpenPack`."""
        with self._lock:
            kept = self._kept.get(ref.key)
            if kept is not None:
                self._kept.move_to_end(ref.key)
                return kept[0]
        with naming(ref):
            pack = _opened(self._store, ref)
        stats.packs_fetched += 1
        stats.compressed_bytes += ref.footer_bytes
        with self._lock:
            if ref.key not in self._kept:
                self._kept[ref.key] = (pack, ref.footer_bytes)
                self._bytes += ref.footer_bytes
            while len(self._kept) > PACKS_OPEN_MAX or self._bytes > FOOTER_BYTES_MAX:
                _, (_, footer_bytes) = self._kept.popitem(last=False)
                self._bytes -= footer_bytes
        return pack


def _opened(store: ObjectStore, ref: PackRef) -> Pack:
    file = store.open_input(ref.key)
    object_bytes = int(file.size())
    if object_bytes != ref.object_bytes:
        raise TruncatedData(
            f"object has {object_bytes} bytes; the index says {ref.object_bytes}"
        )
    if isinstance(file, pa.MemoryMappedFile | pa.BufferReader):
        return Pack.open(file.read_buffer())

    def read(offset: int, length: int) -> pa.Buffer:
        return pa.py_buffer(file.read_at(length, offset))

    tail = read(object_bytes - ref.footer_bytes, ref.footer_bytes)
    return Pack(PackFooter.decode(tail, object_bytes=object_bytes), read)
