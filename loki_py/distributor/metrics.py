"""What a distributor counts, under Loki's names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter

from loki_py.distributor.refusals import Refusals
from loki_py.transport.abc import Discard

FORMAT = "loki"
"""The push protocol, where nothing else is said."""

_FORMATS_SHOWN = {"json": FORMAT, "protobuf": FORMAT}
"""Loki's own protocol is one format, however its bodies are encoded."""

_NS_PER_HOUR = 3_600_000_000_000


@dataclass(frozen=True, slots=True)
class _Received:
    """The counters of one tenant and format."""

    bytes: Counter
    metadata_bytes: Counter
    lines: Counter


class DistributorMetrics:
    """Counters of pushes; counters of a tenant are looked up once."""

    def __init__(self, registry: CollectorRegistry) -> None:
        received = ("tenant", "retention_hours", "format")
        discarded = ("reason", "tenant", "retention_hours", "policy", "format")
        self._bytes = Counter(
            "loki_distributor_bytes_received_total",
            "Uncompressed bytes received per tenant, structured metadata included.",
            received,
            registry=registry,
        )
        self._metadata_bytes = Counter(
            "loki_distributor_structured_metadata_bytes_received_total",
            "Uncompressed bytes of structured metadata received per tenant.",
            received,
            registry=registry,
        )
        self._lines = Counter(
            "loki_distributor_lines_received_total",
            "Lines received per tenant.",
            received,
            registry=registry,
        )
        self._discarded_samples = Counter(
            "loki_discarded_samples_total",
            "Entries that were discarded, by reason.",
            discarded,
            registry=registry,
        )
        self._discarded_bytes = Counter(
            "loki_discarded_bytes_total",
            "Bytes of entries that were discarded, by reason.",
            discarded,
            registry=registry,
        )
        self._mutated_samples = Counter(
            "loki_mutated_samples_total",
            "Entries that were changed, by reason.",
            ("reason", "tenant"),
            registry=registry,
        )
        self._children: dict[tuple[str, int, str], _Received] = {}

    def received(
        self,
        tenant: str,
        *,
        retention_ns: int,
        push_format: str,
        lines: int,
        line_bytes: int,
        metadata_bytes: int,
    ) -> None:
        """Count a push as it came."""
        key = (tenant, retention_ns, push_format)
        child = self._children.get(key)
        if child is None:
            labels = (tenant, hours(retention_ns), shown_format(push_format))
            child = self._children[key] = _Received(
                self._bytes.labels(*labels),
                self._metadata_bytes.labels(*labels),
                self._lines.labels(*labels),
            )
        child.bytes.inc(line_bytes + metadata_bytes)
        child.metadata_bytes.inc(metadata_bytes)
        child.lines.inc(lines)

    def discarded(
        self, tenant: str, refusals: Refusals, *, retention_ns: int, push_format: str
    ) -> None:
        """Count what validation refused."""
        for key, entries in refusals.entries.items():
            reason, policy = key
            labels = (
                reason,
                tenant,
                hours(retention_ns),
                policy,
                shown_format(push_format),
            )
            self._discarded_samples.labels(*labels).inc(entries)
            self._discarded_bytes.labels(*labels).inc(refusals.bytes[key])

    def discarded_by_ingester(
        self,
        tenant: str,
        discards: Sequence[Discard],
        *,
        retention_ns: int,
        push_format: str,
    ) -> None:
        """Count what an ingester refused."""
        for discard in discards:
            labels = (
                discard.reason,
                tenant,
                hours(retention_ns),
                "",
                shown_format(push_format),
            )
            self._discarded_samples.labels(*labels).inc(discard.entries_count)
            self._discarded_bytes.labels(*labels).inc(discard.bytes)

    def mutated(self, tenant: str, entries_of: Mapping[str, int]) -> None:
        """Count entries that were changed, by reason."""
        for reason, entries in entries_of.items():
            self._mutated_samples.labels(reason, tenant).inc(entries)


def shown_format(push_format: str) -> str:
    """Return the push protocol as metrics name it: `loki` or `otlp`."""
    return _FORMATS_SHOWN.get(push_format, push_format)


def hours(duration_ns: int) -> str:
    """Return a retention period as metrics name it."""
    return str(duration_ns // _NS_PER_HOUR)
