"""Counters of the ingester, under Loki's names where the meaning is the same."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_PREFIX = "loki_ingester_"
_FLUSH_SECONDS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


class IngesterMetrics:
    """Everything the ingester counts; each attribute is one metric."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, help_text: str, *labels: str) -> Counter:
            return Counter(_PREFIX + name, help_text, labels, registry=registry)

        def gauge(name: str, help_text: str, *labels: str) -> Gauge:
            return Gauge(_PREFIX + name, help_text, labels, registry=registry)

        self.streams = gauge("memory_streams", "Streams held.", "tenant")
        self.streams_created = counter(
            "streams_created_total", "Streams created.", "tenant"
        )
        self.streams_removed = counter(
            "streams_removed_total", "Streams forgotten after idleness.", "tenant"
        )
        self.head_bytes = gauge("head_bytes", "Bytes of heads, sealed ones included.")
        self.block_file_bytes = gauge(
            "block_files_bytes", "Bytes of block files on local disk."
        )
        self.cuts = counter("cuts_total", "Generations cut into block files.")
        self.cut_failures = counter(
            "cut_failures_total", "Cuts that failed and were tried again."
        )
        self.duplicates = counter(
            "duplicates_total", "Entries dropped because they were there already."
        )
        self.chunks_flushed = counter(
            "chunks_flushed_total", "Chunks flushed.", "reason"
        )
        self.chunks_sent = counter(
            "sent_chunks_total", "Chunks that others took over instead."
        )
        self.flush_failures = counter(
            "chunks_flush_failures_total", "Flushes that failed and are tried again."
        )
        self.flush_seconds = _flush_seconds(registry)
        self.wal_bytes_in_use = gauge("wal_bytes_in_use", "Bytes of WAL segments.")
        self.wal_records = gauge(
            "wal_records_logged", "WAL records written since the start."
        )
        self.wal_fsyncs = gauge("wal_fsyncs", "WAL group commits since the start.")
        self.wal_corruptions = counter(
            "wal_corruptions_total", "Damaged spans of the WAL found.", "type"
        )
        self.wal_recovered_entries = counter(
            "wal_recovered_entries_total", "Entries replayed from the WAL."
        )
        self.wal_replay_seconds = gauge(
            "wal_replay_duration_seconds", "Time the last replay took."
        )


def _flush_seconds(registry: CollectorRegistry) -> Histogram:
    return Histogram(
        f"{_PREFIX}flush_seconds",
        "Time of one flush of one tenant.",
        registry=registry,
        buckets=_FLUSH_SECONDS,
    )
