"""How many instances each ring has is counted when it is asked for."""

from prometheus_client import CollectorRegistry

from loki_py.app.ring_metrics import count_members
from loki_py.app.ring_views import AloneView
from loki_py.ring.desc import InstanceDesc, InstanceState, RingDesc

HEARTBEAT_NS = 100


class View(AloneView):
    """A ring that changes."""

    ring = RingDesc()


def instance(name, state, *, seen_ns):
    return InstanceDesc(name, "host:1", state, seen_ns=seen_ns)


def test_members_are_counted_by_state_and_the_silent_as_unhealthy():
    registry = CollectorRegistry()
    view = View(instance("x", InstanceState.ACTIVE, seen_ns=0))
    count_members(registry, {"ingester": view}, heartbeat_ns_max=HEARTBEAT_NS)

    def counted(state):
        return registry.get_sample_value(
            "loki_ring_members", {"name": "ingester", "state": state}
        )

    states = ("PENDING", "JOINING", "ACTIVE", "LEAVING", "Unhealthy")
    assert [counted(state) for state in states] == [0] * 5
    members = [
        instance("a", InstanceState.ACTIVE, seen_ns=1_000),
        instance("b", InstanceState.ACTIVE, seen_ns=1_000),
        instance("c", InstanceState.ACTIVE, seen_ns=1),
        instance("d", InstanceState.LEAVING, seen_ns=1_000),
    ]
    View.ring = RingDesc({each.instance_id: each for each in members}, 1_000)

    assert [counted(state) for state in states] == [0, 0, 2, 1, 1]
