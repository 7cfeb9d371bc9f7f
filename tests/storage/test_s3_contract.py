"""S3: the promises of every store, kept on rclone's and on moto's S3."""

import contextlib

import pytest
from fakes.s3_servers import MotoServer, RcloneServer
from prometheus_client import CollectorRegistry
from test_object_store import (  # noqa: F401
    test_deleted_object_is_gone_and_may_be_deleted_again,
    test_file_is_copied_not_shared,
    test_list_is_ascending_and_exact_for_any_prefix,
    test_missing_object_is_not_found,
    test_object_comes_back_as_it_was_put,
    test_open_object_outlives_its_deletion,
    test_putting_the_same_bytes_again_is_harmless,
    test_random_access_reads_ranges,
)

from loki_py.storage import s3
from loki_py.storage.cache import EmbeddedCache
from loki_py.storage.cache_metrics import CacheMetrics
from loki_py.storage.caching import CachingStore
from loki_py.storage.memory import MemoryStore
from loki_py.storage.s3 import S3Store
from loki_py.storage.s3_client import new_client
from loki_py.storage.s3_metrics import S3Metrics

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    with contextlib.ExitStack() as stack:
        running = {
            "rclone": RcloneServer(tmp_path_factory.mktemp("rclone")),
            "moto": MotoServer(),
        }
        for server in running.values():
            stack.callback(server.stop)
        yield running


@pytest.fixture(scope="module")
def stores(servers):
    with contextlib.ExitStack() as stack:
        yield {name: stack.enter_context(opened(servers[name])) for name in servers}


@pytest.fixture(params=["rclone", "moto", "cached-rclone", "cached-memory"])
def store(request, stores):
    """What the imported tests are run on; empty."""
    kind, _, name = request.param.rpartition("-")
    chosen = MemoryStore() if name == "memory" else stores[name]
    for key in list(chosen.list("")):
        chosen.delete(key)
    if kind:
        cache = EmbeddedCache(10 << 20)
        chosen = CachingStore(chosen, cache, CacheMetrics(CollectorRegistry()))
    return chosen


@contextlib.contextmanager
def opened(server, *, part_bytes=5 << 20, **settings):
    config = server.config(**settings)
    client = new_client(config)
    client.create_bucket(Bucket=config.bucket)
    client.close()
    store = S3Store(config, S3Metrics(CollectorRegistry()), part_bytes=part_bytes)
    store.start()
    yield store
    store.close()


@pytest.mark.parametrize("name", ["rclone", "moto"])
@pytest.mark.parametrize("put_checksum", ["crc32c", "md5", "none"])
def test_large_file_travels_in_parts(servers, tmp_path, name, put_checksum):
    """More than two parts, the last one short; ranges across their borders."""
    data = bytes(range(251)) * 47_000  # 11.8 MB, no multiple of a part
    source = tmp_path / "pack"
    source.write_bytes(data)
    with opened(servers[name], put_checksum=put_checksum) as store:
        store.put("tenant/packs/1", source)

        assert store.get("tenant/packs/1") == data
        assert store.size("tenant/packs/1") == len(data)
        with store.open_input("tenant/packs/1") as file:
            assert file.size() == len(data)
            border = 5 << 20
            assert file.read_at(1000, border - 500) == data[border - 500 : border + 500]
            assert file.read_at(100, len(data) - 100) == data[-100:]
            assert file.read_at(100, len(data) - 10) == data[-10:]


@pytest.mark.parametrize("name", ["rclone", "moto"])
@pytest.mark.parametrize(
    "key", ["a%2Fb/packs/x", "%2Ehidden/index/y", "t+1/a b=c&d", "ü/漢"]
)
def test_tenants_with_odd_names_keep_their_keys(servers, name, key):
    with opened(servers[name]) as store:
        store.put(key, b"x")

        assert store.get(key) == b"x"
        assert list(store.list("")) == [key]
        assert list(store.list(key.partition("/")[0] + "/")) == [key]


@pytest.mark.parametrize("name", ["rclone", "moto"])
def test_list_goes_on_after_a_page(servers, monkeypatch, name):
    """More keys than one answer holds."""
    monkeypatch.setattr(s3, "LIST_KEYS_MAX", 3)
    keys = [f"t/index/{number:04}" for number in range(8)]
    with opened(servers[name]) as store:
        for key in keys:
            store.put(key, b"")

        assert list(store.list("t/")) == keys
