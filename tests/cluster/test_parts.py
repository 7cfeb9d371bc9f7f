"""A cluster of parts: who writes does not read, and members come and go."""

import contextlib
import json
import time
import urllib.parse
from collections import Counter

import pytest
from cluster.harness import (
    NS_PER_S,
    Cluster,
    Load,
    check_found,
    check_ring,
    told,
    until,
)
from websockets.sync.client import connect

NAMES = ("ingester-0", "ingester-1", "ingester-2")


@contextlib.contextmanager
def parts(folder):
    """Yield three ingesters, a distributor and a querier."""
    with Cluster(folder, **{"pattern_ingester.enabled": "true"}) as cluster:
        for name in NAMES:
            cluster.spawn(name, target="ingester")
        cluster.spawn("distributor-0", target="distributor")
        cluster.spawn("querier-0", target="querier")
        cluster.settle()
        yield cluster


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Parts that stay."""
    with parts(tmp_path_factory.mktemp("parts")) as cluster:
        yield cluster


@pytest.fixture
def own_cluster(tmp_path):
    """Parts of which some will be missing."""
    with parts(tmp_path) as cluster:
        yield cluster


def test_parts_answer_as_a_whole(cluster):
    """Pushes go to distributors, questions to queriers, entries to ingesters."""
    distributor, querier = cluster.nodes["distributor-0"], cluster.nodes["querier-0"]
    with Load([distributor], asks=False) as load:
        load.grows()

    told("distributor, querier and three ingesters", load)
    check_found(load, [querier])
    for name in NAMES:
        with cluster.nodes[name].api() as api:
            api.flush()
    check_found(load, [querier])
    with distributor.api() as api:
        assert api.query_range(load.selector).status == 404
        assert "ingester-0" in api.get("/ring").text
        assert api.get("/services").text.count("=> Running") >= 5
    with querier.api() as api:
        assert api.push([({"a": "b"}, [(time.time_ns(), "x")])]).status == 404


def test_tail_shows_what_any_ingester_takes_once(cluster):
    """Three ingesters tell of each entry; the reader sees it once."""
    distributor, querier = cluster.nodes["distributor-0"], cluster.nodes["querier-0"]
    with Load([distributor], asks=False) as load:
        url = f"ws://127.0.0.1:{querier.port}/loki/api/v1/tail"
        query = urllib.parse.urlencode({"query": load.selector})
        with connect(f"{url}?{query}&start={load.start_ns}&limit=5000") as tail:
            load.grows()
            found = _lines_of(tail, load)

    counts = Counter(found)
    assert [pair for pair, count in counts.items() if count > 1] == []
    assert counts.keys() <= load.sent


def _lines_of(tail, load):
    """Return what a tail shows until all that was promised before is there."""
    wanted = load.promised()
    found = []
    while wanted - set(found):
        frame = json.loads(tail.recv(timeout=30))
        found += [
            (int(ns), line)
            for stream in frame["streams"] or ()
            for ns, line in stream["values"]
        ]
    return found


def test_patterns_of_replicas_are_counted_once(cluster):
    """Three ingesters count each line; before and after a flush it is one line."""
    distributor, querier = cluster.nodes["distributor-0"], cluster.nodes["querier-0"]
    start_ns = time.time_ns() - 60 * NS_PER_S
    streams = [
        (
            {"test": "patterns", "stream": str(stream)},
            [(time.time_ns(), f"order {n} took {n * 7} ms") for n in range(100, 120)],
        )
        for stream in range(5)
    ]
    with distributor.api() as api:
        assert api.push(streams).status == 204

    def counted():
        with querier.api() as api:
            answer = api.get(
                "/loki/api/v1/patterns", query='{test="patterns"}', start=start_ns
            )
        return {
            each["pattern"]: sum(count for _, count in each["samples"])
            for each in answer.data()
        }

    until(lambda: counted() == {"order <_> took <_> ms": 100})
    for name in NAMES:
        with cluster.nodes[name].api() as api:
            api.flush()
        assert counted() == {"order <_> took <_> ms": 100}


@pytest.mark.nightly
def test_ingester_leaves_for_good_and_is_not_missed(own_cluster):
    """What it held is in object storage before its last sign is taken away."""
    cluster = own_cluster
    ingesters = [cluster.nodes[name] for name in NAMES]
    distributor = cluster.nodes["distributor-0"]
    querier = cluster.nodes["querier-0"]
    (newcomer,) = cluster.add("ingester-3", target="ingester")
    with Load([distributor], asks=False) as load:
        load.grows()
        leave(ingesters[0])
        load.grows()
        cluster.nodes.pop("ingester-0")
        with querier.api() as api:
            assert "ingester-0" not in api.get("/ring").text
        ingesters[1].kill()
        load.grows()

        check_found(load, [querier])
        cluster.restart(ingesters[1])
    told("one left for good, one killed", load)
    check_found(load, [querier])
    assert newcomer.process is not None


def test_instance_that_is_gone_is_missed_until_it_is_forgotten(own_cluster):
    """A ring entry that ran out hides nobody; the operator decides."""
    cluster = own_cluster
    querier = cluster.nodes["querier-0"]
    distributor = cluster.nodes["distributor-0"]
    victims = [cluster.nodes[name] for name in NAMES[-2:]]
    with Load([distributor], asks=False) as load:
        load.grows()
    for victim in victims:
        victim.kill()
        del cluster.nodes[victim.name]

    def answer():
        with querier.api() as api:
            return api.query_range(load.selector, start=load.start_ns)

    until(lambda: answer().status == 500)
    until(lambda: _ring_without(querier, victims), seconds=60)
    assert answer().status == 500
    with querier.api() as api:
        told_how = api.request(
            "POST",
            "/ring",
            body=f"forget={victims[0].name}".encode(),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )
    assert told_how.status == 302
    until(lambda: answer().status == 200)


def _ring_without(node, victims):
    """Return whether the entries of the victims ran out: no tokens are left."""
    with node.api() as api:
        answer = api.request("GET", "/ring", headers={"Accept": "application/json"})
    tokens = {
        shard["id"]: shard["tokens"] for shard in json.loads(answer.body)["shards"]
    }
    return all(tokens[victim.name] == [] for victim in victims)


@pytest.mark.nightly
def test_ingesters_come_and_go_under_load(tmp_path):
    """Three become five and three again; each that went left nothing behind."""
    with Cluster(tmp_path) as cluster:
        stay = cluster.add(*NAMES)
        with Load(stay) as load:
            load.grows()
            come = cluster.add("ingester-4", **{"ingester.handover_max_size": "64MB"})
            come += cluster.add("ingester-3")
            load.grows()
            check_ring(stay + come)
            check_found(load, stay + come)
            for node in come:
                leave(node)
                load.grows()
                check_found(load, stay[:1])
                del cluster.nodes[node.name]
        handed, none = (lines_about("handed over", node) for node in come)
        assert handed
        assert all("refused=0" in line for line in handed)
        assert none == []

        told("three, five, three", load)
        check_ring(stay)
        assert stay[0].ring().keys() == set(NAMES)
        assert load.given_up == 0
        assert load.reasons == []
        stay[0].kill()
        check_found(load, stay[1:])


def lines_about(what, node):
    return [line for line in node.log.read_text().splitlines() if what in line]


def leave(node):
    """Have an ingester go for good; return when it is gone."""
    with node.api() as api:
        assert api.request("POST", "/ingester/shutdown").status == 204
    until(lambda: node.process.poll() is not None)
    node.process = None
