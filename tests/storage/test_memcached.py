"""memcached, real: answers are the same when it is dead, slow or lies."""

import contextlib
import socket
import time

import pytest
from fakes.fault_proxy import FaultProxy
from fakes.memcached_server import MemcachedServer
from prometheus_client import CollectorRegistry
from pymemcache import Client

from bench.ports import free_port
from loki_py.config.storage_schema import MemcachedConfig
from loki_py.runtime.clock import SystemClock
from loki_py.storage import cache_memcached
from loki_py.storage.cache import cache_key, encode_value
from loki_py.storage.cache_breaker import Breaker
from loki_py.storage.cache_memcached import MemcachedCache
from loki_py.storage.cache_metrics import CacheMetrics
from loki_py.storage.caching import CachingStore
from loki_py.storage.memory import MemoryStore

pytestmark = pytest.mark.slow

DATA = bytes(range(251)) * 4000  # 8 pages
KEYS = [cache_key(object_key=f"t/packs/{number}", what="0") for number in range(40)]
PROBE_NS = 50_000_000


@pytest.fixture
def server():
    memcached = MemcachedServer()
    memcached.start()
    yield memcached
    memcached.kill()


@pytest.fixture
def proxy(server):
    between = FaultProxy(server.port)
    yield between
    between.stop()


@contextlib.contextmanager
def cache_at(*ports, **settings):
    addresses = ",".join(f"127.0.0.1:{port}" for port in ports)
    config = MemcachedConfig.model_validate({"addresses": addresses} | settings)
    registry = CollectorRegistry()
    metrics = CacheMetrics(registry)
    cache = MemcachedCache(
        config, SystemClock(), metrics, breaker=Breaker(probe_ns=PROBE_NS)
    )
    cache.test_metrics, cache.test_registry = metrics, registry
    try:
        yield cache
    finally:
        cache.close()


def eventually(check, *, within_s=10):
    """Wait for what happens in the background."""
    deadline_s = time.monotonic() + within_s
    while not check():
        assert time.monotonic() < deadline_s, "did not happen"
        time.sleep(0.01)


def reads_are_right(cache, *, rounds=3):
    """Read an object in all ways, again and again, through the cache."""
    store = MemoryStore()
    store.put("t/packs/1", DATA)
    cached = CachingStore(store, cache, cache.test_metrics)
    for _ in range(rounds):
        assert cached.get("t/packs/1") == DATA
        with cached.open_input("t/packs/1") as file:
            assert file.size() == len(DATA)
            assert file.read_at(300_000, 100_000) == DATA[100_000:400_000]
            assert file.read_at(10, len(DATA) - 10) == DATA[-10:]


def test_values_come_back_from_several_servers(server):
    other = MemcachedServer()
    other.start()
    values = {key: encode_value(key, key * 1000) for key in KEYS}
    with cache_at(server.port, other.port, timeout="2s") as cache:
        cache.put_many(values)
        eventually(lambda: cache.get_many(KEYS) == values)
        for port in (server.port, other.port):
            client = Client(("127.0.0.1", port))
            assert client.stats()[b"curr_items"] > 5
            client.close()
        cache.forget(KEYS[:3])
        eventually(lambda: set(cache.get_many(KEYS)) == set(KEYS[3:]))
    other.kill()


@pytest.mark.parametrize(
    "settings",
    [
        lambda port: {"host": "localhost", "service": str(port)},
        lambda port: {"addresses": f"dns+127.0.0.1:{port}", "update_interval": "1ns"},
    ],
)
def test_servers_are_found_by_name(server, settings):
    with cache_at(**{"timeout": "2s"} | settings(server.port)) as cache:

        def works():
            cache.put_many({KEYS[0]: b"x"})
            return cache.get_many(KEYS[:1]) == {KEYS[0]: b"x"}

        eventually(works)


def test_servers_stay_known_while_names_do_not_resolve(server, monkeypatch):
    settings = {"addresses": f"dns+127.0.0.1:{server.port}", "update_interval": "1ns"}
    with cache_at(timeout="2s", **settings) as cache:
        cache.put_many({KEYS[0]: b"x"})
        eventually(lambda: cache.get_many(KEYS[:1]))

        def fail(*_args, **_kwargs):
            raise socket.gaierror("no answer")

        monkeypatch.setattr(cache_memcached, "_all_of", fail)
        assert cache.get_many(KEYS[:1]) == {KEYS[0]: b"x"}


def test_reads_are_right_and_come_from_memcached(server):
    with cache_at(server.port, timeout="2s") as cache:
        reads_are_right(cache)

        hits = {"name": "chunks"}
        sample_of = cache.test_registry.get_sample_value
        eventually(lambda: sample_of("loki_cache_hits", hits) > 0)


