"""The process's metrics: a registry, and what every server counts."""

import platform
from collections.abc import Callable
from dataclasses import dataclass, field

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
)

from loki_py.runtime.logs import LEVELS

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


def log_events_counter(registry: CollectorRegistry) -> Callable[[str], None]:
    """Return what counts an event of our own log, by its level."""
    events = Counter(
        "loki_internal_log_messages",
        "Lines of this process's own log.",
        ("level",),
        registry=registry,
    )
    children = {level: events.labels(level) for level in LEVELS}
    return lambda level: children[level].inc()


@dataclass(slots=True)
class InFlight:
    """Requests of one method and route that wait for their answer.

    One of them is a block under it.
    """

    count: int = 0

    def __enter__(self) -> None:
        self.count += 1

    def __exit__(self, *_failure: object) -> None:
        self.count -= 1


@dataclass(slots=True)
class RequestMetrics:
    """How many requests there are, and how long they took.

    Both are cheap enough for every push: label sets are looked up once.
    """

    registry: CollectorRegistry
    panics: Counter = field(init=False)
    _durations: Histogram = field(init=False)
    _inflight: Gauge = field(init=False)
    _inflight_of: dict[tuple[str, str], InFlight] = field(
        init=False, default_factory=dict
    )
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
        self._inflight = Gauge(
            "loki_inflight_requests",
            "Requests that wait for their answer.",
            ("method", "route"),
            registry=self.registry,
        )
        self.panics = Counter(
            "loki_panic_total",
            "Requests that failed for a reason that nobody foresaw.",
            registry=self.registry,
        )

    def in_flight(self, method: str, route: str) -> InFlight:
        """Return what counts a request while it waits; `route` as in `observe`."""
        found = self._inflight_of.get((method, route))
        if found is None:
            found = self._inflight_of[method, route] = InFlight()
            gauge = self._inflight.labels(method, route)
            gauge.set_function(lambda waiting=found: waiting.count)  # type: ignore[misc]
        return found

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
