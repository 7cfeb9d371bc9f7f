"""Settings of the object store and its caches."""

import subprocess
import sys

import pytest

from loki_py.config.dump import print_config
from loki_py.config.loader import parse_config
from loki_py.errors import ConfigInvalid

S3 = "common.storage.s3."
CACHE = "chunk_store_config.chunk_cache_config."


def test_keys_are_lokis():
    text = """
common:
  storage:
    s3:
      endpoint: minio:9000
      bucketnames: logs
      region: eu-west-1
      access_key_id: id
      secret_access_key: hidden
      insecure: true
      s3forcepathstyle: true
      sse: {type: SSE-KMS, kms_key_id: k, kms_encryption_context: '{"a": "b"}'}
      http_config: {insecure_skip_verify: true, response_header_timeout: 3s}
      backoff_config: {min_period: 1s, max_period: 2s, max_retries: 3}
chunk_store_config:
  chunk_cache_config:
    memcached_client:
      host: memcached.logs.svc
      service: memcached
      addresses: dns+m:11211,n:1
      timeout: 250ms
      max_idle_conns: 9
    embedded_cache: {enabled: true, max_size_mb: 5}
"""
    config = parse_config(text)
    s3 = config.common.storage.s3
    cache = config.chunk_store.cache

    assert (s3.bucket, s3.endpoint, s3.region) == ("logs", "minio:9000", "eu-west-1")
    assert s3.secret_access_key.get_secret_value() == "hidden"
    assert (s3.insecure, s3.force_path_style, s3.sse.type) == (True, True, "SSE-KMS")
    assert (s3.http.silence_ns_max, s3.backoff.retries_max) == (3_000_000_000, 3)
    assert (cache.memcached.call_ns_max, cache.memcached.connections_max) == (
        250_000_000,
        9,
    )
    assert cache.memcached.is_enabled
    assert (cache.embedded.enabled, cache.embedded.mib_max) == (True, 5)


def test_secrets_are_never_printed():
    config = parse_config(
        "", assignments=[S3 + "access_key_id=id", S3 + "secret_access_key=hidden"]
    )

    assert "hidden" not in print_config(config) + repr(config)
    assert "secret_access_key: '**********'" in print_config(config)


@pytest.mark.parametrize(
    ("assignments", "problem"),
    [
        ([S3 + "bucketnames='a,b'"], "one bucket"),
        ([S3 + "access_key_id=x"], "need each other"),
        ([S3 + "sse.type=AES"], "SSE-S3"),
        ([S3 + "sse.kms_key_id=k"], "need type SSE-KMS"),
        ([S3 + "sse={type: SSE-KMS, kms_encryption_context: '['}"], "context"),
        ([S3 + "sse={type: SSE-KMS, kms_encryption_context: '[]'}"], "JSON object"),
        ([S3 + "http_config.dial_timeout=0s"], "must not be 0"),
        (
            [S3 + "bucketnames=a", "common.storage.filesystem.chunks_directory=/b"],
            "exclude each other",
        ),
        ([CACHE + "memcached_client.addresses=host"], "not host:port"),
        ([CACHE + "memcached_client.timeout=0s"], "must not be 0"),
    ],
)
def test_settings_that_can_not_be_are_refused(assignments, problem):
    with pytest.raises(ConfigInvalid, match=problem):
        parse_config("", assignments=assignments)


def test_embedded_store_costs_no_import_of_clients():
    """Start-up time and memory are those of a store without S3 and memcached."""
    program = (
        "import sys, loki_py.app.wiring\n"
        "print(sorted({'boto3', 'botocore', 'pymemcache'} & set(sys.modules)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert found.stdout == "[]\n"
