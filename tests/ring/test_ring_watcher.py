"""The watcher: a snapshot that follows the store, and outlives its absence."""

import asyncio

import pytest
from fakes.rings import NS_PER_S, instance

from loki_py.kv.memory import MemoryKv
from loki_py.ring.desc import encode_instance
from loki_py.ring.settings import RingSettings
from loki_py.ring.watcher import BACKOFF_S_MAX, RingWatcher, backoff_s
from loki_py.runtime.clock import ManualClock

SETTINGS = RingSettings("ingester", replication_factor=2)


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def kv(clock):
    return MemoryKv(clock)


@pytest.fixture
def watcher(kv, clock):
    return RingWatcher(kv, SETTINGS, clock=clock)


async def register(kv, *names):
    puts = {
        SETTINGS.instance_key(name): encode_instance(instance(name, tokens=[number]))
        for number, name in enumerate(names)
    }
    await kv.write(puts)


async def until(condition):
    """Let other tasks run until it is so."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  # the twin has no event for it
            await asyncio.sleep(0)


def names_in(watcher):
    return [i.instance_id for i in watcher.writable()]


async def test_started_watcher_knows_the_ring(kv, watcher):
    await register(kv, "a", "b")
    await watcher.start()

    assert watcher.reason_not_ready() is None
    assert names_in(watcher) == ["a", "b"]
    await watcher.stop()


async def test_change_is_followed(kv, watcher):
    await register(kv, "a")
    await watcher.start()

    await register(kv, "a", "b")
    await until(lambda: names_in(watcher) == ["a", "b"])
    await kv.delete(SETTINGS.instance_key("a"))
    await until(lambda: names_in(watcher) == ["b"])

    await watcher.stop()


async def test_last_snapshot_serves_while_the_store_is_away(kv, watcher, clock):
    await register(kv, "a")
    await watcher.start()

    kv.is_reachable = False
    await until(lambda: watcher.is_away)
    clock.advance(3_600 * NS_PER_S)

    assert names_in(watcher) == ["a"]
    assert watcher.reason_not_ready() is None
    await watcher.stop()


async def test_start_while_the_store_is_away_is_told_in_readiness(kv, watcher):
    kv.is_reachable = False
    await watcher.start()

    reason = watcher.reason_not_ready()
    assert reason == (
        "ingester ring is not loaded: the key-value store in memory is away"
    )
    await watcher.stop()


async def test_other_rings_are_not_seen(kv, watcher):
    other = RingSettings("compactor")
    await kv.write({other.instance_key("x"): encode_instance(instance("x"))})
    await watcher.load()

    assert names_in(watcher) == []


async def test_tables_follow_who_is_writable(kv, watcher):
    await register(kv, "a", "b")
    await watcher.load()
    before = watcher.write_table()

    await kv.delete(SETTINGS.instance_key("a"))
    await watcher.load()

    assert [i.instance_id for i in before.instances] == ["a", "b"]
    assert [i.instance_id for i in watcher.write_table().instances] == ["b"]


async def test_entry_that_can_not_be_read_is_told_in_readiness(kv, watcher):
    await kv.write({SETTINGS.instance_key("a"): b'{"version":7}'})
    await watcher.load()

    assert watcher.reason_not_ready() == (
        "ingester ring: instance a: ring entry has version 7; this program knows 1"
    )


async def test_compacted_history_leads_to_a_full_read(kv, watcher):
    await register(kv, "a")
    await watcher.start()

    await register(kv, "a", "b")
    kv.compact()

    await until(lambda: names_in(watcher) == ["a", "b"])
    await watcher.stop()


@pytest.mark.parametrize("failures", [1, 5, 10_000])
def test_pauses_between_tries_are_bounded(failures):
    assert 0 < backoff_s(failures) <= BACKOFF_S_MAX
