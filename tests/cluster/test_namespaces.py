"""Three processes in network namespaces, one of which loses the link to its peers."""

import contextlib

import pytest
from cluster.harness import Cluster, Load, Node, check_found, check_ring, told, until
from fakes.namespaces import Namespaces, NotPossible
from fakes.wires import Wire

pytestmark = pytest.mark.nightly

ANYWHERE = "0.0.0.0"


@pytest.fixture
def apart(tmp_path):
    """Yield a cluster whose processes share no network but the link to peers."""
    with contextlib.ExitStack() as stack:
        try:
            spaces = stack.enter_context(Namespaces(3))
        except NotPossible as why:
            pytest.skip(f"no network namespaces here: {why}")
        cluster = stack.enter_context(Cluster(tmp_path))
        for number in range(3):
            to_etcd = Wire(cluster.etcd.port, host=spaces.outside(number))
            stack.callback(to_etcd.stop)
            etcd = f"[{spaces.outside(number)}:{to_etcd.port}]"
            name = f"apart-{number}"
            node = cluster.nodes[name] = Node(
                cluster,
                name,
                {
                    "target": "all",
                    "common.ring.kvstore.etcd.endpoints": etcd,
                    "common.instance_addr": spaces.among_peers(number),
                    "server.grpc_listen_address": ANYWHERE,
                    "server.http_listen_address": ANYWHERE,
                },
            )
            node.prefix = spaces.prefix(number)
            # Who tests asks at 127.0.0.1, as where there are no namespaces.
            to_api = Wire(node.port, port=node.port, target_host=spaces.inside(number))
            stack.callback(to_api.stop)
            node.spawn()
        cluster.settle()
        yield cluster, spaces


def failures_at(node):
    """Return how many batches ingesters did not take from this distributor."""
    with node.api() as api:
        return api.metric("loki_distributor_ingester_append_failures_total")


def test_one_whose_link_to_peers_is_down_costs_no_line(apart):
    """It hears of etcd and of clients; nobody else hears of it until it is back."""
    cluster, spaces = apart
    nodes = list(cluster.nodes.values())
    whole = nodes[:2]
    with Load(whole) as load:
        load.grows()
        spaces.cut(2)
        until(lambda: failures_at(whole[0]) > 0)
        load.grows()
        load.answered(10)
        check_found(load, whole)
        spaces.heal(2)
        load.grows()

    told("one whose link to peers is down", load)
    check_ring(nodes)
    assert load.given_up == 0
    assert load.refused.total() == 0
    assert set(load.queries) == {200}
    check_found(load, nodes)
