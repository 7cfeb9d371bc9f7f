"""Replicated pushes: answered at quorum, whoever hangs, fails or refuses."""

import asyncio

import pytest
from fakes.ingesters import FakeIngester, batch_of
from fakes.rings import joined
from prometheus_client import CollectorRegistry

from loki_py.distributor.replicated import (
    ReplicatedSink,
    ReplicationMetrics,
    TokenCache,
)
from loki_py.errors import LimitExceeded, QuorumNotReached, Unavailable
from loki_py.model.labels import LabelSet, token_of
from loki_py.ring.lookup import build_table
from loki_py.transport.abc import Discard, PushAnswer

DOWN = Unavailable("down")
STREAMS = [{"app": str(n)} for n in range(20)]


class Cluster:
    """Instances on a ring, and a sink over them."""

    def __init__(self, count=3, *, inflight_bytes_max=1 << 20):
        self.ingesters = [FakeIngester() for _ in range(count)]
        self.instances = joined(count)
        self._table = build_table(
            self.instances, replication_factor=3, zone_aware=False
        )
        self.registry = CollectorRegistry()
        self.sink = ReplicatedSink(
            self,
            lambda i: self.ingesters[self.instances.index(i)],
            ReplicationMetrics(self.registry),
            replication_factor=3,
            inflight_bytes_max=inflight_bytes_max,
        )

    def write_table(self):
        return self._table

    def unhealthy(self):
        return self.instances[-1:]

    async def push(self, rows=None):
        rows = rows or [(labels, n, f"line {n}") for n, labels in enumerate(STREAMS)]
        return await self.sink.push("t", batch_of(rows))


async def test_every_row_is_with_three_of_five_instances():
    cluster = Cluster(5)
    await cluster.push()
    await cluster.sink.stop()

    held = [row for i in cluster.ingesters for row in i.held("t")]
    assert len(set(held)) == 20
    assert all(held.count(row) == 3 for row in set(held))


async def test_push_is_answered_without_the_slowest():
    """One instance that hangs costs no time."""
    cluster = Cluster()
    cluster.ingesters[1].hangs = True

    async with asyncio.timeout(1):
        assert await cluster.push() == PushAnswer()


async def test_push_fails_when_two_of_three_fail():
    cluster = Cluster()
    cluster.ingesters[0].error = cluster.ingesters[2].error = DOWN

    with pytest.raises(QuorumNotReached, match=r"20 of 20 streams.*down"):
        await cluster.push()


async def test_push_fails_at_once_where_too_few_instances_are_there():
    with pytest.raises(QuorumNotReached, match="at least 2 live replicas required"):
        await Cluster(1).push()


async def test_what_a_majority_refuses_is_refused():
    """Rules of the ingesters reach the client as they do from one."""
    cluster = Cluster()
    for ingester in cluster.ingesters[:2]:
        ingester.answer = PushAnswer({3: LimitExceeded("too fast")})
    answer = await cluster.push()

    assert list(answer.rejected) == [3]
    assert isinstance(answer.rejected[3], LimitExceeded)


async def test_instance_with_too_much_unanswered_counts_as_failed():
    """What hangs takes a bounded amount of memory."""
    cluster = Cluster(inflight_bytes_max=100)
    cluster.ingesters[0].hangs = True
    row = [({"app": "a"}, 1, "x" * 80)]
    await cluster.push(row)
    await cluster.push(row)
    failures = cluster.registry.get_sample_value(
        "loki_distributor_ingester_append_failures_total", {"ingester": "ingester-0"}
    )

    assert failures == 1


async def test_break_in_a_client_is_a_failure_of_that_instance():
    cluster = Cluster()
    cluster.ingesters[0].error = ZeroDivisionError()

    assert await cluster.push() == PushAnswer()


def test_tokens_are_those_of_the_streams():
    streams = [LabelSet.of(labels) for labels in STREAMS]
    cache = TokenCache()
    wanted = [token_of("t", labels) for labels in streams]

    assert cache.tokens_of("t", streams).tolist() == wanted
    assert cache.tokens_of("t", streams[::-1]).tolist() == wanted[::-1]
    assert cache.tokens_of("u", streams).tolist() != wanted


def limited(*discards):
    """Return an answer that refuses the streams of some discards."""
    return PushAnswer({d.stream: LimitExceeded("too many") for d in discards}, discards)


async def test_what_replicas_discard_is_told_once():
    """A quorum that refused a stream refused the same entries of it."""
    cluster = Cluster()
    for ingester in cluster.ingesters:
        ingester.answer = limited(Discard("stream_limit", 3, 70, 4))

    answer = await cluster.push()

    assert list(answer.rejected) == [4]
    assert answer.discards == (Discard("stream_limit", 3, 70, 4),)


async def test_what_one_replica_alone_discards_is_not_discarded():
    """The quorum stored it."""
    cluster = Cluster()
    cluster.ingesters[1].answer = limited(Discard("stream_limit", 3, 70, 4))

    answer = await cluster.push()

    assert answer == PushAnswer()
