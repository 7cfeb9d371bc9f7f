"""A ring of those who keep data: nobody who holds any is overlooked."""

import asyncio

import pytest
from fakes.rings import instance

from loki_py.kv.memory import MemoryKv
from loki_py.ring.desc import InstanceState, encode_instance
from loki_py.ring.holders import DataRing
from loki_py.ring.settings import RingSettings
from loki_py.runtime.clock import ManualClock

SETTINGS = RingSettings("ingester")


@pytest.fixture
def kv():
    return MemoryKv(ManualClock())


@pytest.fixture
async def ring(kv):
    ring = DataRing(kv, SETTINGS, clock=ManualClock())
    await ring.start()
    yield ring
    await ring.stop()


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  # the twin has no event for it
            await asyncio.sleep(0)


async def register(kv, *instances):
    await kv.write(
        {SETTINGS.instance_key(i.instance_id): encode_instance(i) for i in instances}
    )


def ids(instances):
    return [i.instance_id for i in instances]


async def test_living_holder_is_asked_and_not_missing(kv, ring):
    await ring.claim(instance("a"))
    await register(kv, instance("a", tokens=[1]))
    await until(lambda: ring.holders and ring.ring.instances)

    assert ids(ring.read_set().asked) == ["a"]
    assert ring.read_set().missing == ()


async def test_holder_without_an_entry_is_missing(kv, ring):
    """An entry goes with its lease; what was on the disk did not."""
    await ring.claim(instance("a"))
    await register(kv, instance("a", tokens=[1]), instance("b", tokens=[2]))
    await kv.delete(SETTINGS.instance_key("a"))
    await until(lambda: ring.holders and list(ring.ring.instances) == ["b"])

    assert ids(ring.read_set().asked) == ["b"]
    assert ids(ring.read_set().missing) == ["a"]
    assert ids(ring.unhealthy()) == ["a"]


async def test_holder_that_starts_anew_is_missing_once(kv, ring):
    """PENDING with tokens is missing as an instance already."""
    await ring.claim(instance("a"))
    pending = instance("a", tokens=[1], state=InstanceState.PENDING)
    await register(kv, pending)
    await until(lambda: ring.holders and ring.ring.instances)

    assert ids(ring.read_set().missing) == ["a"]


async def test_released_holder_is_not_missed(ring):
    await ring.claim(instance("a"))
    await until(lambda: ring.holders)
    await ring.release("a")
    await until(lambda: not ring.holders)

    assert ring.read_set().missing == ()


async def test_forgotten_instance_leaves_nothing(kv, ring):
    await ring.claim(instance("a"))
    await register(kv, instance("a", tokens=[1]))
    await until(lambda: ring.holders and ring.ring.instances)
    await ring.forget("a")
    await until(lambda: not ring.holders and not ring.ring.instances)

    assert ring.read_set().missing == ()


async def test_ring_whose_holders_are_not_known_is_not_ready(kv):
    kv.is_reachable = False
    ring = DataRing(kv, SETTINGS, clock=ManualClock())
    await ring.start()

    assert "ring is not loaded" in ring.reason_not_ready()
    await ring.stop()
