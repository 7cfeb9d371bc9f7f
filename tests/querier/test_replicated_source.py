"""Reads over replicas: whole with one lost, an error with two, never a hole."""

import asyncio

import pytest
from fakes.ingesters import FakeIngester, batch_of
from fakes.rings import joined

from loki_py.errors import QuorumNotReached, Unavailable, ValidationFailed
from loki_py.model.matchers import Matcher, MatchType
from loki_py.model.scan import BatchUnit, Columns, ReadStats, Scan, Skipped
from loki_py.querier.merge import merged
from loki_py.querier.replicated import ReplicatedSource
from loki_py.ring.replication import ReadSet
from loki_py.runtime.clock import SystemClock
from loki_py.transport.abc import Selection
from loki_py.wire.cells import cells_of

SCAN = Scan((Matcher("app", MatchType.REGEXP, ".+"),), 0, 1_000)
DOWN = Unavailable("down")
APP = {"app": "a"}


class Cluster:
    """Instances, those of them that are asked, and a source over them."""

    def __init__(self, count=3, *, missing=0):
        self.ingesters = [FakeIngester(f"{n}/head") for n in range(count)]
        self.instances = joined(count)
        self._asked = count - missing
        self.source = ReplicatedSource(
            self,
            lambda i: self.ingesters[self.instances.index(i)],
            SystemClock(),
            replication_factor=3,
            zone_aware=False,
        )

    def read_set(self):
        return ReadSet(
            tuple(self.instances[: self._asked]), tuple(self.instances[self._asked :])
        )

    async def hold(self, batch):
        for ingester in self.ingesters:
            await ingester.push("t", batch)


async def test_entry_of_three_replicas_is_read_once():
    cluster = Cluster()
    await cluster.hold(batch_of([(APP, 1, "a"), (APP, 2, "b")]))
    found = await cluster.source.select("t", SCAN)

    units = merged(found.units, SCAN)
    rows = [len(unit.read(Columns(), ReadStats())) for unit in units]
    assert sum(rows) == 2


async def test_one_instance_that_fails_is_no_error():
    cluster = Cluster()
    cluster.ingesters[0].error = DOWN
    await cluster.ingesters[1].push("t", batch_of([(APP, 1, "a")]))

    assert len((await cluster.source.select("t", SCAN)).units) == 1


async def test_one_instance_that_hangs_is_not_waited_for():
    cluster = Cluster()
    cluster.ingesters[2].hangs = True

    async with asyncio.timeout(1):
        await cluster.source.select("t", SCAN)


@pytest.mark.parametrize("lost", [(0, 1), (0, 2), (1, 2)])
async def test_two_lost_are_an_error_that_names_them(lost):
    """What could be missing is never left out silently."""
    cluster = Cluster()
    for number in lost:
        cluster.ingesters[number].error = DOWN

    with pytest.raises(QuorumNotReached, match=r"ingester-\d \(down\)") as raised:
        await cluster.source.select("t", SCAN)
    assert all(f"ingester-{number}" in str(raised.value) for number in lost)


async def test_one_missing_in_the_ring_and_one_failing_are_two_lost():
    cluster = Cluster(missing=1)
    cluster.ingesters[0].error = DOWN

    with pytest.raises(QuorumNotReached, match=r"ingester-2 \(not in reach\)"):
        await cluster.source.series("t", (), start_ns=0, end_ns=1)


async def test_suspect_is_left_out_where_the_read_is_whole_without_it():
    cluster = Cluster()
    await cluster.hold(batch_of([(APP, 1, "a")]))
    cluster.source.suspect("ingester-1")
    cluster.ingesters[1].error = AssertionError("asked")

    assert len((await cluster.source.select("t", SCAN)).units) == 2


async def test_suspect_is_asked_where_the_read_is_not_whole_without_it():
    """Being suspected costs no answer that could be had."""
    cluster = Cluster()
    cluster.source.suspect("ingester-1")
    cluster.ingesters[0].error = DOWN

    await cluster.source.select("t", SCAN)


async def test_refused_question_is_refused():
    """What is wrong with the question is told, not retried elsewhere."""
    cluster = Cluster()
    for ingester in cluster.ingesters:
        ingester.error = ValidationFailed("bad question")

    with pytest.raises(ValidationFailed, match="bad question"):
        await cluster.source.select("t", SCAN)


async def test_empty_ring_is_an_error():
    with pytest.raises(QuorumNotReached, match="empty ring"):
        await Cluster(0).source.select("t", SCAN)


async def test_packs_that_one_ingester_covers_are_not_read_again():
    cluster = Cluster()
    for number, ingester in enumerate(cluster.ingesters):
        ingester.packs_covered = frozenset({f"pack-{number}"})
    found = await cluster.source.select("t", SCAN)

    assert len(found.packs_covered) >= 2
    assert all(key.startswith("pack-") for key in found.packs_covered)


async def test_what_an_ingester_lost_is_told_with_its_name():
    """Others may have it, but nobody can know."""
    cluster = Cluster(1)
    cluster.ingesters[0].missing = ("block 7 is set aside",)

    found = await cluster.source.select("t", SCAN)

    assert found.missing == ("ingester ingester-0: block 7 is set aside",)


async def test_what_replicas_passed_over_is_counted_once():
    cluster = Cluster()
    for ingester in cluster.ingesters:
        ingester.skipped = Skipped(outside_time=6, other_streams=2)
    found = await cluster.source.select("t", SCAN)

    assert found.skipped == Skipped(outside_time=6, other_streams=2)


async def test_chunks_that_an_equal_replica_answers_for_are_counted():
    """One of three that hold the same is read: two chunks of each other one are not."""
    cluster = Cluster()
    batch = batch_of([(APP, 1, "a"), ({"app": "b"}, 2, "b")])
    for ingester in cluster.ingesters:
        ingester.select = equal_replica(batch, ingester.origin)
    found = await cluster.source.select("t", SCAN)

    assert len(found.units) == 1
    assert found.chunks_matched == 2
    assert found.skipped.other_replicas == 2 * (found.ingesters_count - 1)


def equal_replica(batch, origin):
    async def select(tenant, scan):  # noqa: ARG001
        return Selection(
            [BatchUnit(batch, origin=origin)],
            chunks_matched=2,
            streams=batch.streams,
            cells=lambda _: cells_of(batch),
        )

    return select


async def test_ingesters_that_answered_are_counted():
    cluster = Cluster()
    cluster.ingesters[0].error = DOWN

    assert (await cluster.source.select("t", SCAN)).ingesters_count == 2
