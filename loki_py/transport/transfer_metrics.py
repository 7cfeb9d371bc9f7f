"""What is counted of chunks that go from an ingester that leaves to others."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from prometheus_client import CollectorRegistry, Counter

from loki_py.errors import (
    BodyTooLarge,
    LimitExceeded,
    LokiError,
    NotOwner,
    ReceiverBusy,
    ReceiverLocked,
)
from loki_py.model.batch import EntryBatch
from loki_py.transport.transfer_target import TransferTarget

_PREFIX = "loki_ingester_"
_REASONS = {
    NotOwner: "not_owner",
    ReceiverLocked: "locked",
    ReceiverBusy: "busy",
    LimitExceeded: "stream_limit",
    BodyTooLarge: "too_large",
}


class TransferCounters:
    """One side of transfers.

    Args:
        verb: what that side did, as names of metrics have it: `sent`.
    """

    def __init__(self, registry: CollectorRegistry, verb: str) -> None:
        def counter(name: str, help_text: str, *labels: str) -> Counter:
            name = f"{_PREFIX}{verb}_{name}_total"
            return Counter(name, help_text, labels, registry=registry)

        what = f"of chunks that were {verb} and taken over."
        self._streams = counter("streams", f"Parts, of one stream each, {what}")
        self._bytes = counter("bytes", f"Bytes of lines and metadata {what}")
        self._refused = counter(
            "refused_streams",
            f"Parts, of one stream each, of chunks that were {verb} and refused.",
            "reason",
        )

    def note_answer(self, batch: EntryBatch, refused: Mapping[int, LokiError]) -> None:
        """Count the streams of a batch, and those at some positions as refused."""
        for error in refused.values():
            self.note_refused(error, 1)
        is_taken = ~np.isin(batch.stream, list(refused))
        sizes = batch.line_bytes() + batch.metadata_bytes()
        self._streams.inc(len(np.unique(batch.stream[is_taken])))
        self._bytes.inc(int(sizes[is_taken].sum()))

    def note_refused(self, error: LokiError, streams_count: int) -> None:
        """Count so many streams that were refused for one reason."""
        reasons = (r for kind, r in _REASONS.items() if isinstance(error, kind))
        self._refused.labels(next(reasons, "failed")).inc(streams_count)


@dataclass(frozen=True, slots=True)
class CountedTarget:
    """A `TransferTarget` whose transfers are counted."""

    target: TransferTarget
    counters: TransferCounters

    async def transfer(
        self, sender: str, tenant: str, batch: EntryBatch
    ) -> Mapping[int, LokiError]:
        """See `TransferTarget.transfer`."""
        try:
            refused = await self.target.transfer(sender, tenant, batch)
        except LokiError as error:
            self.counters.note_refused(error, len(np.unique(batch.stream)))
            raise
        self.counters.note_answer(batch, refused)
        return refused


class TransferMetrics:
    """Both sides, under names like Loki's."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.sent = TransferCounters(registry, "sent")
        self.received = TransferCounters(registry, "received")
