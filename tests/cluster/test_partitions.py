"""Three processes, one cut off from etcd, one from who pushes and asks."""

import pytest
from cluster.harness import (
    Cluster,
    Load,
    check_found,
    check_ring,
    percentile,
    told,
    until,
)
from fakes.wires import Wire

from bench.ports import free_port

NAMES = ("whole", "without-etcd", "without-peers")
FAR = "127.0.0.2"


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """Yield a cluster, the wire to etcd of one, and that of peers to another."""
    with Cluster(tmp_path_factory.mktemp("partitions")) as cluster:
        to_etcd, port = Wire(cluster.etcd.port), free_port()
        to_peer = Wire(port, host=FAR, port=port)
        key = "common.ring.kvstore.etcd.endpoints"
        cluster.spawn("whole")
        cluster.spawn("without-etcd", **{key: f"[127.0.0.1:{to_etcd.port}]"})
        at_far = {"common.instance_addr": FAR, "server.grpc_listen_port": str(port)}
        cluster.spawn("without-peers", **at_far)
        cluster.settle()
        yield cluster, to_etcd, to_peer
    to_etcd.stop()
    to_peer.stop()


@pytest.fixture
def wires(running):
    """The same, with both wires whole."""
    cluster, *both = running
    for wire in both:
        wire.heal()
    cluster.heal()
    return running


def failures_at(node):
    """Return how many batches ingesters did not take from this distributor."""
    with node.api() as api:
        return api.metric("loki_distributor_ingester_append_failures_total")


def test_one_without_etcd_serves_on_and_comes_back_as_who_it_was(wires):
    """The others do without it; what it takes meanwhile is found by all."""
    cluster, wire, _ = wires
    nodes = list(cluster.nodes.values())
    whole, cut, other = nodes
    tokens = whole.ring()[cut.name]["tokens"]
    with Load(nodes) as load:
        load.grows()
        wire.cut()
        # Its entry went with its lease; that it may hold data is still known.
        until(lambda: whole.ring()[cut.name]["tokens"] == [])
        assert whole.ring()[cut.name]["state"] == "UNHEALTHY"
        load.grows()
        load.answered()
        check_found(load, [whole, cut, other])
        wire.heal()
        cluster.settle()
        load.grows()

    told("one cut off from etcd", load)
    assert whole.ring()[cut.name]["tokens"] == tokens
    check_ring(nodes)
    assert load.given_up == 0
    assert load.refused.total() == 0
    assert set(load.queries) == {200}
    check_found(load, nodes)


def test_one_that_peers_do_not_reach_costs_neither_time_nor_lines(wires):
    """etcd says that it is well, and nobody waits for it."""
    cluster, _, wire = wires
    nodes = list(cluster.nodes.values())
    whole = nodes[0]
    failures = failures_at(whole)
    with Load(nodes) as load:
        load.grows()
        wire.cut()
        until(lambda: failures_at(whole) > failures)
        load.grows(1_000)
        load.answered(10)
        check_found(load, nodes)
        wire.heal()
        load.grows()

    told("one cut off from its peers", load)
    check_ring(nodes)
    assert load.given_up == 0
    assert load.refused.total() == 0
    assert set(load.queries) == {200}
    assert percentile(load.pushes_s, 0.99) < 1
    check_found(load, nodes)
