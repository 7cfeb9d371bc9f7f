"""A server on a bucket that fails and caches that lie: the same answers, all lines."""

import contextlib
import random
import shutil

import pytest
from e2e.harness import Api, until
from fakes.fault_proxy import FaultProxy
from fakes.memcached_server import MemcachedServer
from fakes.s3_servers import RcloneServer

from bench.ports import free_port
from bench.server import Server
from loki_py.storage.s3_client import new_client

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

S_NS = 1_000_000_000
START_NS = 1_700_000_000 * S_NS
LINES = 2000
STREAMS = 5
PUSHES = 4
QUERIES = (
    '{app=~"app-.*"} |= "needle"',
    '{app="app-3"} != "7"',
    '{app=~"app-[12]"} | logfmt | status > 400',
)
METRICS = (
    'sum by (app) (count_over_time({app=~"app.+"}[10m]))',
    'sum(rate({app=~"app.+"} |~ "needle|404" [5m]))',
)


def written(push, stream):
    chosen = random.Random(f"{push} {stream}")
    lines = []
    for number in range(push * LINES, (push + 1) * LINES):
        status, noise = chosen.choice((200, 404, 500)), chosen.randbytes(20).hex()
        needle = " needle" if number % 50 == 0 else ""
        at_ns = START_NS + number * S_NS // 10 + stream
        lines.append((at_ns, f"line={number} status={status} id={noise}{needle}"))
    return lines


def answers_of(port):
    """Every answer of the list above, and all the lines."""
    last_ns = START_NS + (PUSHES * LINES + 10) * S_NS // 10
    when = {"start": START_NS, "end": last_ns}
    with Api(port) as api:
        found = [
            api.lines(query, start_ns=START_NS, end_ns=last_ns) for query in QUERIES
        ]
        for query in METRICS:
            data = api.query_range(query, step="60s", **when).data()["result"]
            found.append(sorted(data, key=str))
        lines = [
            api.lines(f'{{app="app-{n}"}}', start_ns=START_NS, end_ns=last_ns)
            for n in range(STREAMS)
        ]
    return found, lines


def settings_of(config, **more):
    settings = {
        "common.storage.s3.bucketnames": config.bucket,
        "common.storage.s3.endpoint": config.endpoint,
        "common.storage.s3.insecure": "true",
        "common.storage.s3.s3forcepathstyle": "true",
        "common.storage.s3.access_key_id": config.access_key_id,
        "common.storage.s3.secret_access_key": (
            config.secret_access_key.get_secret_value()
        ),
        "common.storage.s3.backoff_config.min_period": "5ms",
        "common.storage.s3.backoff_config.max_retries": "12",
    }
    return settings | more


MEMCACHED = "chunk_store_config.chunk_cache_config.memcached_client.addresses"
EMBEDDED = "chunk_store_config.chunk_cache_config.embedded_cache.enabled"


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    """A bucket behind a proxy that breaks 30 % of requests, with everything in it."""
    with contextlib.ExitStack() as stack:
        rclone = RcloneServer(tmp_path_factory.mktemp("rclone"))
        stack.callback(rclone.stop)
        proxy = FaultProxy(rclone.port)
        stack.callback(proxy.stop)
        config = rclone.config(port=proxy.port)
        client = new_client(config)
        client.create_bucket(Bucket=config.bucket)
        client.close()
        chosen = random.Random(7)
        proxy.faults.fate = lambda _number, _first: (
            chosen.choice(("503", "cut", "lost")) if chosen.random() < 0.3 else ""
        )
        with Server(settings_of(config)) as server:
            server.start()
            with Api(server.port) as api:
                for push in range(PUSHES):
                    streams = [
                        ({"app": f"app-{n}"}, written(push, n)) for n in range(STREAMS)
                    ]
                    assert api.push(streams).status == 204
                    api.flush()
                until(lambda: not list(server.data.glob("flush/*")))
            reference = answers_of(server.port)
            server.stop()
            shutil.rmtree(server.data)
        assert sum(fate != "" for fate in proxy.faults.fates) > 3
        yield config, reference, proxy


def answers_from_the_bucket(config, rounds=2, between=lambda: None, **settings):
    """What a server answers that has nothing on its disk, twice; its log."""
    with Server(settings_of(config, **settings)) as server:
        server.start()
        found = []
        for _ in range(rounds):
            found.append(answers_of(server.port))
            between()
        with Api(server.port) as api:
            hits = api.metric("loki_cache_hits")
        server.stop()
        return found, hits


def test_every_line_is_in_the_bucket_once(bucket):
    """30 % of requests fail; what was flushed is found by a new process."""
    config, reference, _ = bucket
    found, _ = answers_from_the_bucket(config, rounds=1)

    assert found == [reference]
    for stream, lines in enumerate(reference[1]):
        assert lines == [
            line for push in range(PUSHES) for line in written(push, stream)
        ]


@pytest.fixture
def memcached():
    server = MemcachedServer()
    server.start()
    yield server
    server.kill()


def test_answers_are_the_same_with_caches(bucket, memcached):
    config, reference, _ = bucket
    chosen = {MEMCACHED: memcached.address}
    for more in ({EMBEDDED: "true"}, {}, {EMBEDDED: "false"}):
        found, hits = answers_from_the_bucket(config, **(chosen | more))
        assert found == [reference, reference]
        assert hits > 0


@pytest.mark.parametrize("fault", ["kill", "pause"])
def test_answers_are_the_same_when_memcached_dies_or_freezes(bucket, memcached, fault):
    config, reference, _ = bucket
    faults = [getattr(memcached, fault)]
    found, _ = answers_from_the_bucket(
        config,
        rounds=2,
        between=lambda: [faults.pop()() for _ in faults[:1]],
        **{MEMCACHED: memcached.address},
    )

    assert found == [reference] * 2


def test_answers_are_the_same_when_memcached_was_never_there(bucket):
    config, reference, _ = bucket
    nobody = f"127.0.0.1:{free_port()}"
    found, _ = answers_from_the_bucket(config, rounds=1, **{MEMCACHED: nobody})

    assert found == [reference]


@pytest.mark.parametrize("lie", ["flipped", "swapped", "slow"])
def test_answers_are_the_same_when_memcached_lies_or_is_slow(bucket, memcached, lie):
    config, reference, _ = bucket
    proxy = FaultProxy(memcached.port)
    through = {MEMCACHED: f"127.0.0.1:{proxy.port}"}
    found, _ = answers_from_the_bucket(config, rounds=1, **through)
    assert found == [reference]
    if lie == "flipped":
        proxy.faults.rewrite = lambda data: (
            data[:200] + bytes(b ^ 1 for b in data[200:])
        )
    elif lie == "swapped":
        # Everything that was stored, under the key of something else.
        proxy.faults.rewrite = lambda data: data.replace(b"LKC\x01", b"LKC\x01xyz")
    else:
        proxy.faults.delay_s = 0.08
    found, _ = answers_from_the_bucket(config, **through)
    assert found == [reference] * 2
    proxy.stop()
