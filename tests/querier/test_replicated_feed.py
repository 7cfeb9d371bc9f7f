"""Tails over replicas: every entry once, on with one lost, an end with two."""

import asyncio

import pytest
from fakes.ingesters import FakeIngester, batch_of, rows_of
from fakes.rings import joined

from loki_py.errors import QuorumNotReached, Unavailable
from loki_py.querier import replicated_feed
from loki_py.querier.replicated_feed import ReplicatedFeed
from loki_py.ring.replication import ReadSet

A = {"app": "a"}
DOWN = Unavailable("down")


class Cluster:
    def __init__(self, count=3):
        self.ingesters = [FakeIngester() for _ in range(count)]
        self.instances = joined(count)
        self.feed = ReplicatedFeed(
            self,
            lambda i: self.ingesters[self.instances.index(i)],
            replication_factor=3,
            zone_aware=False,
        )

    def read_set(self):
        return ReadSet(tuple(self.instances), ())


@pytest.fixture
async def cluster(monkeypatch):
    monkeypatch.setattr(replicated_feed, "LOOK_S", 0.001)
    return Cluster()


async def taken(tail, rows):
    """Return so many rows that arrived."""
    found = []
    async with asyncio.timeout(5):
        while len(found) < rows:
            for batch in (await tail.arrivals()).batches:
                found += rows_of(batch)
    return found


async def all_followed(cluster):
    async with asyncio.timeout(5):
        while not all(i.tails for i in cluster.ingesters):  # noqa: ASYNC110
            await asyncio.sleep(0)


async def test_entry_that_three_bring_is_shown_once(cluster):
    tail = cluster.feed.tail("t", ())
    await tail.begun()
    await all_followed(cluster)
    for ingester in cluster.ingesters:
        ingester.tails[0].bring(batch_of([(A, 1, "one"), (A, 2, "two")]))
    cluster.ingesters[2].tails[0].bring(batch_of([(A, 3, "last")]))

    found = await taken(tail, 3)
    assert [line for _, _, line in found] == ["one", "two", "last"]
    tail.close()


async def test_entry_that_one_brings_twice_is_shown_twice(cluster):
    """As a process alone does."""
    tail = cluster.feed.tail("t", ())
    await tail.begun()
    await all_followed(cluster)
    for _ in range(2):
        cluster.ingesters[0].tails[0].bring(batch_of([(A, 1, "one")]))

    assert len(await taken(tail, 2)) == 2
    tail.close()


async def test_tail_goes_on_without_one(cluster):
    cluster.ingesters[0].error = DOWN
    tail = cluster.feed.tail("t", ())
    await tail.begun()
    await all_followed(cluster)
    cluster.ingesters[1].tails[0].bring(batch_of([(A, 1, "one")]))

    assert len(await taken(tail, 1)) == 1
    tail.close()


async def test_tail_without_two_does_not_begin(cluster):
    for ingester in cluster.ingesters[:2]:
        ingester.error = DOWN
    tail = cluster.feed.tail("t", ())

    with pytest.raises(QuorumNotReached, match="too many unhealthy"):
        await tail.begun()
    tail.close()


async def test_tail_ends_when_two_are_lost(cluster):
    """What could miss entries from now on says so."""
    tail = cluster.feed.tail("t", ())
    await tail.begun()
    await all_followed(cluster)
    for ingester in cluster.ingesters[:2]:
        ingester.error = DOWN
        ingester.tails[0].lose(DOWN)

    with pytest.raises(QuorumNotReached, match="down"):
        await taken(tail, 1)
    tail.close()


async def test_instance_that_comes_back_is_followed_again(cluster):
    tail = cluster.feed.tail("t", ())
    await tail.begun()
    await all_followed(cluster)
    cluster.ingesters[0].tails[0].lose(DOWN)
    async with asyncio.timeout(5):
        while len(cluster.ingesters[0].tails) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    cluster.ingesters[0].tails[-1].bring(batch_of([(A, 1, "one")]))

    assert len(await taken(tail, 1)) == 1
    tail.close()
