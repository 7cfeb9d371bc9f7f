"""The key-value store's promises, kept by the twin in memory and by real etcd."""

import asyncio
import contextlib

import pytest
import pytest_asyncio
from fakes.etcd_server import EtcdServer

from loki_py.kv.abc import LeaseGone, RevisionCompacted, RevisionConflict
from loki_py.kv.etcd import EtcdKv
from loki_py.kv.etcd_channel import EtcdSettings
from loki_py.kv.memory import MemoryKv
from loki_py.runtime.clock import ManualClock

NS_PER_S = 1_000_000_000
ANSWER_S_MAX = 10


class MemoryCase:
    """The twin, whose time is moved by hand."""

    def __init__(self):
        self._clock = ManualClock()
        self.kv = MemoryKv(self._clock)

    async def let_pass(self, seconds):
        self._clock.advance(seconds * NS_PER_S)
        self.kv.expire_leases()

    async def compact(self):
        self.kv.compact()


class EtcdCase:
    """A real server."""

    def __init__(self, endpoint):
        self.kv = EtcdKv(EtcdSettings((endpoint,)))

    async def let_pass(self, seconds):
        await asyncio.sleep(seconds)

    async def compact(self):
        from aetcd import rpc

        listing = await self.kv.read("/")
        channel, _ = await self.kv._channel.connected()
        request = rpc.CompactionRequest(revision=listing.revision)
        await rpc.KVStub(channel).Compact(request)


@pytest.fixture(scope="module")
def etcd(tmp_path_factory):
    server = EtcdServer(tmp_path_factory.mktemp("etcd"))
    server.start()
    yield server
    server.stop()


@pytest_asyncio.fixture(params=["memory", pytest.param("etcd", marks=pytest.mark.slow)])
async def case(request):
    if request.param == "memory":
        made = MemoryCase()
    else:
        made = EtcdCase(request.getfixturevalue("etcd").endpoint)
        for key in (await made.kv.read("/")).entries:
            await made.kv.delete(key)
    yield made
    await made.kv.close()


async def next_of(watch):
    return await asyncio.wait_for(anext(watch), ANSWER_S_MAX)


async def drained(watch):
    while True:
        await next_of(watch)


async def test_what_was_written_is_read_with_its_revision(case):
    revision = await case.kv.write({"/a/1": b"one", "/b/1": b"other"})

    listing = await case.kv.read("/a/")
    assert {k: e.value for k, e in listing.entries.items()} == {"/a/1": b"one"}
    assert listing.revision_of("/a/1") == revision == listing.revision


async def test_write_with_stale_revision_changes_nothing(case):
    first = await case.kv.write({"/a": b"1"})
    await case.kv.write({"/a": b"2"})

    with pytest.raises(RevisionConflict):
        await case.kv.write({"/a": b"3", "/b": b"3"}, expected={"/a": first})
    listing = await case.kv.read("/")
    assert {k: e.value for k, e in listing.entries.items()} == {"/a": b"2"}


async def test_expected_zero_means_the_key_is_not_there(case):
    await case.kv.write({"/a": b"1"}, expected={"/a": 0})

    with pytest.raises(RevisionConflict):
        await case.kv.write({"/a": b"2"}, expected={"/a": 0})


async def test_write_is_guarded_by_keys_it_does_not_write(case):
    revision = await case.kv.write({"/epoch": b"1"})
    await case.kv.write({"/epoch": b"2"})

    with pytest.raises(RevisionConflict):
        await case.kv.write({"/a": b"1"}, expected={"/epoch": revision, "/a": 0})


async def test_one_of_many_racing_writers_wins_each_round(case):
    async def add_one(name):
        for _ in range(200):
            listing = await case.kv.read("/n")
            entry = listing.entries.get("/n")
            value = 0 if entry is None else int(entry.value)
            with contextlib.suppress(RevisionConflict):
                await case.kv.write(
                    {"/n": b"%d" % (value + 1)},
                    expected={"/n": listing.revision_of("/n")},
                )
                return name
        raise AssertionError("never won")

    await asyncio.gather(*(add_one(n) for n in range(5)))

    assert (await case.kv.read("/n")).entries["/n"].value == b"5"


async def test_delete_says_whether_the_key_was_there(case):
    await case.kv.write({"/a": b"1"})

    assert await case.kv.delete("/a")
    assert not await case.kv.delete("/a")
    assert not (await case.kv.read("/a")).entries


async def test_keys_go_with_their_lease_and_only_they(case):
    lease = await case.kv.grant(1)
    await case.kv.write({"/a": b"1"}, lease=lease)
    await case.kv.write({"/b": b"1"})

    await case.let_pass(4)

    assert set((await case.kv.read("/")).entries) == {"/b"}
    with pytest.raises(LeaseGone):
        await case.kv.keep_alive(lease)
    with pytest.raises(LeaseGone):
        await case.kv.write({"/a": b"2"}, lease=lease)


async def test_lease_kept_alive_keeps_its_keys(case):
    lease = await case.kv.grant(3)
    await case.kv.write({"/a": b"1"}, lease=lease)

    for _ in range(3):
        await case.let_pass(2)
        await case.kv.keep_alive(lease)

    assert (await case.kv.read("/a")).entries


async def test_key_written_again_belongs_to_the_later_lease_only(case):
    old, new = await case.kv.grant(1), await case.kv.grant(60)
    await case.kv.write({"/a": b"1"}, lease=old)
    await case.kv.write({"/a": b"2"}, lease=new)

    await case.let_pass(4)

    assert (await case.kv.read("/a")).entries["/a"].value == b"2"


async def test_watch_yields_every_change_after_the_read(case):
    await case.kv.write({"/a/0": b"before"})
    listing = await case.kv.read("/a/")
    await case.kv.write({"/a/1": b"between", "/z": b"elsewhere"})

    async with contextlib.aclosing(
        case.kv.watch("/a/", after_revision=listing.revision)
    ) as watch:
        assert list(await next_of(watch)) == []
        [between] = await next_of(watch)
        await case.kv.delete("/a/0")
        [deleted] = await next_of(watch)

    assert (between.key, between.entry.value) == ("/a/1", b"between")
    assert (deleted.key, deleted.entry) == ("/a/0", None)


async def test_watch_sees_keys_go_with_their_lease(case):
    lease = await case.kv.grant(1)
    revision = await case.kv.write({"/a": b"1"}, lease=lease)

    async with contextlib.aclosing(
        case.kv.watch("/a", after_revision=revision)
    ) as watch:
        await next_of(watch)
        await case.let_pass(2)
        [gone] = await next_of(watch)

    assert (gone.key, gone.entry) == ("/a", None)


async def test_watch_from_a_compacted_revision_says_so(case):
    first = await case.kv.write({"/a": b"1"})
    for value in (b"2", b"3", b"4"):
        await case.kv.write({"/a": value})
    await case.compact()

    async with contextlib.aclosing(case.kv.watch("/a", after_revision=first)) as watch:
        with pytest.raises(RevisionCompacted):
            await drained(watch)
