"""Units that lie in another process, read by worker threads of this one.

A worker thread that reads waits for an answer that the event loop receives.
What was fetched is kept for a while, within a bound: where replicas overlap,
the same unit is compared with several others.

Every failure is an `InstanceLost`: another instance may hold the same entries,
so the query is worth asking again without this one.
"""

import asyncio
import threading
import weakref
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

import numpy as np

from loki_py.errors import CorruptData, LokiError
from loki_py.model.batch import EntryBatch, concat
from loki_py.model.labels import LabelSet
from loki_py.model.scan import (
    ALL_METADATA,
    Columns,
    ReadStats,
    ScanUnit,
    StreamRuns,
    projected,
)
from loki_py.transport.abc import DigestedUnit, InstanceLost
from loki_py.wire.digests import Digests
from loki_py.wire.messages import DigestsAnswered, ReadAnswered, decode_message
from loki_py.wire.messages_batch import decode_batch
from loki_py.wire.messages_select import UnitDesc

KEPT_BYTES_MAX = 32 << 20
"""Bytes of one selection's units that are kept after they were read."""

EVERYTHING = Columns()

Fetch: TypeAlias = Callable[[int, Columns], Awaitable[list[bytes]]]
"""Asks for the rows of a unit by its number; bounded by a deadline."""

FetchDigests: TypeAlias = Callable[[int], Awaitable[bytes]]
"""Asks for the numbers of a unit's entries; bounded by a deadline."""

T = TypeVar("T")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class _Kept:
    columns: Columns
    batch: EntryBatch
    stats: ReadStats
    bytes: int


@dataclass(slots=True, eq=False, weakref_slot=True)
class RemoteSelection:
    """The units of one selection of one instance.

    Attributes:
        digest_kind: how the instance makes the numbers of entries.
        fetch, fetch_digests: run on `loop`.
        wait_s_max: longer than the deadline of `fetch`.
    """

    instance_id: str
    digest_kind: str
    fetch: Fetch
    fetch_digests: FetchDigests
    loop: asyncio.AbstractEventLoop
    wait_s_max: float
    _kept: OrderedDict[int, _Kept] = field(default_factory=OrderedDict)
    _kept_bytes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def units_of(self, descs: Sequence[UnitDesc]) -> list[ScanUnit]:
        """Return the units described."""
        return [RemoteUnit(self, n, desc) for n, desc in enumerate(descs)]

    def read(self, number: int, streams: Sequence[LabelSet], columns: Columns) -> _Kept:
        """Return what was fetched of a unit: at least these columns.

        Raises: InstanceLost.
        """
        with self._lock:
            kept = self._kept.get(number)
        if kept is not None and _covers(kept.columns, columns):
            return kept
        # Where lines are wanted, comparing replicas will want the rest too.
        wanted = EVERYTHING if columns.line else columns
        kept = self._fetched(
            lambda: self.fetch(number, wanted),
            lambda fetched: _decoded(fetched, streams, wanted),
        )
        self._keep(number, kept)
        return kept

    def digests(self, number: int) -> Digests:
        """Return the numbers of a unit's entries, in the order of its rows.

        Raises: InstanceLost.
        """
        return self._fetched(lambda: self.fetch_digests(number), _decoded_digests)

    def _fetched(
        self, fetch: Callable[[], Awaitable[Answer]], decode: Callable[[Answer], T]
    ) -> T:
        """Return what was fetched on the loop, decoded on this thread.

        Raises: InstanceLost.
        """
        try:
            fetched = asyncio.run_coroutine_threadsafe(
                _awaited(fetch), self.loop
            ).result(self.wait_s_max)
            return decode(fetched)
        except InstanceLost:
            raise
        except (LokiError, TimeoutError, CancelledError, RuntimeError) as error:
            why = str(error) or type(error).__name__
            raise InstanceLost(self.instance_id, why) from error

    def _keep(self, number: int, kept: _Kept) -> None:
        with self._lock:
            former = self._kept.pop(number, None)
            self._kept_bytes += kept.bytes - (former.bytes if former else 0)
            self._kept[number] = kept
            while self._kept_bytes > KEPT_BYTES_MAX:
                self._kept_bytes -= self._kept.popitem(last=False)[1].bytes

    def on_forgotten(self, release: Callable[[], None]) -> None:
        """Have `release` called on the loop when nobody holds a unit any more."""
        weakref.finalize(self, _call_on, self.loop, release).atexit = False


@dataclass(frozen=True, slots=True)
class RemoteUnit(DigestedUnit):
    """One unit of a selection; a `ScanUnit`."""

    selection: RemoteSelection
    number: int
    desc: UnitDesc

    @property
    def streams(self) -> Sequence[LabelSet]:
        return self.desc.streams

    @property
    def min_ns(self) -> int:
        return self.desc.min_ns

    @property
    def max_ns(self) -> int:
        return self.desc.max_ns

    @property
    def rows_max(self) -> int:
        return self.desc.rows_max

    @property
    def origin(self) -> str:
        return f"{self.selection.instance_id}/{self.desc.origin}"

    @property
    def runs(self) -> StreamRuns:
        return self.desc.runs

    @property
    def digest_kind(self) -> str:
        """How the numbers of its entries are made; see `DigestedUnit`."""
        return self.selection.digest_kind

    def digests(self) -> Digests:
        """Return the numbers of its entries; see `DigestedUnit`."""
        return self.selection.digests(self.number)

    def read(self, columns: Columns, stats: ReadStats) -> EntryBatch:
        """Return the rows; see `ScanUnit.read`.

        Raises: InstanceLost.
        """
        kept = self.selection.read(self.number, self.streams, columns)
        stats.add(kept.stats)
        return projected(kept.batch, columns)


def _decoded(
    fetched: Sequence[bytes], streams: Sequence[LabelSet], columns: Columns
) -> _Kept:
    batches = []
    stats = ReadStats()
    for data in fetched:
        answer, payload = decode_message(data, ReadAnswered)
        batches.append(decode_batch(payload, answer.batch, streams))
        known = {n: v for n, v in answer.stats.items() if n in stats.__slots__}
        stats.add(ReadStats(**known))
    if not batches:
        raise CorruptData("a unit was answered with no message")
    return _Kept(columns, concat(batches), stats, sum(map(len, fetched)))


def _covers(held: Columns, wanted: Columns) -> bool:
    if wanted.line and not held.line:
        return False
    if held.metadata is ALL_METADATA:
        return True
    return wanted.metadata is not ALL_METADATA and wanted.metadata <= held.metadata


def _decoded_digests(data: bytes) -> Digests:
    answer, payload = decode_message(data, DigestsAnswered)
    if len(payload) != 16 * answer.rows:
        raise CorruptData(f"{answer.rows} digests came in {len(payload)} bytes")
    return Digests(
        np.frombuffer(payload, np.uint64, answer.rows),
        np.frombuffer(payload, np.int64, answer.rows, 8 * answer.rows),
    )


async def _awaited(fetch: Callable[[], Awaitable[Answer]]) -> Answer:
    return await fetch()


def _call_on(loop: asyncio.AbstractEventLoop, release: Callable[[], None]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(release)
