"""What is counted about caches, under Loki's names where they are equal."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25)


class CacheMetrics:
    """Everything that caches count; each attribute is one metric.

    Counts of keys are gauges that only grow: Loki's names do not end in
    `_total`, as the names of counters do here.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.fetched_keys = Gauge(
            "loki_cache_fetched_keys",
            "Parts of objects asked of the cache.",
            ("name",),
            registry=registry,
        ).labels("chunks")
        self.hits = Gauge(
            "loki_cache_hits",
            "Parts of objects that the cache had.",
            ("name",),
            registry=registry,
        ).labels("chunks")
        self.corrupt = Counter(
            "loki_cache_corrupt_chunks_total",
            "Values refused because they are not what was stored.",
            registry=registry,
        )
        self.memcached_seconds = Histogram(
            "loki_memcache_request_duration_seconds",
            "Time of one request to memcached.",
            ("method", "status_code"),
            buckets=_SECONDS,
            registry=registry,
        )
        self.dropped_writes = Counter(
            "loki_cache_dropped_background_writes_total",
            "Values not stored: the queue was full, memcached did not answer, "
            "or they are larger than it takes.",
            registry=registry,
        )
        self.breaker_open = Gauge(
            "loki_cache_breaker_open",
            "1 while memcached is not asked because it failed repeatedly.",
            registry=registry,
        )
