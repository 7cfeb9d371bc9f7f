"""Accept pushes: validate, discover, limit, send to the ingester.

Pushes of one tenant that come together are validated and sent as one, as long as
no rule stands against any of them. Nothing to start or stop.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from loki_py.config.limits import Limits, Overrides
from loki_py.config.units import print_time
from loki_py.distributor import refusals
from loki_py.distributor.discovery import LevelDiscovery
from loki_py.distributor.generic_fields import GenericFields
from loki_py.distributor.groups import PushGroups, is_small
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
from loki_py.model.batch import EntryBatch, joined
from loki_py.runtime.clock import Clock
from loki_py.transport.abc import EntrySink, PushAnswer


class Sender(NamedTuple):
    """Whose push it is, and the protocol that brought it."""

    tenant: str
    push_format: str


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
        self._fields = GenericFields()
        self._groups: PushGroups[Sender] = PushGroups(self._push_group)
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
        sender = Sender(tenant, push_format)
        if is_small(batch):
            await self._groups.push(sender, batch)
            return
        self._count_received(sender, batch)
        await self._push_alone(sender, batch)

    async def _push_group(
        self, sender: Sender, batches: Sequence[EntryBatch]
    ) -> Sequence[Exception | None]:
        """Store pushes that came together; return what became of each."""
        together = joined(batches)
        self._count_received(sender, together)
        if len(batches) == 1:
            return [await self._outcome(sender, together)]
        faultless = self._faultless(sender, together)
        if faultless is None:
            alone = [self._outcome(sender, batch) for batch in batches]
            return await asyncio.gather(*alone)
        answer = await self._ingester.push(sender.tenant, faultless)
        self._count_refused(sender, answer)
        return _outcomes_of(answer, faultless, batches)

    async def _outcome(self, sender: Sender, batch: EntryBatch) -> Exception | None:
        try:
            await self._push_alone(sender, batch)
        except Exception as error:  # noqa: BLE001  # raised where the push waits
            return error
        return None

    async def _push_alone(self, sender: Sender, batch: EntryBatch) -> None:
        limits = self._overrides.limits_of(sender.tenant)
        verdict, cut_count = self._decide(sender, batch, limits)
        self._count_cut(sender, cut_count)
        self._count_discarded(sender, verdict.refusals)
        if len(verdict.batch):
            try:
                self._take_from_rate(sender, verdict.batch, limits)
            except IngestionRateExceeded:
                self._count_discarded(sender, _all_limited(verdict.batch))
                raise
            enriched = self._enriched(verdict, limits)
            answer = await self._ingester.push(sender.tenant, enriched)
            self._count_refused(sender, answer)
            if answer.rejected:
                refused = sum(discard.entries_count for discard in answer.discards)
                raise _counted(_aggregated(answer.rejected), verdict, refused=refused)
        error = verdict.refusals.error()
        if error is not None:
            raise _counted(error, verdict)

    def _faultless(self, sender: Sender, batch: EntryBatch) -> EntryBatch | None:
        """Return what to store where nothing stands against any entry, else None.

        Where it returns None, nothing was counted or taken.
        """
        limits = self._overrides.limits_of(sender.tenant)
        verdict, cut_count = self._decide(sender, batch, limits)
        if verdict.refusals.entries_count or not len(verdict.batch):
            return None
        try:
            enriched = self._enriched(verdict, limits)
            self._take_from_rate(sender, verdict.batch, limits)
        except RequestRejected:
            return None
        self._count_cut(sender, cut_count)
        return enriched

    def _decide(
        self, sender: Sender, batch: EntryBatch, limits: Limits
    ) -> tuple[Verdict, int]:
        """Return what is accepted, and how many of its lines were cut.

        Raises nothing that concerns single entries.
        """
        tenant, now_ns = sender.tenant, self._clock.now_ns()
        if now_ns < limits.block_ingestion_until_ns:
            return _all_blocked(tenant, batch, limits), 0
        streams = self._resolver.resolve(batch.streams, limits)
        batch, cut_count = with_lines_cut(batch, limits)
        verdict = validated(tenant, batch, streams, limits=limits, now_ns=now_ns)
        return verdict, cut_count

    def _take_from_rate(
        self, sender: Sender, batch: EntryBatch, limits: Limits
    ) -> None:
        self.rate_limiter.take(
            sender.tenant,
            limits,
            entries_count=len(batch),
            size_bytes=line_bytes_of(batch) + metadata_bytes_of(batch),
            now_ns=self._clock.monotonic_ns(),
        )

    def _enriched(self, verdict: Verdict, limits: Limits) -> EntryBatch:
        batch = with_plain_names(verdict.batch)
        if limits.increment_duplicate_timestamp:
            batch = with_times_apart(batch)
        if limits.allow_structured_metadata and limits.discover_log_levels:
            batch = self._levels.with_levels(batch, verdict.streams, limits)
        if limits.allow_structured_metadata and limits.discover_generic_fields:
            batch = self._fields.with_fields(batch, limits.discover_generic_fields)
        return batch

    def _count_received(self, sender: Sender, batch: EntryBatch) -> None:
        self._metrics.received(
            sender.tenant,
            retention_ns=self._retention_ns(sender),
            push_format=sender.push_format,
            lines=len(batch),
            line_bytes=line_bytes_of(batch),
            metadata_bytes=metadata_bytes_of(batch),
        )

    def _count_cut(self, sender: Sender, cut_count: int) -> None:
        if cut_count:
            self._metrics.mutated(sender.tenant, {refusals.LINE_TOO_LONG: cut_count})

    def _count_discarded(self, sender: Sender, found: Refusals) -> None:
        self._metrics.discarded(
            sender.tenant,
            found,
            retention_ns=self._retention_ns(sender),
            push_format=sender.push_format,
        )

    def _count_refused(self, sender: Sender, answer: PushAnswer) -> None:
        if answer.discards:
            self._metrics.discarded_by_ingester(
                sender.tenant,
                answer.discards,
                retention_ns=self._retention_ns(sender),
                push_format=sender.push_format,
            )

    def _retention_ns(self, sender: Sender) -> int:
        return self._overrides.limits_of(sender.tenant).retention_period_ns


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


def _all_limited(batch: EntryBatch) -> Refusals:
    limited = Refusals()
    limited.count(
        refusals.RATE_LIMITED,
        "",
        entries=len(batch),
        size_bytes=line_bytes_of(batch) + metadata_bytes_of(batch),
    )
    return limited


def _outcomes_of(
    answer: PushAnswer, stored: EntryBatch, batches: Sequence[EntryBatch]
) -> list[Exception | None]:
    """Return what became of each push of a batch that was joined from `batches`."""
    if not answer.rejected:
        return [None] * len(batches)
    push_of_row = np.repeat(np.arange(len(batches)), list(map(len, batches)))
    push_of = dict(zip(stored.stream.tolist(), push_of_row.tolist(), strict=True))
    outcomes: list[Exception | None] = [None] * len(batches)
    rejected: dict[int, dict[int, LokiError]] = {}
    for position, error in answer.rejected.items():
        rejected.setdefault(push_of[position], {})[position] = error
    for push, errors in rejected.items():
        outcomes[push] = error = _aggregated(errors)
        if isinstance(error, RequestRejected):
            error.entries_refused = sum(
                discard.entries_count
                for discard in answer.discards
                if discard.stream in errors
            )
            error.entries_stored = len(batches[push]) - error.entries_refused
    return outcomes


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
