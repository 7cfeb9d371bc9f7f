"""Counters of the ingester, under Loki's names where the meaning is the same."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class IngesterMetrics:
    """Everything the ingester counts; each attribute is one metric."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.streams = Gauge(
            "loki_ingester_memory_streams",
            "Streams held, by tenant.",
            ["tenant"],
            registry=registry,
        )
        self.streams_created = Counter(
            "loki_ingester_streams_created_total",
            "Streams created, by tenant.",
            ["tenant"],
            registry=registry,
        )
        self.streams_removed = Counter(
            "loki_ingester_streams_removed_total",
            "Streams forgotten after idleness, by tenant.",
            ["tenant"],
            registry=registry,
        )
        self.head_bytes = Gauge(
            "loki_ingester_head_bytes",
            "Bytes of heads in memory, sealed ones included.",
            registry=registry,
        )
        self.block_file_bytes = Gauge(
            "loki_ingester_block_files_bytes",
            "Bytes of block files on local disk, flushed ones included.",
            registry=registry,
        )
        self.cuts = Counter(
            "loki_ingester_cuts_total", "Generations cut.", registry=registry
        )
        self.cut_failures = Counter(
            "loki_ingester_cut_failures_total",
            "Cuts that failed and are tried again.",
            registry=registry,
        )
        self.duplicates = Counter(
            "loki_ingester_duplicates_total",
            "Entries dropped because they were there already.",
            registry=registry,
        )
        self.chunks_flushed = Counter(
            "loki_ingester_chunks_flushed_total",
            "Chunks flushed, by reason.",
            ["reason"],
            registry=registry,
        )
        self.flush_failures = Counter(
            "loki_ingester_chunks_flush_failures_total",
            "Flushes that failed and are tried again.",
            registry=registry,
        )
        self.flush_seconds = Histogram(
            "loki_ingester_flush_seconds",
            "Time of one flush of one tenant.",
            registry=registry,
            buckets=(0.1, 0.3, 1, 3, 10, 30, 100),
        )
        self.wal_bytes_in_use = Gauge(
            "loki_ingester_wal_bytes_in_use",
            "Bytes of WAL segments on disk.",
            registry=registry,
        )
        self.wal_records = Gauge(
            "loki_ingester_wal_records_logged",
            "Records written to the WAL since the start.",
            registry=registry,
        )
        self.wal_fsyncs = Gauge(
            "loki_ingester_wal_fsyncs",
            "Group commits of the WAL since the start.",
            registry=registry,
        )
        self.wal_corruptions = Counter(
            "loki_ingester_wal_corruptions_total",
            "Damaged spans of the WAL found at replay, by kind.",
            ["type"],
            registry=registry,
        )
        self.wal_recovered_entries = Counter(
            "loki_ingester_wal_recovered_entries_total",
            "Entries replayed from the WAL.",
            registry=registry,
        )
        self.wal_replay_seconds = Gauge(
            "loki_ingester_wal_replay_duration_seconds",
            "Time the last replay took.",
            registry=registry,
        )
