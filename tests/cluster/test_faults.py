"""Three ingesters, replication factor 3: killed, frozen, cut off, restarted."""

import time

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

NAMES = ("ingester-0", "ingester-1", "ingester-2")
ETCD_AWAY_S = 20
ETCD_AWAY_S_NIGHTLY = 60


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        cluster.add(*NAMES)
        yield cluster


@pytest.fixture
def cluster(running):
    """Three processes, all of them well."""
    running.heal()
    return running


def nodes_of(cluster, *, but=()):
    return [node for node in cluster.nodes.values() if node not in but]


def test_any_one_is_killed_and_nobody_notices(cluster):
    """Pushes and queries go on; every acknowledged line is there, once."""
    nodes = nodes_of(cluster)
    with Load(nodes) as load:
        for victim in nodes:
            load.grows()
            victim.kill()
            load.grows()
            load.answered()
            check_found(load, nodes_of(cluster, but=[victim])[:1])
            cluster.restart(victim)

    told("one killed after the other", load)
    check_found(load, nodes)
    assert load.given_up == 0
    # 0: the one that is dead was asked; 503: it was, while it started.
    assert load.reasons == []


def test_two_killed_are_errors_and_nothing_is_lost_when_they_return(cluster):
    """Without a quorum nothing is acknowledged, and no answer has a hole."""
    first, *others = nodes_of(cluster)
    with Load([first]) as load:
        load.grows()
        for victim in others:
            victim.kill()
        until(lambda: load.refused.total() >= 5)
        acked = load.acked_count()
        with first.api() as api:
            push = api.push([({"test": "none"}, [(time.time_ns(), "lost?")])])
            query = api.query_range(load.selector, start=load.start_ns)
        assert load.acked_count() == acked
        for victim in others:
            victim.spawn()
        cluster.settle()
        load.grows()

    told("two killed at once", load)
    assert push.status == 500
    assert query.status == 500
    assert "too many unhealthy instances in the ring" in query.text
    assert load.given_up == 0
    check_found(load, [first, *others])


def test_frozen_one_slows_nobody(cluster):
    """One that hangs costs pushes and queries no time worth mentioning."""
    victim, *others = nodes_of(cluster)
    with Load(others) as load:
        load.grows()
        victim.pause()
        load.grows(3_000)
        load.answered(10)
    victim.resume()

    told("one frozen", load)
    assert percentile(load.pushes_s, 0.99) < 1
    assert max(load.queries_s) < 5
    assert set(load.queries) == {200}
    check_found(load, [victim, *others])


def test_cluster_works_on_without_etcd(cluster, nightly):
    """The last ring that was heard of serves; who comes new says what it lacks."""
    nodes = nodes_of(cluster)
    with Load(nodes) as load:
        load.grows()
        cluster.etcd.kill()
        gone = time.monotonic() + (ETCD_AWAY_S_NIGHTLY if nightly else ETCD_AWAY_S)
        newcomer = cluster.spawn("distributor-9", target="distributor")
        until(lambda: "ring is not loaded" in newcomer.reason_not_ready())
        while time.monotonic() < gone:
            load.grows(100)
            load.answered(1)
        refused = load.refused.copy()
        cluster.etcd.start()
        cluster.settle()
        load.grows()
    cluster.remove(newcomer)

    told("etcd away", load)
    check_ring(nodes)
    assert load.given_up == 0
    assert refused.total() == 0
    assert set(load.queries) == {200}
    check_found(load, nodes)


def test_rolling_restart_costs_no_line(cluster, nightly):
    """Each is told to stop and started again, under load."""
    nodes = nodes_of(cluster)
    with Load(nodes) as load:
        for _ in range(2 if nightly else 1):
            for node in nodes:
                load.grows()
                assert node.stop() == 0
                cluster.restart(node)

    told("rolling restart", load)
    assert load.given_up == 0
    check_found(load, nodes)
