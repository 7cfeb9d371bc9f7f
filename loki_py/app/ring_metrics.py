"""How many instances each ring has, by their state."""

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Gauge

from loki_py.api.ring_routes import RingView
from loki_py.ring.desc import InstanceState

UNHEALTHY = "Unhealthy"
"""A judgement and no state, which takes the place of the state as in Loki."""


def count_members(
    registry: CollectorRegistry, rings: Mapping[str, RingView], *, heartbeat_ns_max: int
) -> None:
    """Register the numbers; they are counted when they are asked for."""
    members = Gauge(
        "loki_ring_members",
        "Instances in a ring, by state; Unhealthy those with an old heartbeat.",
        ("name", "state"),
        registry=registry,
    )
    for name, view in rings.items():
        for state in (*InstanceState, None):
            label = UNHEALTHY if state is None else state.value
            members.labels(name, label).set_function(
                _counting(view, state, heartbeat_ns_max)
            )


def _counting(
    view: RingView, state: InstanceState | None, heartbeat_ns_max: int
) -> Callable[[], float]:
    def count() -> float:
        ring = view.ring
        unhealthy = {
            each.instance_id
            for each in ring.unhealthy(heartbeat_ns_max=heartbeat_ns_max)
        }
        if state is None:
            return len(unhealthy)
        return sum(
            each.state is state and name not in unhealthy
            for name, each in ring.instances.items()
        )

    return count
