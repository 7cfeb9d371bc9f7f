"""What is counted about requests to S3, under Loki's names where they are equal."""

from prometheus_client import CollectorRegistry, Counter, Histogram

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25)


class S3Metrics:
    """Everything that the S3 store counts; each attribute is one metric."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.request_seconds = Histogram(
            "loki_s3_request_duration_seconds",
            "Time of one request to S3, answered or not.",
            ("operation", "status_code"),
            buckets=_SECONDS,
            registry=registry,
        )
        self.retries = Counter(
            "loki_s3_retries_total",
            "Requests that were tried again.",
            ("operation",),
            registry=registry,
        )
        self.retries_refused = Counter(
            "loki_s3_retries_refused_total",
            "Requests not tried again because too many others were.",
            registry=registry,
        )
        self.bytes = Counter(
            "loki_s3_bytes_total",
            "Bytes of objects sent and received.",
            ("operation",),
            registry=registry,
        )
