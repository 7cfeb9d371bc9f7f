"""Units that lie in another process, read by worker threads of this one.

A worker thread that reads waits for an answer that the event loop receives.
What was fetched is kept for a while, within a bound: where replicas overlap,
the same unit is compared with several others.

Every failure that is not the question's own is an `InstanceLost`: another instance
may hold the same entries, so the query is worth asking again without this one.
"""

import asyncio
import threading
import weakref
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np

from loki_py.errors import CorruptData, LokiError, RequestRejected
from loki_py.logql.question import LeafQuestion
from loki_py.model.batch import EntryBatch, concat
from loki_py.model.labels import LabelSet
from loki_py.model.scan import (
    ALL_METADATA,
    Columns,
    ReadStats,
    ScanUnit,
    Skipped,
    StreamRuns,
    projected,
)
from loki_py.model.shares import Share, ShareableUnit
from loki_py.transport.abc import (
    DigestedUnit,
    InstanceLost,
    MappingUnit,
)
from loki_py.transport.partials import decode_partials
from loki_py.wire.digests import Digests
from loki_py.wire.messages import (
    PLANS,
    DigestsAnswered,
    MapAnswered,
    ReadAnswered,
    decode_message,
)
from loki_py.wire.messages_batch import decode_batch
from loki_py.wire.messages_select import UnitDesc

KEPT_BYTES_MAX = 32 << 20
"""Bytes of one selection's units that are kept after they were read."""

ANSWER_AT_ONCE_BYTES = 512 << 10
"""What came of units in advance is decoded on the event loop where it is no more."""

MAP_S_MAX = 600.0
"""How long rows may be evaluated elsewhere, by somebody who says so all along."""

EVERYTHING = Columns()

T = TypeVar("T")
Answer = TypeVar("Answer")
Counts = TypeVar("Counts", ReadStats, Skipped)
_Key: TypeAlias = tuple[int, Share | None]


class Calls(Protocol):
    """What is asked of one session of an instance; run on the loop, with deadlines."""

    async def read(
        self, unit: int, columns: Columns, share: Share | None
    ) -> list[bytes]: ...

    async def digests(self, unit: int, share: Share | None) -> bytes: ...

    async def mapped(
        self, units: Sequence[int], question: LeafQuestion, share: Share
    ) -> list[bytes]: ...


@dataclass(frozen=True, slots=True)
class _Kept:
    columns: Columns
    batch: EntryBatch
    stats: ReadStats
    bytes: int


@dataclass(frozen=True, slots=True)
class _Answer:
    """What came of the first units of a selection, in advance."""

    question: LeafQuestion
    units_count: int
    message: bytes


@dataclass(slots=True, eq=False, weakref_slot=True)
class RemoteSelection:
    """The units of one selection of one instance.

    Attributes:
        digest_kind: how the instance makes the numbers of entries.
        plans: which plans it can evaluate.
        wait_s_max: longer than the deadline of calls.
    """

    instance_id: str
    digest_kind: str
    plans: str
    calls: Calls
    loop: asyncio.AbstractEventLoop
    wait_s_max: float
    _kept: OrderedDict[_Key, _Kept] = field(default_factory=OrderedDict)
    _kept_bytes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _answer: _Answer | None = None

    @property
    def answered_count(self) -> int:
        """How many units, from the first, are answered for already."""
        return self._answer.units_count if self._answer else 0

    def keep_answer(
        self, question: LeafQuestion, units_count: int, message: bytes
    ) -> None:
        """Keep what came of the first units when they were selected."""
        self._answer = _Answer(question, units_count, message)

    def units_of(self, descs: Sequence[UnitDesc]) -> list[ScanUnit]:
        """Return the units described."""
        return [RemoteUnit(self, n, desc, desc.runs) for n, desc in enumerate(descs)]

    def read(self, unit: "RemoteUnit", columns: Columns) -> _Kept:
        """Return what was fetched of a unit: at least these columns.

        Raises: InstanceLost.
        """
        key = (unit.number, unit.share)
        with self._lock:
            kept = self._kept.get(key)
        if kept is not None and _covers(kept.columns, columns):
            return kept
        # Where lines are wanted, comparing replicas will want the rest too.
        wanted = EVERYTHING if columns.line else columns
        kept = self._fetched(
            lambda: self.calls.read(unit.number, wanted, unit.share),
            lambda fetched: _decoded(fetched, unit.streams, wanted),
        )
        self._keep(key, kept)
        return kept

    def digests(self, unit: "RemoteUnit") -> Digests:
        """Return the numbers of a unit's entries, in the order of its rows.

        Raises: InstanceLost.
        """
        return self._fetched(
            lambda: self.calls.digests(unit.number, unit.share), _decoded_digests
        )

    def mapped(
        self, units: "Sequence[RemoteUnit]", question: LeafQuestion, stats: ReadStats
    ) -> list[Any]:
        """Return what a leaf makes of units of one share, in order.

        Raises: InstanceLost.
        """
        first = units[0]
        share = first.share
        assert share is not None
        numbers = [unit.number for unit in units]
        answer = self._answer_to(question, share, numbers)
        if answer is not None:
            return self._decoded(
                [answer.message],
                lambda fetched: _decoded_partials(fetched, first.streams, stats),
            )
        return self._fetched(
            lambda: self.calls.mapped(numbers, question, share),
            lambda fetched: _decoded_partials(fetched, first.streams, stats),
            wait_s=MAP_S_MAX + self.wait_s_max,
        )

    def knows(self, units: "Sequence[RemoteUnit]", question: LeafQuestion) -> bool:
        """Return whether `mapped` has little to decode and nothing to fetch."""
        numbers = [unit.number for unit in units]
        answer = self._answer_to(question, units[0].share, numbers)
        return answer is not None and len(answer.message) <= ANSWER_AT_ONCE_BYTES

    def _answer_to(
        self, question: LeafQuestion, share: Share | None, numbers: Sequence[int]
    ) -> _Answer | None:
        """Return what came in advance for the question to these units."""
        answer = self._answer
        if answer is None or answer.question != question:
            return None
        is_asked = numbers == list(range(answer.units_count))
        return answer if is_asked and share is not None and share.is_whole else None

    def _fetched(
        self,
        fetch: Callable[[], Awaitable[Answer]],
        decode: Callable[[Answer], T],
        *,
        wait_s: float | None = None,
    ) -> T:
        """Return what was fetched on the loop, decoded on this thread.

        Raises: InstanceLost.
        """
        try:
            fetched = asyncio.run_coroutine_threadsafe(
                _awaited(fetch), self.loop
            ).result(wait_s or self.wait_s_max)
        except (InstanceLost, RequestRejected):
            raise
        except (LokiError, TimeoutError, CancelledError, RuntimeError) as error:
            why = str(error) or type(error).__name__
            raise InstanceLost(self.instance_id, why) from error
        return self._decoded(fetched, decode)

    def _decoded(self, fetched: Answer, decode: Callable[[Answer], T]) -> T:
        """Return what was fetched, decoded on this thread.

        Raises: InstanceLost.
        """
        try:
            return decode(fetched)
        except LokiError as error:
            raise InstanceLost(self.instance_id, str(error)) from error

    def _keep(self, key: _Key, kept: _Kept) -> None:
        with self._lock:
            former = self._kept.pop(key, None)
            self._kept_bytes += kept.bytes - (former.bytes if former else 0)
            self._kept[key] = kept
            while self._kept_bytes > KEPT_BYTES_MAX:
                self._kept_bytes -= self._kept.popitem(last=False)[1].bytes

    def on_forgotten(self, release: Callable[[], None]) -> None:
        """Have `release` called on the loop when nobody holds a unit any more."""
        weakref.finalize(self, _call_on, self.loop, release).atexit = False


