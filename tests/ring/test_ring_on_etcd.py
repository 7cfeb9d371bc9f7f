"""Rings on a real etcd that is killed, frozen, wiped and cut off."""

import asyncio
import subprocess
import time
from dataclasses import replace

import pytest
import pytest_asyncio
from aetcd import rpc
from fakes.etcd_server import EtcdServer
from fakes.forwarder import Forwarder

from loki_py.kv.abc import KvUnavailable
from loki_py.kv.etcd import EtcdKv
from loki_py.kv.etcd_channel import EtcdSettings
from loki_py.ring.desc import InstanceState
from loki_py.ring.lifecycler import Lifecycler
from loki_py.ring.settings import OwnInstance, RingSettings
from loki_py.ring.tokens import shares_of
from loki_py.ring.watcher import RingWatcher
from loki_py.runtime.clock import SystemClock

pytestmark = pytest.mark.slow

NS_PER_S = 1_000_000_000
CALL_NS_MAX = NS_PER_S
RING = RingSettings(
    "ingester",
    heartbeat_period_ns=NS_PER_S // 5,
    heartbeat_timeout_ns=2 * NS_PER_S,
    full_read_period_ns=NS_PER_S,
)
CLOCK = SystemClock()
UNTIL_S_MAX = 20


@pytest.fixture
def etcd(tmp_path):
    server = EtcdServer(tmp_path)
    server.start()
    yield server
    server.stop()


class Cluster:
    """Instances and watchers, each with a connection of its own."""

    def __init__(self, endpoint):
        self.endpoint = endpoint
        self._running = []
        self._stores = []

    def store(self):
        kv = EtcdKv(EtcdSettings((self.endpoint,), call_ns_max=CALL_NS_MAX))
        self._stores.append(kv)
        return kv

    async def instance(self, name, path=None):
        own = OwnInstance(name, f"{name}:9095", tokens_count=16)
        made = Lifecycler(self.store(), RING, own, clock=CLOCK, tokens_path=path)
        await self.run(made)
        made.join()
        return made

    async def watcher(self):
        return await self.run(RingWatcher(self.store(), RING, clock=CLOCK))

    async def run(self, service):
        await service.start()
        self._running.append(service)
        return service

    async def crash(self, lifecycler):
        """As `kill -9`: nothing is said to anybody any more."""
        self._running.remove(lifecycler)
        lifecycler._task.cancel()

    async def stop(self):
        while self._running:
            await self._running.pop().stop()
        while self._stores:
            await self._stores.pop().close()


@pytest_asyncio.fixture
async def cluster(etcd):
    made = Cluster(etcd.endpoint)
    yield made
    await made.stop()


async def until(condition, seconds_max=UNTIL_S_MAX):
    deadline_s = time.monotonic() + seconds_max
    while not condition():
        assert time.monotonic() < deadline_s, "it did not come to pass"
        await asyncio.sleep(0.02)


async def stays(condition, seconds):
    deadline_s = time.monotonic() + seconds
    while time.monotonic() < deadline_s:
        assert condition()
        await asyncio.sleep(0.02)


def names_in(watcher):
    return [i.instance_id for i in watcher.writable()]


async def test_instances_see_each_other_come_and_go(cluster):
    watcher = await cluster.watcher()
    a, _ = await cluster.instance("a"), await cluster.instance("b")

    await until(lambda: names_in(watcher) == ["a", "b"])
    a.leave()
    await until(lambda: names_in(watcher) == ["b"])
    assert watcher.ring.instances["a"].state is InstanceState.LEAVING


async def test_crashed_instance_becomes_unhealthy_and_is_forgotten(cluster):
    watcher = await cluster.watcher()
    a, _ = await cluster.instance("a"), await cluster.instance("b")
    await until(lambda: names_in(watcher) == ["a", "b"])

    await cluster.crash(a)

    await until(lambda: names_in(watcher) == ["b"])
    await until(lambda: set(watcher.ring.instances) == {"b"})


async def test_entry_of_a_crashed_instance_goes_with_its_lease(cluster):
    watcher, a = await cluster.watcher(), await cluster.instance("a")
    await until(lambda: names_in(watcher) == ["a"])
    kv = cluster.store()
    listing = await kv.read(RING.instances_prefix)
    await cluster.crash(a)

    seen = []
    watch = kv.watch(RING.instances_prefix, after_revision=listing.revision)
    async with asyncio.timeout(UNTIL_S_MAX):
        async for changes in watch:
            seen.extend(changes)
            if seen and seen[-1].entry is None:
                break
    await watch.aclose()

    assert seen[-1].key == RING.instance_key("a")


