"""The lifecycler: coming, living, leaving, and a store that goes away."""

import asyncio

import pytest
from fakes.rings import NS_PER_S

from loki_py.kv.abc import KvUnavailable
from loki_py.kv.memory import MemoryKv
from loki_py.ring.desc import InstanceState, decode_instance, encode_instance
from loki_py.ring.lifecycler import InstanceSuperseded, Lifecycler
from loki_py.ring.settings import OwnInstance, RingSettings
from loki_py.ring.tokens import shares_of
from loki_py.runtime.clock import ManualClock

SETTINGS = RingSettings("ingester")
TOKENS_COUNT = 8


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def kv(clock):
    return MemoryKv(clock)


@pytest.fixture
def born(kv, clock):
    """Return what makes the process of an instance."""

    def make(name="ingester-0", *, path=None, address="here:1"):
        clock.advance(1)
        own = OwnInstance(name, address, tokens_count=TOKENS_COUNT)
        return Lifecycler(kv, SETTINGS, own, clock=clock, tokens_path=path)

    return make


async def written(kv, name="ingester-0"):
    """Return the instance as others see it, None where they do not."""
    entry = (await kv.read(SETTINGS.instances_prefix)).entries.get(
        SETTINGS.instance_key(name)
    )
    return None if entry is None else decode_instance(entry.value)


async def joined(lifecycler):
    lifecycler.join()
    await lifecycler.beat()
    return lifecycler


async def states_seen(kv, during):
    """Return the states that a watch sees while `during` runs."""
    revision = (await kv.read(SETTINGS.instances_prefix)).revision
    watch = kv.watch(SETTINGS.instances_prefix, after_revision=revision)
    await anext(watch)
    await during
    changes = await anext(watch)
    await watch.aclose()
    return [decode_instance(c.entry.value).state for c in changes]


async def test_new_instance_registers_as_pending_without_tokens(born, kv):
    lifecycler = born()
    await lifecycler.beat()

    assert (await written(kv)).state is InstanceState.PENDING
    assert (await written(kv)).tokens == ()
    assert "PENDING" in lifecycler.reason_not_ready()


async def test_joining_instance_is_seen_joining_and_then_active(born, kv):
    lifecycler = born()
    await lifecycler.beat()
    lifecycler.join()

    seen = await states_seen(kv, lifecycler.beat())

    assert seen[-2:] == [InstanceState.JOINING, InstanceState.ACTIVE]
    assert len((await written(kv)).tokens) == TOKENS_COUNT
    assert lifecycler.reason_not_ready() is None


async def test_leaving_instance_keeps_its_tokens_and_is_not_ready(born, kv):
    lifecycler = await joined(born())
    tokens = lifecycler.desc.tokens

    lifecycler.leave()
    await lifecycler.beat()

    assert (await written(kv)).state is InstanceState.LEAVING
    assert (await written(kv)).tokens == tokens
    assert "leaving" in lifecycler.reason_not_ready()


async def test_stopped_instance_is_gone(born, kv):
    lifecycler = await joined(born())

    await lifecycler.stop()

    assert await written(kv) is None


async def test_heartbeat_moves_and_keeps_the_entry(born, kv, clock):
    lifecycler = await joined(born())
    for _ in range(20):
        clock.advance(60 * NS_PER_S)
        await lifecycler.beat()

    assert (await written(kv)).heartbeat_ns == clock.now_ns()


async def test_silent_instance_is_forgotten_without_an_operator(born, kv, clock):
    await joined(born())

    clock.advance((SETTINGS.lease_s + 1) * NS_PER_S)

    assert await written(kv) is None


async def test_restarted_instance_takes_its_tokens_from_the_ring(born, kv):
    tokens = (await joined(born())).desc.tokens

    again = await joined(born())

    assert again.desc.tokens == tokens == (await written(kv)).tokens


async def test_forgotten_instance_takes_its_tokens_from_its_file(born, tmp_path):
    path = tmp_path / "tokens.json"
    first = await joined(born(path=path))
    await first.stop()
    await joined(born("ingester-1"))

    again = await joined(born(path=path))

    assert again.desc.tokens == first.desc.tokens


async def test_returning_instance_shows_its_tokens_while_it_reads_its_disk(
    born, kv, tmp_path
):
    """So that readers know that it may hold entries."""
    path = tmp_path / "tokens.json"
    first = await joined(born(path=path))
    await first.stop()

    await born(path=path).beat()

    assert (await written(kv)).state is InstanceState.PENDING
    assert (await written(kv)).tokens == first.desc.tokens


