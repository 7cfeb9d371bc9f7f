"""Caches: what is kept, what is believed, and when nothing is asked."""

import io
import threading

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from test_object_store import BAD_KEYS

from loki_py.config.storage_schema import S3Config
from loki_py.errors import ObjectNotFound, TruncatedData
from loki_py.storage import caching
from loki_py.storage.cache import (
    FRAME_BYTES,
    EmbeddedCache,
    TieredCache,
    cache_key,
    decode_value,
    encode_value,
)
from loki_py.storage.cache_breaker import Breaker
from loki_py.storage.cache_metrics import CacheMetrics
from loki_py.storage.caching import CachingStore
from loki_py.storage.memory import MemoryStore
from loki_py.storage.ranges import RangeInput
from loki_py.storage.retries import Backoff, RetryBudget
from loki_py.storage.s3 import S3Store
from loki_py.storage.s3_client import encryption_of, endpoint_of, new_client
from loki_py.storage.s3_metrics import S3Metrics

KEY = cache_key(object_key="a/packs/1", what="0+10")
OTHER = cache_key(object_key="b/packs/1", what="0+10")
S_NS = 1_000_000_000


def test_value_comes_back():
    for payload in (b"", b"x", bytes(100_000)):
        assert decode_value(KEY, encode_value(KEY, payload)) == payload


@pytest.mark.parametrize("cut", range(FRAME_BYTES + 5))
def test_cut_value_is_refused(cut):
    assert decode_value(KEY, encode_value(KEY, b"12345")[:cut]) is None


@pytest.mark.parametrize("at", range(FRAME_BYTES + 5))
def test_changed_byte_is_refused(at):
    value = bytearray(encode_value(KEY, b"12345"))
    value[at] ^= 0x20

    assert decode_value(KEY, bytes(value)) is None


def test_value_of_another_key_is_refused():
    """Another tenant's value is no answer, however whole it is."""
    assert decode_value(KEY, encode_value(OTHER, b"12345")) is None


@given(st.binary())
def test_garbage_is_refused(value):
    assert decode_value(KEY, value) is None


def test_keys_differ_by_tenant_object_part_and_version():
    keys = {
        cache_key(object_key="a/packs/1", what="0+10"),
        cache_key(object_key="b/packs/1", what="0+10"),
        cache_key(object_key="a/packs/2", what="0+10"),
        cache_key(object_key="a/packs/1", what="10+10"),
        cache_key(object_key="a/packs/1", what="0+10", version=2),
    }

    assert len(keys) == 5


def test_embedded_cache_forgets_what_was_used_longest_ago():
    cache = EmbeddedCache(3 * (16 + 100))
    keys = [bytes([number]) * 16 for number in range(4)]
    for key in keys[:3]:
        cache.put_many({key: bytes(100)})
    cache.get_many([keys[0]])
    cache.put_many({keys[3]: bytes(100)})

    assert set(cache.get_many(keys)) == {keys[0], keys[2], keys[3]}
    assert cache.bytes_kept == 3 * 116


def test_embedded_cache_never_exceeds_its_bound():
    cache = EmbeddedCache(1000)
    cache.put_many({b"k" * 16: bytes(985)})
    assert cache.bytes_kept == 0
    for number in range(100):
        cache.put_many({str(number).encode(): bytes(7 * number)})
        assert cache.bytes_kept <= 1000
    cache.forget([str(number).encode() for number in range(100)])
    assert cache.bytes_kept == 0


def test_near_cache_keeps_what_the_far_one_had():
    near, far = EmbeddedCache(1000), EmbeddedCache(1000)
    far.put_many({b"a": b"1"})
    cache = TieredCache(near, far)

    assert cache.get_many([b"a", b"b"]) == {b"a": b"1"}
    assert near.get_many([b"a"]) == {b"a": b"1"}


class Liar:
    """A cache that has every key, and for each what it likes."""

    def __init__(self, value):
        self._value = value

    def get_many(self, keys):
        return {key: self._value(key) for key in keys}

    def put_many(self, values):
        pass

    def forget(self, keys):
        pass


class CountingStore(MemoryStore):
    """Counts what is read from it."""

    def __init__(self):
        super().__init__()
        self.reads = []

    def get(self, key):
        self.reads.append(key)
        return super().get(key)

    def open_input(self, key):
        data = MemoryStore.get(self, key)

        def fetch(offset, length):
            self.reads.append((offset, length))
            return data[offset : offset + length]

        return RangeInput(fetch, size=len(data), read_bytes_min=0)


DATA = bytes(range(251)) * 10


@pytest.fixture
def pages_of_100(monkeypatch):
    monkeypatch.setattr(caching, "PAGE_BYTES", 100)


def caching_store(cache):
    store = CountingStore()
    registry = CollectorRegistry()
    return CachingStore(store, cache, CacheMetrics(registry)), store, registry


