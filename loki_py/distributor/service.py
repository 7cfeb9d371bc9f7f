"""Accept pushes: validate, discover, limit, send to the ingester.

Owns no task, file or socket; there is nothing to start or stop.
"""

from collections.abc import Mapping

from loki_py.config.limits import Limits, Overrides
from loki_py.config.units import print_time
from loki_py.distributor import refusals
from loki_py.distributor.discovery import LevelDiscovery
from loki_py.distributor.metrics import FORMAT, DistributorMetrics
from loki_py.distributor.rate_limits import RateLimiter
from loki_py.distributor.refusals import Refusals
from loki_py.distributor.reshape import (
    with_lines_cut,
    with_plain_names,
    with_times_apart,
)
from loki_py.distributor.streams import StreamResolver
from loki_py.distributor.validation import (
    Verdict,
    line_bytes_of,
    metadata_bytes_of,
    validated,
)
from loki_py.errors import (
    IngestionRateExceeded,
    LokiError,
    RequestRejected,
    Unavailable,
)
from loki_py.model.batch import EntryBatch
from loki_py.runtime.clock import Clock
from loki_py.transport.abc import EntrySink, PushAnswer


class Distributor:
    """The one way in for entries, whatever protocol brought them.

    `push` returns once every entry of the push is durable. Where it raises a
    RequestRejected, entries that broke no rule may be durable all the same:
    that is Loki's partial success, and sending them again is harmless.

    Not thread-safe: pushes run on one event loop.
    """

    def __init__(
        self,
        ingester: EntrySink,
        *,
        overrides: Overrides,
        metrics: DistributorMetrics,
        clock: Clock,
    ) -> None:
        self._ingester = ingester
        self._overrides = overrides
        self._metrics = metrics
        self._clock = clock
        self._resolver = StreamResolver()
        self._levels = LevelDiscovery()
        self.rate_limiter = RateLimiter()

    async def push(
        self, tenant: str, batch: EntryBatch, *, push_format: str = FORMAT
    ) -> None:
        """Store the entries of one request.

        Args:
            tenant: a valid tenant id.
            batch: the entries as decoded, not yet validated.
            push_format: the protocol, as metrics name it.

        Raises:
            RequestRejected: some or all entries were refused.
            Unavailable: nothing is promised; the client should try again.
        """
        limits = self._overrides.limits_of(tenant)
        now_ns = self._clock.now_ns()
        verdict = self._decide(tenant, batch, limits, push_format, now_ns=now_ns)
        self._count_discarded(tenant, verdict.refusals, limits, push_format)
        if len(verdict.batch):
            self._take_from_rate(tenant, verdict, limits, push_format)
            answer = await self._ingester.push(tenant, self._enriched(verdict, limits))
            self._check_answer(tenant, verdict, answer, limits, push_format)
        error = verdict.refusals.error()
        if error is not None:
            raise _counted(error, verdict)

    def _decide(
        self,
        tenant: str,
        batch: EntryBatch,
        limits: Limits,
        push_format: str,
        *,
        now_ns: int,
    ) -> Verdict:
        """Return what is accepted; raises nothing that concerns single entries."""
        self._metrics.received(
            tenant,
            retention_ns=limits.retention_period_ns,
            push_format=push_format,
            lines=len(batch),
            line_bytes=line_bytes_of(batch),
            metadata_bytes=metadata_bytes_of(batch),
        )
        if now_ns < limits.block_ingestion_until_ns:
            return _all_blocked(tenant, batch, limits)
        streams = self._resolver.resolve(batch.streams, limits)
        batch, cut_count = with_lines_cut(batch, limits)
        if cut_count:
            self._metrics.mutated(tenant, {refusals.LINE_TOO_LONG: cut_count})
        return validated(tenant, batch, streams, limits=limits, now_ns=now_ns)

    def _take_from_rate(
        self, tenant: str, verdict: Verdict, limits: Limits, push_format: str
    ) -> None:
        batch = verdict.batch
        size_bytes = line_bytes_of(batch) + metadata_bytes_of(batch)
        try:
            self.rate_limiter.take(
                tenant,
                limits,
                entries_count=len(batch),
                size_bytes=size_bytes,
                now_ns=self._clock.monotonic_ns(),
            )
        except IngestionRateExceeded:
            limited = Refusals()
            limited.count(
                refusals.RATE_LIMITED, "", entries=len(batch), size_bytes=size_bytes
            )
            self._count_discarded(tenant, limited, limits, push_format)
            raise

    def _enriched(self, verdict: Verdict, limits: Limits) -> EntryBatch:
        batch = with_plain_names(verdict.batch)
        if limits.increment_duplicate_timestamp:
            batch = with_times_apart(batch)
        if limits.allow_structured_metadata and limits.discover_log_levels:
            batch = self._levels.with_levels(batch, verdict.streams, limits)
        return batch

    def _check_answer(
        self,
        tenant: str,
        verdict: Verdict,
        answer: PushAnswer,
        limits: Limits,
        push_format: str,
    ) -> None:
        """Raise for what the ingester refused, and count it."""
        if answer.discards:
            self._metrics.discarded_by_ingester(
                tenant,
                answer.discards,
                retention_ns=limits.retention_period_ns,
                push_format=push_format,
            )
        if answer.rejected:
            refused = sum(discard.entries_count for discard in answer.discards)
            raise _counted(_aggregated(answer.rejected), verdict, refused=refused)

    def _count_discarded(
        self, tenant: str, found: Refusals, limits: Limits, push_format: str
    ) -> None:
        self._metrics.discarded(
            tenant,
            found,
            retention_ns=limits.retention_period_ns,
            push_format=push_format,
        )


def _counted(error: LokiError, verdict: Verdict, *, refused: int = 0) -> LokiError:
    """Return the error with how many entries it concerns, and how many not.

    Args:
        error: what the client is told.
        verdict: what was sent on.
        refused: how much of that came back.
    """
    if isinstance(error, RequestRejected):
        error.entries_refused = verdict.refusals.entries_count + refused
        error.entries_stored = max(len(verdict.batch) - refused, 0)
    return error


def _all_blocked(tenant: str, batch: EntryBatch, limits: Limits) -> Verdict:
    found = Refusals()
    status = limits.block_ingestion_status_code
    until = print_time(limits.block_ingestion_until_ns)
    found.say(
        refusals.blocked(tenant, policy="", until=until, status=status), status=status
    )
    size_bytes = line_bytes_of(batch) + metadata_bytes_of(batch)
    found.count(refusals.BLOCKED, "", entries=len(batch), size_bytes=size_bytes)
    return Verdict(batch.slice(0, 0), (), found)


def _aggregated(rejected: Mapping[int, LokiError]) -> LokiError:
    """Return one error for the streams that an ingester refused.

    Trouble of ours comes before the caller's: it may be tried again. Of the
    caller's, a limit (429) comes before what will never succeed.
    """
    for error in rejected.values():
        if not isinstance(error, RequestRejected):
            return error if isinstance(error, Unavailable) else Unavailable(str(error))
    errors = [e for e in rejected.values() if isinstance(e, RequestRejected)]
    found = Refusals()
    status = max(error.status for error in errors)
    for error in errors:
        found.say(str(error), status=status)
    answer = found.error()
    assert answer is not None
    return answer