@pytest.mark.parametrize(
    "text", ["", "{", '{"version":2,"tokens":[1]}', '{"version":1,"tokens":[-1]}']
)
async def test_damaged_tokens_file_costs_only_the_place(born, tmp_path, text):
    path = tmp_path / "tokens.json"
    path.write_text(text)

    lifecycler = await joined(born(path=path))

    assert len(lifecycler.desc.tokens) == TOKENS_COUNT


async def test_tokens_taken_meanwhile_are_replaced(born, clock):
    """Two instances never have a token in common."""
    first = await joined(born())
    clock.advance((SETTINGS.lease_s + 1) * NS_PER_S)
    thief = born("thief")
    thief._desc = type(thief.desc)(
        "thief", "there:1", InstanceState.PENDING, tokens=first.desc.tokens[:3]
    )
    await joined(thief)

    await first.beat()

    assert first.desc.state is InstanceState.ACTIVE
    assert not set(first.desc.tokens) & set(thief.desc.tokens)
    assert len(first.desc.tokens) == TOKENS_COUNT


async def test_store_away_stops_nothing_and_is_made_up_for(born, kv, clock):
    lifecycler = await joined(born())
    tokens = lifecycler.desc.tokens
    kv.is_reachable = False
    for _ in range(3):
        clock.advance(60 * NS_PER_S)
        with pytest.raises(KvUnavailable):
            await lifecycler.beat()
    assert lifecycler.reason_not_ready() is None

    kv.is_reachable = True
    assert await written(kv) is None
    await lifecycler.beat()

    assert (await written(kv)).state is InstanceState.ACTIVE
    assert (await written(kv)).tokens == tokens


async def test_start_while_the_store_is_away_is_told_in_readiness(born, kv):
    kv.is_reachable = False
    lifecycler = born()
    await lifecycler.start()
    lifecycler.join()

    assert "PENDING: the key-value store in memory is away" in (
        lifecycler.reason_not_ready()
    )
    await lifecycler.stop()


async def test_entry_forgotten_by_an_operator_comes_back_if_we_live(born, kv):
    lifecycler = await joined(born())
    await kv.delete(SETTINGS.instance_key("ingester-0"))

    await lifecycler.beat()

    assert (await written(kv)) == lifecycler.desc


async def test_write_whose_answer_was_lost_is_recognised_as_ours(born, kv):
    lifecycler = await joined(born())
    key = SETTINGS.instance_key("ingester-0")
    await kv.write({key: encode_instance(lifecycler.desc)}, lease=lifecycler._lease)

    await lifecycler.beat()

    assert lifecycler.reason_not_ready() is None


async def test_second_process_with_one_id_supersedes_the_first(born, kv):
    first = await joined(born())
    await joined(born(address="there:2"))

    with pytest.raises(InstanceSuperseded, match="used by another process, at there:2"):
        await first.beat()
    assert (await written(kv)).address == "there:2"
    with pytest.raises(InstanceSuperseded):
        await first.beat()
    first._note_trouble("superseded")
    assert first.reason_not_ready() == "ingester ring: superseded"


async def test_superseded_process_leaves_the_entry_of_the_other(born, kv):
    first = await joined(born())
    await joined(born(address="there:2"))
    with pytest.raises(InstanceSuperseded):
        await first.beat()

    await first.stop()

    assert (await written(kv)).address == "there:2"


async def test_five_that_join_at_once_choose_one_after_the_other(born):
    """Nobody's tokens are chosen from a ring in which another one is missing."""
    five = [born(f"ingester-{n}") for n in range(5)]

    await asyncio.gather(*(joined(lifecycler) for lifecycler in five))

    shares = shares_of({i.desc.instance_id: i.desc.tokens for i in five})
    assert max(shares.values()) < 0.25
    assert all(i.desc.state is InstanceState.ACTIVE for i in five)


async def test_instance_of_a_newer_program_stops_us_from_choosing_tokens(born, kv):
    """Tokens chosen without knowing all others could be another's."""
    await joined(born("ingester-9"))
    key = SETTINGS.instance_key("ingester-9")
    there = await written(kv, "ingester-9")
    newer = encode_instance(there).replace(b":1,", b":7,", 1)
    await kv.write({key: newer})
    lifecycler = born()
    await lifecycler.start()

    assert "version 7" in lifecycler.reason_not_ready()
    await lifecycler.stop()


async def test_running_task_beats_at_once_when_it_shall_join(born, kv):
    lifecycler = born()
    await lifecycler.start()
    watch = kv.watch(SETTINGS.instances_prefix, after_revision=1)

    lifecycler.join()
    async with asyncio.timeout(5):
        async for changes in watch:
            if [c for c in changes if b"ACTIVE" in c.entry.value]:
                break

    await watch.aclose()
    await lifecycler.stop()
    assert await written(kv) is None
