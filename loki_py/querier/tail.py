"""Tails: what a log query finds from now on, after what it found so far.

Owns nothing but counts; each tail belongs to who opened it, and is closed with
it. A tail first follows and then asks for what is there already, so that
nothing falls between; what comes both ways is shown once.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client import Counter as Total

from loki_py.config.limits import Overrides
from loki_py.errors import LokiError
from loki_py.logql import ast
from loki_py.logql.exec.tail_leaf import TailEntries, TailEvaluator
from loki_py.logql.parser import parse
from loki_py.model.batch import EntryBatch
from loki_py.model.results import Labels, Streams
from loki_py.querier import limits as rules
from loki_py.querier.executor import QueryExecutor
from loki_py.querier.limits import LimitBroken
from loki_py.querier.requests import RangeRequest
from loki_py.querier.service import Querier
from loki_py.querier.tail_entries import (
    NOTHING,
    Overlap,
    frame_bounds,
    in_order,
    joined,
    merged,
)
from loki_py.querier.tail_hold import Hold
from loki_py.runtime.clock import Clock
from loki_py.transport.tailing import Arrivals, EntryFeed, Following

GATHER_S = 0.05
"""How long arrivals gather after a frame; a first line does not wait."""

OVERLAP_NS = 30_000_000_000
"""How long after the backlog an entry may come that was already in it."""

REACHED_DURATION = "reached tail max duration limit"
ONLY_SELECTORS = "only log selector is supported"

_NS_PER_S = 1_000_000_000


class TailEnded(LokiError):
    """A tail is over, for the reason given."""


@dataclass(frozen=True, slots=True)
class TailRequest:
    """What a tail shows.

    Attributes:
        start_ns: entries from then on come first.
        limit: of those, the newest so many.
        delay_ns: how long entries are held back, so that later ones with
            earlier times can be put before them.
        categorized: whether labels are told apart by where they come from.
    """

    query: str
    start_ns: int
    limit: int
    delay_ns: int = 0
    categorized: bool = False


@dataclass(frozen=True, slots=True)
class Dropped:
    """An entry that nobody took in time."""

    labels: Labels
    timestamp_ns: int


@dataclass(frozen=True, slots=True)
class TailFrame:
    """Some entries, and what was dropped before them."""

    entries: TailEntries | None
    dropped: Sequence[Dropped] = ()


class TailMetrics:
    """How many follow, and what they are sent, under Loki's names."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.active = Gauge(
            "loki_querier_tail_active",
            "Tails that are open.",
            registry=registry,
        )
        self.bytes = Total(
            "loki_querier_tail_bytes_total",
            "Line bytes sent to tails.",
            registry=registry,
        )
        self.dropped = Total(
            "loki_querier_tail_dropped_entries_total",
            "Entries dropped because a tail's reader was slow.",
            registry=registry,
        )


@dataclass(slots=True)
class TailQuerier:
    """Opens tails for all tenants.

    Attributes:
        feed: tells of new entries.
        querier: finds what is there already.
        duration_ns_max: after which a tail ends.
    """

    feed: EntryFeed
    querier: Querier
    executor: QueryExecutor
    overrides: Overrides
    clock: Clock
    metrics: TailMetrics
    duration_ns_max: int
    _open: Counter[str] = field(default_factory=Counter)

    def check(self, tenant: str, request: TailRequest) -> None:
        """Check a request before anything is opened.

        Raises: RequestRejected.
        """
        limits = self.overrides.limits_of(tenant)
        expr = parse(request.query)
        rules.check_query(limits, request.query, expr, tags={})
        rules.check_entries(limits, request.limit)
        now_ns = self.clock.now_ns()
        end_ns = max(now_ns, request.start_ns)
        rules.metadata_span(
            limits, start_ns=request.start_ns, end_ns=end_ns, now_ns=now_ns
        )
        most = limits.tail_requests_max
        count = self._open[tenant] + 1
        if most and count > most:
            raise LimitBroken(
                "max concurrent tail requests limit exceeded, count > limit"
                f" ({count} > {most})"
            )

    @contextmanager
    def opened(self, tenant: str, request: TailRequest) -> Iterator["Tail"]:
        """Return a tail, open until the end of the context.

        Raises: RequestRejected, see `check`.
        """
        self.check(tenant, request)
        self._open[tenant] += 1
        self.metrics.active.inc()
        try:
            yield Tail(self, tenant, request)
        finally:
            self.metrics.active.dec()
            self._open[tenant] -= 1
            if not self._open[tenant]:
                del self._open[tenant]