LIARS = {
    "garbage": lambda _: b"\xff" * 200,
    "empty": lambda _: b"",
    "another tenant's": lambda _: encode_value(OTHER, bytes(100)),
    "short": lambda key: encode_value(key, b"short"),
    "no bytes of the object": lambda key: encode_value(key, b"")[:-1],
}


@pytest.mark.usefixtures("pages_of_100")
@pytest.mark.parametrize("lie", LIARS)
def test_lying_cache_changes_no_answer(lie):
    cached, _, registry = caching_store(Liar(LIARS[lie]))
    cached.put("t/packs/1", DATA)

    for _ in range(2):
        assert cached.get("t/packs/1") == DATA
        with cached.open_input("t/packs/1") as file:
            assert file.size() == len(DATA)
            assert file.read_at(333, 150) == DATA[150:483]
            assert file.read() == DATA
    with pytest.raises(ObjectNotFound):
        cached.get("u/packs/1")
    if lie != "short":
        assert registry.get_sample_value("loki_cache_hits", {"name": "chunks"}) == 0
        assert registry.get_sample_value("loki_cache_corrupt_chunks_total") > 0


@pytest.mark.usefixtures("pages_of_100")
def test_what_was_read_is_not_asked_of_the_store_again():
    cached, store, registry = caching_store(EmbeddedCache(1 << 20))
    cached.put("t/packs/1", DATA)
    for _ in range(2):
        with cached.open_input("t/packs/1") as file:
            assert file.read_at(150, 120) == DATA[120:270]
    assert store.reads == [(100, 200)]
    with cached.open_input("t/packs/1") as file:
        assert file.read_at(400, 50) == DATA[50:450]

    assert store.reads == [(100, 200), (0, 100), (300, 200)]
    hits = registry.get_sample_value("loki_cache_hits", {"name": "chunks"})
    fetched = registry.get_sample_value("loki_cache_fetched_keys", {"name": "chunks"})
    assert (hits, fetched) == (6, 12)  # the size is one of them, thrice


@pytest.mark.usefixtures("pages_of_100")
def test_whole_object_is_cached_and_gone_when_deleted():
    cached, store, _ = caching_store(EmbeddedCache(1 << 20))
    cached.put("t/index/1", DATA)
    assert cached.get("t/index/1") == cached.get("t/index/1") == DATA
    assert store.reads == ["t/index/1"]
    cached.delete("t/index/1")

    with pytest.raises(ObjectNotFound):
        cached.get("t/index/1")


@given(
    st.lists(st.tuples(st.integers(0, 2600), st.integers(0, 900)), max_size=8),
    st.integers(0, 4000),
)
def test_any_reads_are_those_of_the_store(reads, room):
    """Whatever fits into the cache or not, the bytes are the object's."""
    cached, _, _ = caching_store(EmbeddedCache(room))
    cached.put("t/packs/1", DATA)
    before, caching.PAGE_BYTES = caching.PAGE_BYTES, 100
    try:
        with cached.open_input("t/packs/1") as file:
            for offset, length in reads:
                assert file.read_at(length, offset) == DATA[offset : offset + length]
    finally:
        caching.PAGE_BYTES = before


def test_breaker_opens_after_failures_in_a_row_and_closes_by_a_probe():
    breaker = Breaker(failures_max=3, probe_ns=10 * S_NS)
    for _ in range(2):
        breaker.failed(now_ns=0)
    breaker.succeeded()
    for _ in range(3):
        assert breaker.may_pass(now_ns=0)
        breaker.failed(now_ns=0)

    assert not breaker.may_pass(now_ns=9 * S_NS)
    assert breaker.may_pass(now_ns=10 * S_NS)
    assert not breaker.may_pass(now_ns=10 * S_NS)
    breaker.failed(now_ns=11 * S_NS)
    assert not breaker.may_pass(now_ns=20 * S_NS)
    assert breaker.may_pass(now_ns=21 * S_NS)
    breaker.succeeded()
    assert breaker.may_pass(now_ns=21 * S_NS)
    assert not breaker.is_open


def test_waits_double_up_to_the_longest_and_differ():
    backoff = Backoff(100, 1000, 5)

    assert [backoff.wait_ns(n, chance=0.999_999) for n in range(5)] == [
        99, 199, 399, 799, 999
    ]  # fmt: skip
    assert [backoff.wait_ns(n, chance=0) for n in range(5)] == [50, 100, 200, 400, 500]


