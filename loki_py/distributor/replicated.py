"""Send a push to the replicas of its streams, and answer at quorum.

An `EntrySink` over all ingesters of a ring. Owns the sends that are not yet
answered: a push is answered as soon as every stream is decided, and what comes
later is only counted. Nothing to start; `stop` waits for the sends at work.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from prometheus_client import CollectorRegistry, Counter

from loki_py.distributor.replication import (
    Outcome,
    Part,
    QuorumTracker,
    check_enough_replicas,
    route,
)
from loki_py.errors import LokiError, Overloaded, Unavailable
from loki_py.model.batch import EntryBatch
from loki_py.model.labels import LabelSet, token_of
from loki_py.ring.desc import InstanceDesc
from loki_py.ring.lookup import ReplicaTable, Tokens
from loki_py.runtime.logs import logger_of
from loki_py.transport.abc import Discard, EntrySink, PushAnswer

TOKENS_MAX = 200_000
"""Streams whose token is remembered; beyond, all are worked out anew."""

STOP_S_MAX = 5.0
_log = logger_of("distributor")


class WriteRing(Protocol):
    """What is asked of the ring of ingesters."""

    def write_table(self) -> ReplicaTable: ...

    def unhealthy(self) -> Sequence[InstanceDesc]: ...


class ReplicationMetrics:
    """Counters of what was sent to whom, under Loki's names."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.appends = Counter(
            "loki_distributor_ingester_appends_total",
            "Batches sent to each ingester.",
            ("ingester",),
            registry=registry,
        )
        self.failures = Counter(
            "loki_distributor_ingester_append_failures_total",
            "Batches that an ingester did not store, or of which nobody knows.",
            ("ingester",),
            registry=registry,
        )


class TokenCache:
    """The token of each stream lately seen."""

    def __init__(self) -> None:
        self._tokens: dict[str, dict[LabelSet, int]] = {}
        self._count = 0

    def tokens_of(self, tenant: str, streams: Sequence[LabelSet]) -> Tokens:
        """Return uint32 by position in `streams`."""
        known = self._tokens.setdefault(tenant, {})
        found = list(map(known.get, streams))
        if None in found:
            for position, labels in enumerate(streams):
                if found[position] is None:
                    found[position] = known[labels] = token_of(tenant, labels)
                    self._count += 1
            if self._count > TOKENS_MAX:
                self._tokens.clear()
                self._count = 0
        return np.array(found, np.uint32)


@dataclass(slots=True)
class _Sending:
    """One push on its way.

    Attributes:
        discards: what an instance refused, by stream and reason; what most of.
        decided: done as soon as the outcome is known.
    """

    tracker: QuorumTracker
    discards: dict[tuple[int, str], Discard] = field(default_factory=dict)
    decided: "asyncio.Future[None]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def note(self, outcome: Outcome) -> None:
        """Wake who waits where the push is decided."""
        if outcome is not Outcome.PENDING and not self.decided.done():
            self.decided.set_result(None)

    def take(self, answer: PushAnswer) -> None:
        """Remember what an instance discarded: replicas tell of the same entries."""
        for discard in answer.discards:
            key = (discard.stream, discard.reason)
            known = self.discards.get(key)
            if known is None or known.entries_count < discard.entries_count:
                self.discards[key] = discard

    def answer(self) -> PushAnswer:
        """Return what a quorum refused; what one alone refused is stored."""
        refusals = self.tracker.refusals
        told = (
            discard
            for discard in self.discards.values()
            if discard.stream in refusals or (discard.stream < 0 and refusals)
        )
        return PushAnswer(refusals, tuple(told))


class ReplicatedSink:
    """All ingesters of a ring, for one event loop.

    Args:
        client_of: whom to call for an instance.
        inflight_bytes_max: sent to one instance and not answered; beyond, the
            instance counts as failed at once, so that one that hangs costs no
            more memory than that.
    """

    def __init__(
        self,
        ring: WriteRing,
        client_of: Callable[[InstanceDesc], EntrySink],
        metrics: ReplicationMetrics,
        *,
        replication_factor: int,
        inflight_bytes_max: int,
    ) -> None:
        self._ring = ring
        self._client_of = client_of
        self._metrics = metrics
        self._replication_factor = replication_factor
        self._inflight_bytes_max = inflight_bytes_max
        self._inflight_bytes: dict[str, int] = {}
        self._tokens = TokenCache()
        self._sends: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Do nothing: construction was the start."""

    async def stop(self) -> None:
        """Wait for the sends at work, not for ever."""
        if self._sends:
            await asyncio.wait(self._sends, timeout=STOP_S_MAX)

    async def push(self, tenant: str, batch: EntryBatch) -> PushAnswer:
        """Store the batch with a quorum of replicas of every stream.

        Returns as soon as that is decided, whoever has not answered yet.

        Raises: QuorumNotReached.
        """
        table = self._ring.write_table()
        routes = route(batch, self._tokens.tokens_of(tenant, batch.streams), table)
        check_enough_replicas(
            routes,
            replication_factor=self._replication_factor,
            unhealthy=self._ring.unhealthy(),
        )
        tracker = QuorumTracker(routes, self._replication_factor)
        sending = _Sending(tracker)
        for part in routes.parts:
            task = asyncio.create_task(self._send(tenant, part, sending))
            self._sends.add(task)
            task.add_done_callback(self._sends.discard)
        sending.note(tracker.outcome)
        await sending.decided
        if tracker.outcome is Outcome.LOST:
            raise tracker.error()
        return sending.answer()

    async def _send(self, tenant: str, part: Part, sending: _Sending) -> None:
        """Send one part; whatever happens becomes an answer to the tracker."""
        name = part.instance.instance_id
        self._metrics.appends.labels(name).inc()
        try:
            answer = await self._sent(tenant, part)
        except LokiError as error:
            self._metrics.failures.labels(name).inc()
            sending.note(sending.tracker.fail(part, error))
        except Exception as error:  # noqa: BLE001  # told as any other failure
            _log.exception("push to an ingester broke", ingester=name)
            self._metrics.failures.labels(name).inc()
            sending.note(sending.tracker.fail(part, Unavailable(repr(error))))
        else:
            sending.take(answer)
            sending.note(sending.tracker.answer(part, answer.rejected))

    async def _sent(self, tenant: str, part: Part) -> PushAnswer:
        name = part.instance.instance_id
        size_bytes = part.batch.total_line_bytes() + 12 * len(part.batch)
        inflight = self._inflight_bytes.get(name, 0)
        if inflight and inflight + size_bytes > self._inflight_bytes_max:
            raise Overloaded(
                f"ingester {name} has {inflight} bytes unanswered, and {size_bytes} "
                f"more came; limit is {self._inflight_bytes_max}"
            )
        self._inflight_bytes[name] = inflight + size_bytes
        try:
            return await self._client_of(part.instance).push(tenant, part.batch)
        finally:
            left = self._inflight_bytes[name] - size_bytes
            if left:
                self._inflight_bytes[name] = left
            else:
                del self._inflight_bytes[name]