async def test_instance_cut_off_from_etcd_alone_serves_and_comes_back(cluster, etcd):
    """Others forget it meanwhile; its place is its own again afterwards."""
    wire = Forwarder(etcd.port)
    await wire.open()
    watcher, _ = await cluster.watcher(), await cluster.instance("b")
    cluster.endpoint = wire.endpoint
    a = await cluster.instance("a")
    await until(lambda: names_in(watcher) == ["a", "b"])
    tokens = a.desc.tokens

    await wire.cut()
    await until(lambda: set(watcher.ring.instances) == {"b"})
    assert a.reason_not_ready() is None
    await wire.open()

    await until(lambda: names_in(watcher) == ["a", "b"])
    assert watcher.ring.instances["a"].tokens == tokens
    await cluster.stop()
    await wire.cut()


async def test_five_that_join_at_once_share_evenly(cluster):
    """Each chooses from a ring in which all others that chose already are."""
    watcher = await cluster.watcher()

    five = await asyncio.gather(*(cluster.instance(f"i{n}") for n in range(5)))

    await until(lambda: len(watcher.writable()) == 5)
    tokens = {i.desc.instance_id: i.desc.tokens for i in five}
    assert len({t for own in tokens.values() for t in own}) == 5 * 16
    assert max(shares_of(tokens).values()) < 0.25


async def test_killed_etcd_stops_nothing(cluster, etcd):
    watcher = await cluster.watcher()
    a, b = await cluster.instance("a"), await cluster.instance("b")
    await until(lambda: names_in(watcher) == ["a", "b"])
    tokens = a.desc.tokens

    etcd.kill()
    await until(lambda: watcher.is_away)
    await stays(
        lambda: (
            names_in(watcher) == ["a", "b"]
            and not (a.reason_not_ready() or b.reason_not_ready())
        ),
        2 * RING.lease_s,
    )
    etcd.start()

    await until(lambda: not watcher.is_away)
    await stays(lambda: names_in(watcher) == ["a", "b"], 2 * RING.lease_s)
    assert watcher.ring.instances["a"].tokens == tokens == a.desc.tokens


async def test_etcd_that_lost_its_data_gets_the_ring_back(cluster, etcd):
    """Nobody ever sees a ring from which all vanished."""
    watcher = await cluster.watcher()
    instances = [await cluster.instance(name) for name in "abc"]
    await until(lambda: names_in(watcher) == ["a", "b", "c"])
    tokens = {i.desc.instance_id: i.desc.tokens for i in instances}

    etcd.kill()
    etcd.wipe()
    await until(lambda: watcher.is_away)
    etcd.start()
    await stays(lambda: names_in(watcher) == ["a", "b", "c"], 2 * RING.lease_s)

    listing = await cluster.store().read(RING.instances_prefix)
    assert len(listing.entries) == 3
    assert {i.desc.instance_id: i.desc.tokens for i in instances} == tokens


async def test_frozen_etcd_blocks_no_call_beyond_its_deadline(cluster, etcd):
    kv = cluster.store()
    await kv.write({"/a": b"1"})
    etcd.pause()

    start_s = time.monotonic()
    with pytest.raises(KvUnavailable):
        await kv.read("/a")
    with pytest.raises(KvUnavailable):
        await kv.keep_alive(1)
    with pytest.raises(KvUnavailable):
        await anext(kv.watch("/a", after_revision=1))
    assert time.monotonic() - start_s < 4 * CALL_NS_MAX / NS_PER_S
    etcd.resume()
    assert (await kv.read("/a")).entries["/a"].value == b"1"


async def test_frozen_etcd_stops_nothing(cluster, etcd):
    watcher = await cluster.watcher()
    a = await cluster.instance("a")
    await until(lambda: names_in(watcher) == ["a"])

    etcd.pause()
    await until(lambda: watcher.is_away)
    await stays(lambda: names_in(watcher) == ["a"], 2 * RING.lease_s)
    etcd.resume()

    await until(lambda: not watcher.is_away)
    await stays(lambda: names_in(watcher) == ["a"], 2 * RING.lease_s)
    assert a.reason_not_ready() is None


