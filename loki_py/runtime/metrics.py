"""The process's metrics: a registry, and what every server counts."""

import platform
from dataclasses import dataclass, field

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
)

_DURATION_BUCKETS_S = (
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1,
    2.5,
    5,
    10,
    25,
    50,
    100,
)


def new_registry(version: str) -> CollectorRegistry:
    """Return a registry that knows the process, its memory and its build."""
    registry = CollectorRegistry(auto_describe=True)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    build = Info("loki_build", "What this process was built from.", registry=registry)
    build.info({"version": version, "pythonversion": platform.python_version()})
    return registry


@dataclass(slots=True)
class RequestMetrics:
    """How long requests took, by method, route and status.

    `observe` is cheap enough for every push: label sets are looked up once.
    """

    registry: CollectorRegistry
    panics: Counter = field(init=False)
    _durations: Histogram = field(init=False)
    _children: dict[tuple[str, str, int], Histogram] = field(
        init=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        """Register the metrics."""
        self._durations = Histogram(
            "loki_request_duration_seconds",
            "Time (in seconds) spent serving HTTP requests.",
            ("method", "route", "status_code", "ws"),
            buckets=_DURATION_BUCKETS_S,
            registry=self.registry,
        )
        self.panics = Counter(
            "loki_panic_total",
            "Requests that failed for a reason that nobody foresaw.",
            registry=self.registry,
        )

    def observe(
        self, *, method: str, route: str, status: int, duration_ns: int
    ) -> None:
        """Count one answered request.

        Args:
            route: the name of the route, never the path as it was asked, so
                that the number of label sets stays bounded.
        """
        key = (method, route, status)
        child = self._children.get(key)
        if child is None:
            child = self._durations.labels(method, route, str(status), "false")
            self._children[key] = child
        child.observe(duration_ns / 1e9)