def test_value_too_large_is_not_sent(server):
    with cache_at(server.port, max_item_size="1KB") as cache:
        cache.put_many({KEYS[0]: bytes(1025)})

        assert cache.get_many(KEYS[:1]) == {}
        dropped = "loki_cache_dropped_background_writes_total"
        assert cache.test_registry.get_sample_value(dropped) == 1


def test_dead_server_costs_no_answer(server):
    with cache_at(server.port) as cache:
        reads_are_right(cache, rounds=1)
        server.kill()
        reads_are_right(cache)
        for _ in range(6):
            cache.get_many(KEYS[:1])

        assert cache.breaker.is_open
        assert cache.test_registry.get_sample_value("loki_cache_breaker_open") == 1


def test_server_that_was_never_there_costs_no_answer():
    with cache_at(free_port()) as cache:
        reads_are_right(cache)


def test_name_that_does_not_resolve_costs_no_answer():
    with cache_at(host="no-such-host.invalid") as cache:
        reads_are_right(cache)


def test_frozen_server_costs_its_timeout_a_few_times_and_then_nothing(server):
    with cache_at(server.port) as cache:
        reads_are_right(cache, rounds=1)
        server.pause()
        start_s = time.monotonic()
        reads_are_right(cache, rounds=20)

        # 20 rounds ask 100 times; probes apart, five of them wait.
        assert time.monotonic() - start_s < 5
        assert cache.breaker.is_open
        server.resume()


def test_cache_is_used_again_when_the_server_is_back(server, monkeypatch):
    monkeypatch.setattr(cache_memcached, "SERVER_DEAD_S", 0.05)
    with cache_at(server.port, timeout="1s") as cache:
        server.kill()
        for _ in range(8):
            cache.get_many(KEYS[:1])
        assert cache.breaker.is_open
        server.start()

        def works():
            cache.put_many({KEYS[0]: b"x"})
            return cache.get_many(KEYS[:1]) == {KEYS[0]: b"x"}

        eventually(works)
        assert not cache.breaker.is_open


@pytest.mark.parametrize("delay_s", [0.03, 0.3])
def test_slow_server_costs_no_answer_and_little_time(server, proxy, delay_s):
    """Each piece of an answer late: a call ends after its timeout all the same."""
    with cache_at(server.port, timeout="2s") as warm:
        reads_are_right(warm, rounds=1)
    proxy.faults.delay_s = delay_s
    with cache_at(proxy.port) as cache:
        start_s = time.monotonic()
        reads_are_right(cache, rounds=5)

        assert time.monotonic() - start_s < 6


LIES = {
    "zeros": lambda data: bytes(len(data)),
    "text": lambda data: (b"garbage\r\n" * len(data))[: len(data)],
    "flipped": lambda data: data[:300] + bytes(b ^ 1 for b in data[300:]),
    "cut": lambda data: data[: len(data) // 2],
    "misses": lambda _: b"END\r\n",
    "errors": lambda _: b"SERVER_ERROR out of memory\r\n",
}


@pytest.mark.parametrize("lie", LIES)
def test_lying_server_costs_no_answer(server, proxy, lie):
    with cache_at(server.port, timeout="2s") as warm:
        reads_are_right(warm, rounds=1)
    proxy.faults.rewrite = LIES[lie]
    with cache_at(proxy.port) as cache:
        reads_are_right(cache)


def test_value_of_another_tenant_is_refused(server):
    """Every value of one tenant replaced by a whole value of another one."""
    store = MemoryStore()
    store.put("a/packs/1", DATA)
    store.put("b/packs/1", DATA[::-1])
    client = Client(("127.0.0.1", server.port))
    with cache_at(server.port, timeout="2s") as cache:
        cached = CachingStore(store, cache, cache.test_metrics)

        def names(tenant):
            size = cache_key(object_key=f"{tenant}/packs/1", what="size")
            page = 128 * 1024
            return [size.hex()] + [
                cache_key(object_key=f"{tenant}/packs/1", what=f"{at}+{page}").hex()
                for at in range(0, len(DATA), page)
            ]

        cached.get("a/packs/1")
        eventually(lambda: len(client.get_many(names("a"))) == len(names("a")))
        stored = client.get_many(names("a"))
        for theirs, ours in zip(names("a"), names("b"), strict=True):
            client.set(ours, stored[theirs])

        assert cached.get("b/packs/1") == DATA[::-1]
        corrupt = "loki_cache_corrupt_chunks_total"
        assert cache.test_registry.get_sample_value(corrupt) >= 1
    client.close()


def test_closed_cache_answers_nothing_and_does_not_raise(server):
    with cache_at(server.port) as cache:
        cache.close()

        cache.put_many({KEYS[0]: b"x"})
        cache.forget(KEYS[:1])
        assert cache.get_many(KEYS[:1]) == {}