@dataclass(slots=True)
class Tail:
    """One tail of one reader."""

    _service: TailQuerier
    _tenant: str
    _request: TailRequest

    async def frames(self) -> AsyncGenerator[TailFrame, None]:
        """Yield frames; the next is worked on when the last was taken.

        Raises: TailEnded, or what made following impossible.
        """
        service, request = self._service, self._request
        deadline_ns = service.clock.monotonic_ns() + service.duration_ns_max
        query = parse(request.query)
        if not isinstance(query, ast.LogQuery):
            raise TailEnded(ONLY_SELECTORS)
        evaluator = TailEvaluator(query, categorized=request.categorized)
        following = service.feed.tail(self._tenant, query.matchers)
        try:
            await following.begun()
            found = await self._backlog()
            overlap = Overlap(found)
            overlap_end_ns = service.clock.monotonic_ns() + OVERLAP_NS
            for frame in self._framed(found, ()):
                yield frame
            hold = Hold(request.delay_ns)
            while True:
                arrivals = await self._next(following, hold, deadline_ns)
                now_ns = service.clock.now_ns()
                hold.add(arrivals.batches, now_ns=now_ns)
                due = hold.take_due(now_ns=now_ns)
                entries = await self._evaluated(evaluator, due)
                if service.clock.monotonic_ns() < overlap_end_ns:
                    entries = overlap.without_known(entries)
                for frame in self._framed(entries, self._noted(arrivals)):
                    yield frame
                await asyncio.sleep(GATHER_S)
        finally:
            following.close()

    async def _next(
        self, following: Following, hold: Hold, deadline_ns: int
    ) -> Arrivals:
        """Return what came, or nothing once held entries are due.

        Raises: TailEnded at the deadline.
        """
        clock = self._service.clock
        left_s = (deadline_ns - clock.monotonic_ns()) / _NS_PER_S
        due_s = hold.due_in_s(now_ns=clock.now_ns())
        wait_s = left_s if due_s is None else min(left_s, due_s)
        try:
            async with asyncio.timeout(max(wait_s, 0)):
                return await following.arrivals()
        except TimeoutError:
            if clock.monotonic_ns() >= deadline_ns:
                raise TailEnded(REACHED_DURATION) from None
            return Arrivals(())

    async def _backlog(self) -> TailEntries:
        """Return the newest entries since the start, oldest first."""
        service, request = self._service, self._request
        limits = service.overrides.limits_of(self._tenant)
        # What clients stamped ahead of our clock is there already, too.
        end_ns = service.clock.now_ns() + limits.creation_grace_ns + 1
        if request.start_ns >= end_ns:
            return NOTHING
        asked = RangeRequest(
            query=request.query,
            start_ns=request.start_ns,
            end_ns=end_ns,
            step_ns=_NS_PER_S,
            limit=request.limit,
            categorized=request.categorized,
        )
        answer = await service.querier.query_range(self._tenant, asked)
        assert isinstance(answer.result.data, Streams)
        return in_order(answer.result.data)

    async def _evaluated(
        self, evaluator: TailEvaluator, batches: Sequence[EntryBatch]
    ) -> TailEntries:
        if not batches:
            return NOTHING
        return await self._service.executor.call(
            lambda: merged([evaluator.entries_of(each) for each in joined(batches)])
        )

    def _noted(self, arrivals: Arrivals) -> Sequence[Dropped]:
        if not arrivals.dropped_count:
            return ()
        self._service.metrics.dropped.inc(arrivals.dropped_count)
        return [
            Dropped(batch.streams[stream].pairs, timestamp_ns)
            for batch in arrivals.dropped
            for stream, timestamp_ns in zip(
                batch.stream.tolist(), batch.timestamp_ns.tolist(), strict=True
            )
        ]

    def _framed(
        self, entries: TailEntries, dropped: Sequence[Dropped]
    ) -> Iterator[TailFrame]:
        if not len(entries):
            if dropped:
                yield TailFrame(None, dropped)
            return
        sizes = entries.line_bytes()
        self._service.metrics.bytes.inc(int(sizes.sum()))
        for start, end in frame_bounds(sizes):
            yield TailFrame(entries.take(np.arange(start, end)), dropped)
            dropped = ()