@dataclass(frozen=True, slots=True)
class RemoteUnit(DigestedUnit, ShareableUnit, MappingUnit):
    """One unit of a selection, or a share of it; a `ScanUnit`.

    Attributes:
        runs: of its rows.
        share: which rows of the unit there are its rows; None for all.
    """

    selection: RemoteSelection
    number: int
    desc: UnitDesc
    runs: StreamRuns
    share: Share | None = None

    @property
    def streams(self) -> Sequence[LabelSet]:
        return self.desc.streams

    @property
    def min_ns(self) -> int:
        return int(self.runs.min_ns.min()) if self.share else self.desc.min_ns

    @property
    def max_ns(self) -> int:
        return int(self.runs.max_ns.max()) if self.share else self.desc.max_ns

    @property
    def rows_max(self) -> int:
        return self.desc.rows_max

    @property
    def origin(self) -> str:
        # Shares come without duplicates: that is seen to where the units lie.
        name = "share" if self.share else self.desc.origin
        return f"{self.selection.instance_id}/{name}"

    @property
    def digest_kind(self) -> str:
        """How the numbers of its entries are made; see `DigestedUnit`."""
        return self.selection.digest_kind

    @property
    def maps(self) -> bool:
        """Whether its rows can be evaluated where they lie."""
        return self.share is not None and self.selection.plans == PLANS

    def shared(self, share: Share) -> "RemoteUnit | None":
        """Return a share of the unit; units of one share hold no entry twice."""
        runs = share.runs_of(self.runs)
        if not len(runs.stream):
            return None
        return RemoteUnit(self.selection, self.number, self.desc, runs, share)

    def digests(self) -> Digests:
        """Return the numbers of its entries; see `DigestedUnit`."""
        return self.selection.digests(self)

    def read(self, columns: Columns, stats: ReadStats) -> EntryBatch:
        """Return the rows; see `ScanUnit.read`.

        Raises: InstanceLost.
        """
        kept = self.selection.read(self, columns)
        stats.add(kept.stats)
        return projected(kept.batch, columns)

    def mapped(self, question: LeafQuestion, stats: ReadStats) -> Sequence[Any]:
        """Return what a leaf makes of the rows; see `MappingUnit`."""
        return self.selection.mapped([self], question, stats)


def _decoded(
    fetched: Sequence[bytes], streams: Sequence[LabelSet], columns: Columns
) -> _Kept:
    batches = []
    stats = ReadStats()
    for data in fetched:
        answer, payload = decode_message(data, ReadAnswered)
        batches.append(decode_batch(payload, answer.batch, streams))
        stats.add(counts_of(ReadStats, answer.stats))
    if not batches:
        raise CorruptData("a unit was answered with no message")
    return _Kept(columns, concat(batches), stats, sum(map(len, fetched)))


def _decoded_partials(
    fetched: Sequence[bytes], streams: Sequence[LabelSet], stats: ReadStats
) -> list[Any]:
    partials: list[Any] = []
    for data in fetched:
        answer, payload = decode_message(data, MapAnswered)
        partials += decode_partials(answer, payload, streams)
        stats.add(counts_of(ReadStats, answer.stats))
    return partials


def counts_of(kind: type[Counts], told: dict[str, int]) -> Counts:
    """Return counts that were told by name, less those not known here."""
    known = {n: v for n, v in told.items() if n in kind.__slots__}
    return kind(**known)


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