def test_budget_is_spent_and_comes_back_with_time_and_success():
    budget = RetryBudget(tokens_max=2)
    assert budget.take(now_ns=1)
    assert budget.take(now_ns=1)
    assert not budget.take(now_ns=1)
    budget.give_back(1)
    assert budget.take(now_ns=1)
    assert not budget.take(now_ns=S_NS // 4)
    assert budget.take(now_ns=S_NS)


def test_short_reads_of_neighbours_are_one_fetch():
    fetched = []

    def fetch(offset, length):
        fetched.append((offset, length))
        return DATA[offset : offset + length]

    file = RangeInput(
        fetch, size=len(DATA), held=(2500, DATA[2500:]), read_bytes_min=50
    )

    assert file.read_at(10, 2500) == DATA[2500:]
    assert file.read_at(10, 0) + file.read_at(40, 10) == DATA[:50]
    assert fetched == [(0, 50)]
    assert file.read_at(100, 0) == DATA[:100]
    assert fetched == [(0, 50), (0, 100)]
    assert file.seek(-5, io.SEEK_END) == 2505
    assert file.read(100) == DATA[-5:]
    assert file.read(1) == b""
    with pytest.raises(ValueError, match="before the object"):
        file.seek(-1)


def test_short_answer_is_an_error_not_data():
    file = RangeInput(lambda _offset, _length: b"x", size=10)

    with pytest.raises(TruncatedData, match="1 bytes of 10"):
        file.read()


def test_pyarrow_reads_it_as_a_file():
    file = RangeInput(lambda offset, length: DATA[offset : offset + length], size=2510)
    source = pa.PythonFile(file, mode="r")

    assert source.size() == 2510
    assert source.read_at(20, 100) == DATA[100:120]
    source.seek(2500)
    assert source.read_buffer().to_pybytes() == DATA[2500:]
    file.seek(2505)
    assert file.read_buffer(2).to_pybytes() == DATA[2505:2507]


def test_ranges_are_read_by_several_threads_at_once():
    """A slow range does not hold up another one of the same object."""
    both = threading.Barrier(2, timeout=10)

    def fetch(offset, length):
        both.wait()
        return DATA[offset : offset + length]

    file = RangeInput(fetch, size=len(DATA), read_bytes_min=0)
    found = {}
    threads = [
        threading.Thread(target=lambda at=at: found.update({at: file.read_at(9, at)}))
        for at in (0, 1000)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == {0: DATA[:9], 1000: DATA[1000:1009]}


@pytest.mark.parametrize("verb", ["get", "size", "open_input", "delete", "put"])
@pytest.mark.parametrize("key", BAD_KEYS, ids=range(len(BAD_KEYS)))
def test_s3_refuses_what_is_no_key_before_it_asks(verb, key):
    config = S3Config(bucket="b")
    store = S3Store(config, S3Metrics(CollectorRegistry()))
    arguments = (key, b"x") if verb == "put" else (key,)

    with pytest.raises(ValueError, match="key"):
        getattr(store, verb)(*arguments)


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"endpoint": "minio:9000", "insecure": True, "s3forcepathstyle": True},
         "http://minio:9000/logs/k"),
        ({"endpoint": "minio:9000", "s3forcepathstyle": True},
         "https://minio:9000/logs/k"),
        ({"endpoint": "https://s3.example.com"}, "https://logs.s3.example.com/k"),
        ({"endpoint": "10.0.0.1:9000"}, "https://10.0.0.1:9000/logs/k"),
        ({"region": "eu-west-1"}, "https://logs.s3.eu-west-1.amazonaws.com/k"),
        ({"region": "eu-west-1", "s3forcepathstyle": True},
         "https://s3.eu-west-1.amazonaws.com/logs/k"),
    ],
)  # fmt: skip
def test_requests_go_where_the_settings_say(settings, wanted):
    keys = {"access_key_id": "a", "secret_access_key": "b"}
    client = new_client(S3Config.model_validate(settings | keys))
    url = client.generate_presigned_url(
        "get_object", Params={"Bucket": "logs", "Key": "k"}
    )
    client.close()

    assert url.partition("?")[0] == wanted


def test_credentials_are_looked_for_where_none_are_given(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "FROMENVIRONMENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    client = new_client(S3Config.model_validate({"endpoint": "minio:9000"}))
    url = client.generate_presigned_url(
        "get_object", Params={"Bucket": "b", "Key": "k"}
    )
    client.close()

    assert "FROMENVIRONMENT" in url
    assert "us-east-1" in url


def test_encryption_by_the_server_is_asked_for_as_s3_wants_it():
    def asked(**sse):
        config = S3Config.model_validate({"sse": sse})
        return encryption_of(config.sse)

    assert endpoint_of(S3Config()) is None
    assert asked() == {}
    assert asked(type="SSE-S3") == {"ServerSideEncryption": "AES256"}
    assert asked(
        type="SSE-KMS", kms_key_id="k", kms_encryption_context='{"a": "b"}'
    ) == {
        "ServerSideEncryption": "aws:kms",
        "SSEKMSKeyId": "k",
        "SSEKMSEncryptionContext": "eyJhIjogImIifQ==",
    }