async def test_process_started_without_etcd_says_so_until_it_is_there(cluster, etcd):
    await cluster.store().write({"/etcd/is/up": b""})  # killed earlier, it stays down
    etcd.kill()
    watcher, a = await cluster.watcher(), await cluster.instance("a")

    assert "ring is not loaded: etcd at" in watcher.reason_not_ready()
    assert "PENDING: etcd at" in a.reason_not_ready()
    etcd.start()

    await until(lambda: names_in(watcher) == ["a"])
    assert watcher.reason_not_ready() is None
    assert a.reason_not_ready() is None


async def test_restarted_instance_takes_its_place_back(cluster, tmp_path):
    path = tmp_path / "tokens.json"
    watcher = await cluster.watcher()
    a = await cluster.instance("a", path)
    await until(lambda: names_in(watcher) == ["a"])
    await cluster.crash(a)
    await until(lambda: not watcher.ring.instances)
    await cluster.instance("b")

    again = await cluster.instance("a", path)

    await until(lambda: names_in(watcher) == ["a", "b"])
    assert again.desc.tokens == a.desc.tokens


async def test_next_endpoint_serves_where_the_first_does_not(etcd, tmp_path):
    nobody = EtcdServer(tmp_path / "nobody").endpoint
    endpoints = (nobody, etcd.endpoint)
    kv = EtcdKv(EtcdSettings(endpoints, call_ns_max=CALL_NS_MAX))

    with pytest.raises(KvUnavailable):
        await kv.write({"/a": b"1"})

    assert await kv.write({"/a": b"1"})
    await kv.close()


async def test_user_signs_in_and_signs_in_again(etcd):
    plain = EtcdKv(EtcdSettings((etcd.endpoint,)))
    await plain.write({"/a": b"1"})
    channel, _ = await plain._channel.connected()
    auth = rpc.AuthStub(channel)
    await auth.RoleAdd(rpc.AuthRoleAddRequest(name="root"))
    await auth.UserAdd(rpc.AuthUserAddRequest(name="root", password="secret"))
    await auth.UserGrantRole(rpc.AuthUserGrantRoleRequest(user="root", role="root"))
    await auth.AuthEnable(rpc.AuthEnableRequest())

    with pytest.raises(KvUnavailable):
        await plain.read("/a")
    settings = EtcdSettings((etcd.endpoint,), username="root", password="secret")
    kv = EtcdKv(settings)
    assert (await kv.read("/a")).entries["/a"].value == b"1"
    kv._channel._metadata = (("token", "of.yesterday"),)
    assert (await kv.read("/a")).entries["/a"].value == b"1"
    watch = kv.watch("/a", after_revision=1)
    assert await anext(watch) is not None
    await watch.aclose()

    wrong = EtcdKv(EtcdSettings((etcd.endpoint,), username="root", password="guess"))
    with pytest.raises(KvUnavailable, match="authentication failed"):
        await wrong.read("/a")
    for store in (plain, kv, wrong):
        await store.close()


def make_certificate(folder):
    """Return the paths of a certificate for 127.0.0.1, of its own authority."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes"),
            *("-keyout", key, "-out", certificate, "-days", "2"),
            *("-subj", "/CN=etcd", "-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
    )
    return str(certificate), str(key)


async def test_tls_is_mutual_and_strangers_are_refused(tmp_path):
    certificate, key = make_certificate(tmp_path)
    server = EtcdServer(
        tmp_path,
        f"--cert-file={certificate}",
        f"--key-file={key}",
        f"--trusted-ca-file={certificate}",
        "--client-cert-auth",
        scheme="https",
    )
    server.start()
    known = EtcdSettings(
        (server.endpoint,),
        tls_enabled=True,
        tls_ca_path=certificate,
        tls_cert_path=certificate,
        tls_key_path=key,
    )
    anonymous = replace(
        known, tls_cert_path="", tls_key_path="", call_ns_max=CALL_NS_MAX
    )
    distrusting = replace(known, tls_ca_path="", call_ns_max=CALL_NS_MAX)
    kv = EtcdKv(known)
    await kv.write({"/a": b"1"})
    assert (await kv.read("/a")).entries["/a"].value == b"1"
    await kv.close()

    for settings in (anonymous, distrusting):
        stranger = EtcdKv(settings)
        with pytest.raises(KvUnavailable):
            await stranger.read("/a")
        await stranger.close()
    server.stop()
