"""S3 through a proxy that breaks requests: nothing lost, nothing wrong."""

import contextlib
import random
import subprocess
import time
import warnings

import pytest
from fakes.fault_proxy import FaultProxy
from fakes.s3_servers import MotoServer, RcloneServer
from prometheus_client import CollectorRegistry

from loki_py.errors import ObjectNotFound, Unavailable
from loki_py.storage.s3 import S3Store
from loki_py.storage.s3_client import new_client
from loki_py.storage.s3_metrics import S3Metrics

pytestmark = pytest.mark.slow

KINDS = ((b"POST", b"?uploads"), (b"PUT", b"partNumber="), (b"POST", b"?uploadId="))
DATA = bytes(range(256)) * 2000
MANY_RETRIES = {"min_period": "1ms", "max_period": "20ms", "max_retries": 12}


@pytest.fixture(scope="module")
def rclone(tmp_path_factory):
    server = RcloneServer(tmp_path_factory.mktemp("rclone"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def moto():
    server = MotoServer()
    yield server
    server.stop()


@contextlib.contextmanager
def through_proxy(server, **settings):
    """A store whose requests pass the proxy, the proxy, and the store's metrics."""
    proxy = FaultProxy(server.port)
    config = server.config(port=proxy.port, **settings)
    client = new_client(config)
    client.create_bucket(Bucket=config.bucket)
    client.close()
    registry = CollectorRegistry()
    store = S3Store(config, S3Metrics(registry), part_bytes=5 << 20)
    store.start()
    try:
        yield store, proxy.faults, registry
    finally:
        proxy.faults.fate = lambda _number, _first: ""
        store.close()
        proxy.stop()


def often(seed, chance, *fates):
    """A fate for some requests, the same ones in every run."""
    chosen = random.Random(seed)
    return lambda _number, _first: (
        chosen.choice(fates) if chosen.random() < chance else ""
    )


@pytest.mark.parametrize("server_name", ["rclone", "moto"])
def test_third_of_requests_failing_loses_nothing(request, server_name):
    """30 % are answered by 503, cut short, or done without an answer."""
    server = request.getfixturevalue(server_name)
    with through_proxy(server, backoff_config=MANY_RETRIES) as (store, faults, _):
        faults.fate = often(1, 0.3, "503", "cut", "lost")
        keys = [f"t/packs/{number}" for number in range(12)]
        for key in keys:
            store.put(key, key.encode() + DATA)
        for key in keys:
            assert store.get(key) == key.encode() + DATA
            with store.open_input(key) as file:
                assert file.read_at(100_000, 5) == (key.encode() + DATA)[5:100_005]
        assert sorted(store.list("t/packs/")) == sorted(keys)
        for key in keys[:4]:
            store.delete(key)

        assert sorted(store.list("")) == sorted(keys[4:])
        assert sum(fate != "" for fate in faults.fates) > 10


def test_large_upload_survives_failing_requests(moto, tmp_path):
    """Parts are sent again; a completion whose answer is lost is recognised."""
    data = DATA * 23
    source = tmp_path / "pack"
    source.write_bytes(data)
    with through_proxy(moto, backoff_config=MANY_RETRIES) as (store, faults, _):
        lost = set()

        def fate(_number, first):
            """The first of each kind of request is done, its answer is lost."""
            line = first.partition(b" HTTP/")[0]
            kinds = [kind for kind in KINDS if line.startswith(kind[0])]
            kind = next((kind for kind in kinds if kind[1] in line), None)
            if kind and kind not in lost:
                lost.add(kind)
                return "lost"
            return ""

        faults.fate = fate
        store.put("t/packs/large", source)

        assert lost == set(KINDS)
        assert faults.fates.count("lost") == 3
        assert store.get("t/packs/large") == data


def test_put_whose_answer_is_lost_is_put_again(rclone):
    with through_proxy(rclone) as (store, faults, registry):
        before = faults.requests
        faults.fate = lambda number, _first: "lost" if number == before else ""
        store.put("t/packs/1", DATA)

        assert faults.fates[before:] == ["lost", ""]
        assert store.get("t/packs/1") == DATA
        retried = {"operation": "S3.PutObject"}
        assert registry.get_sample_value("loki_s3_retries_total", retried) == 1


def test_stalled_request_is_given_up_and_tried_again(rclone):
    """Silence costs the configured time, not for ever."""
    http = {"response_header_timeout": "300ms"}
    with through_proxy(rclone, http_config=http) as (store, faults, _):
        store.put("t/packs/1", DATA)
        before = faults.requests
        faults.fate = lambda number, _first: "stall" if number == before else ""
        start_s = time.monotonic()

        assert store.get("t/packs/1") == DATA
        assert faults.fates[before:] == ["stall", ""]
        assert 0.3 <= time.monotonic() - start_s < 5


def test_store_that_is_down_is_unavailable_and_says_how_often_it_was_asked(rclone):
    backoff = {"min_period": "1ms", "max_period": "2ms", "max_retries": 2}
    with through_proxy(rclone, backoff_config=backoff) as (store, faults, registry):
        faults.fate = lambda _number, _first: "503"

        with pytest.raises(Unavailable, match=r"S3\.GetObject of t/1: .*tried 3 times"):
            store.get("t/1")
        with pytest.raises(Unavailable, match="tried 3 times"):
            store.put("t/1", b"x")
        with pytest.raises(Unavailable):
            list(store.list("t/"))
        answered = {"operation": "S3.GetObject", "status_code": "503"}
        name = "loki_s3_request_duration_seconds_count"
        assert registry.get_sample_value(name, answered) == 3


def test_outage_ends_retries_of_all_requests_together(rclone):
    """A store that is down is not besieged; one that is back is used again."""
    backoff = {"min_period": "0s", "max_period": "0s", "max_retries": 60}
    with through_proxy(rclone, backoff_config=backoff) as (store, faults, registry):
        store.put("t/1", b"x")
        faults.fate = lambda _number, _first: "503"
        before = faults.requests
        for _ in range(4):
            with pytest.raises(Unavailable):
                store.get("t/1")

        assert faults.requests - before < 180  # of 244; time gives some back
        assert registry.get_sample_value("loki_s3_retries_refused_total") >= 1
        faults.fate = lambda _number, _first: ""
        assert store.get("t/1") == b"x"


def test_wrong_key_is_refused_at_the_start(rclone):
    config = rclone.config(secret_access_key="not-the-secret")
    store = S3Store(config, S3Metrics(CollectorRegistry()))

    with pytest.raises(Unavailable, match="SignatureDoesNotMatch"):
        store.start()
    store.close()


def test_missing_bucket_is_refused_at_the_start(moto):
    store = S3Store(moto.config(), S3Metrics(CollectorRegistry()))

    with pytest.raises(Unavailable, match="NoSuchBucket"):
        store.start()
    store.close()


def test_store_that_is_away_does_not_stop_the_start(rclone):
    """Local disk takes what comes; the bucket is needed later."""
    config = rclone.config(port=1)
    store = S3Store(config, S3Metrics(CollectorRegistry()))
    store.start()

    with pytest.raises(Unavailable, match="tried 6 times"):
        store.get("t/1")
    store.close()


def test_object_that_changed_in_the_bucket_is_not_answered(moto):
    """The checksum that came with the object is checked on whole reads."""
    config = moto.config(backoff_config={"max_retries": 0})
    client = new_client(config)
    client.create_bucket(Bucket=config.bucket)
    client.put_object(
        Bucket=config.bucket, Key="t/1", Body=b"changed", Metadata={"crc32c": "0" * 8}
    )
    client.close()
    store = S3Store(config, S3Metrics(CollectorRegistry()))
    store.start()

    with pytest.raises(Unavailable, match="CRC-32C"):
        store.get("t/1")
    store.close()


def test_encryption_is_asked_for_with_every_upload(moto, tmp_path):
    sse = {"type": "SSE-KMS", "kms_key_id": "alias/a", "kms_encryption_context": "{}"}
    source = tmp_path / "pack"
    source.write_bytes(DATA * 23)
    with through_proxy(moto, sse=sse) as (store, _, _):
        store.put("t/small", b"x")
        store.put("t/large", source)

        for key in ("t/small", "t/large"):
            answer = store._client.head_object(Bucket=store._config.bucket, Key=key)
            assert answer["ServerSideEncryption"] == "aws:kms"
            assert answer["SSEKMSKeyId"] == "alias/a"


def test_range_of_an_object_deleted_meanwhile_is_not_found(rclone):
    with through_proxy(rclone) as (store, _, _):
        store.put("t/1", DATA)
        with store.open_input("t/1") as file:
            store.delete("t/1")

            assert file.read_at(10, len(DATA) - 10) == DATA[-10:]
            with pytest.raises(ObjectNotFound):
                file.read_at(10, 0)


def test_certificates_are_checked_unless_told_otherwise(request, tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-nodes", "-days", "1"]
    command += ["-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=s3"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    (tmp_path / "data" / "b").mkdir(parents=True)
    server = RcloneServer(tmp_path / "data", f"--cert={cert}", f"--key={key}")
    request.addfinalizer(server.stop)
    retries = {"max_retries": 0}

    def store_with(**http):
        config = server.config(
            bucketnames="b", insecure=False, http_config=http, backoff_config=retries
        )
        store = S3Store(config, S3Metrics(CollectorRegistry()))
        store.start()
        return store

    trusting = store_with(ca_file=str(cert))
    trusting.put("t/1", b"x")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # urllib3 says so at every request
        careless = store_with(insecure_skip_verify=True)
        assert careless.get("t/1") == b"x"
    careful = store_with()
    with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
        careful.get("t/1")
    for store in (trusting, careless, careful):
        store.close()
