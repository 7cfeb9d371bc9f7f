"""Replicas that are not needed are not asked, until one that is fails or is slow."""

import asyncio

import pytest
from fakes.ingesters import FakeIngester, batch_of
from fakes.rings import joined

from loki_py.errors import Unavailable
from loki_py.model.matchers import Matcher, MatchType
from loki_py.model.scan import Scan
from loki_py.querier.replicated import ReplicatedSource
from loki_py.ring.replication import ReadSet
from loki_py.runtime.clock import SystemClock

SCAN = Scan((Matcher("app", MatchType.REGEXP, ".+"),), 0, 1_000)


class Asked:
    """Instances of a ring that note who is asked."""

    def __init__(self, count, *, missing=0):
        self.ingesters = {i.instance_id: FakeIngester() for i in joined(count)}
        self._instances = joined(count)
        self._missing = missing
        self.asked = []
        self.source = ReplicatedSource(
            self, self._client_of, SystemClock(), replication_factor=3, zone_aware=False
        )

    def read_set(self):
        here = len(self._instances) - self._missing
        return ReadSet(tuple(self._instances[:here]), tuple(self._instances[here:]))

    def _client_of(self, instance):
        self.asked.append(instance.instance_id)
        return self.ingesters[instance.instance_id]

    async def select(self):
        self.asked.clear()
        await self.source.select("t", SCAN)
        return sorted(self.asked)


async def test_one_of_three_is_spared_in_turns():
    ring = Asked(3)
    pairs = {tuple(await ring.select()) for _ in range(3)}

    assert {len(pair) for pair in pairs} == {2}
    assert len(pairs) == 3


async def test_nobody_is_spared_where_one_is_missing():
    ring = Asked(3, missing=1)

    assert len(await ring.select()) == 2


@pytest.mark.parametrize("trouble", ["fails", "hangs"])
async def test_spared_one_is_asked_when_another_is_in_trouble(trouble):
    ring = Asked(3)
    for ingester in ring.ingesters.values():
        await ingester.push("t", batch_of([({"app": "a"}, 1, "a")]))
    first = next(iter(ring.ingesters.values()))
    first.hangs = trouble == "hangs"
    first.error = Unavailable("down") if trouble == "fails" else None

    async with asyncio.timeout(5):
        asked = [len(await ring.select()) for _ in range(3)]
    assert sorted(asked)[1:] == [3, 3]


async def test_all_are_asked_while_they_hold_what_they_flushed():
    """A pack that nobody told of would be read beside what it was made of."""
    ring = Asked(3)
    names = list(ring.ingesters)
    for name, ingester in ring.ingesters.items():
        await ingester.push("t", batch_of([({"app": "a"}, 1, "a")]))
        ingester.packs_covered = frozenset({f"packs/{name}"})
    found = await ring.source.select("t", SCAN)
    asked = await ring.select()
    for ingester in ring.ingesters.values():
        ingester.packs_covered = frozenset()
    later = [len(await ring.select()) for _ in range(2)]

    assert found.packs_covered == {f"packs/{name}" for name in names}
    assert asked == sorted(names)
    assert later == [3, 2]


async def test_one_that_hangs_is_not_waited_for_whatever_was_flushed():
    ring = Asked(3)
    for ingester in ring.ingesters.values():
        ingester.packs_covered = frozenset({"packs/1"})
    next(iter(ring.ingesters.values())).hangs = True

    async with asyncio.timeout(5):
        await ring.select()
        assert len(await ring.select()) == 3
