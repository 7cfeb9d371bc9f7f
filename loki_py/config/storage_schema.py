"""`common.storage` and `chunk_store_config`: where objects are, what caches them."""

import json
from typing import Annotated, Literal, Self

from pydantic import Field, PlainSerializer, SecretStr, model_validator

from loki_py.config.sections import Count, DurationNs, PositiveNs, Section, SizeBytes
from loki_py.config.units import MIB, NS_PER_S

MS_NS = 1_000_000


def _masked(secret: SecretStr) -> str:
    return str(secret) if secret.get_secret_value() else ""


Secret = Annotated[SecretStr, PlainSerializer(_masked)]
"""Text that is printed as stars."""


class FilesystemConfig(Section):
    """`common.storage.filesystem`: objects as files."""

    chunks_directory: str = ""


class S3HttpConfig(Section):
    """`common.storage.s3.http_config`: how requests travel.

    Attributes:
        connect_ns_max: how long a connection may take.
        silence_ns_max: how long the other side may be silent; then the request
            is tried again.
        connections_max: connections that are kept open.
        ca_file: certificates to trust instead of the system's.
    """

    connect_ns_max: PositiveNs = Field(5 * NS_PER_S, alias="dial_timeout")
    silence_ns_max: PositiveNs = Field(15 * NS_PER_S, alias="response_header_timeout")
    connections_max: Count = Field(32, alias="max_connections")
    insecure_skip_verify: bool = False
    ca_file: str = ""


class S3BackoffConfig(Section):
    """`common.storage.s3.backoff_config`: how a request is tried again."""

    min_ns: DurationNs = Field(100 * MS_NS, alias="min_period")
    max_ns: DurationNs = Field(3 * NS_PER_S, alias="max_period")
    retries_max: int = Field(5, alias="max_retries", ge=0)


class S3SseConfig(Section):
    """`common.storage.s3.sse`: encryption by the server."""

    type: Literal["", "SSE-S3", "SSE-KMS"] = ""
    kms_key_id: str = ""
    kms_encryption_context: str = ""

    @model_validator(mode="after")
    def _check_kms(self) -> Self:
        if self.type != "SSE-KMS" and (self.kms_key_id or self.kms_encryption_context):
            raise ValueError("kms_key_id and kms_encryption_context need type SSE-KMS")
        if self.kms_encryption_context:
            try:
                context = json.loads(self.kms_encryption_context)
            except ValueError as error:
                raise ValueError(f"kms_encryption_context: {error}") from None
            if not isinstance(context, dict):
                raise ValueError("kms_encryption_context is not a JSON object")
        return self


class S3Config(Section):
    """`common.storage.s3`: objects in a bucket; used where a bucket is named.

    Attributes:
        endpoint: `host`, `host:port` or a URL; empty means AWS.
        insecure: speak HTTP where `endpoint` is no URL.
        access_key_id, secret_access_key, session_token: credentials; where they
            are empty, the usual places are asked (environment, files, roles).
        force_path_style: the bucket in the path, not in the name of the host.
        put_checksum: what the server checks an upload by, beyond its length.
    """

    bucket: str = Field("", alias="bucketnames")
    endpoint: str = ""
    region: str = ""
    access_key_id: str = ""
    secret_access_key: Secret = SecretStr("")
    session_token: Secret = SecretStr("")
    force_path_style: bool = Field(default=False, alias="s3forcepathstyle")
    insecure: bool = False
    put_checksum: Literal["crc32c", "md5", "none"] = "crc32c"
    sse: S3SseConfig = S3SseConfig()
    http: S3HttpConfig = Field(S3HttpConfig(), alias="http_config")
    backoff: S3BackoffConfig = Field(S3BackoffConfig(), alias="backoff_config")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if "," in self.bucket:
            raise ValueError("bucketnames is one bucket, without commas")
        if bool(self.access_key_id) != bool(self.secret_access_key.get_secret_value()):
            raise ValueError("access_key_id and secret_access_key need each other")
        return self


class StorageConfig(Section):
    """`common.storage`: where flushed data lives."""

    filesystem: FilesystemConfig = FilesystemConfig()
    s3: S3Config = S3Config()

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        if self.s3.bucket and self.filesystem.chunks_directory:
            raise ValueError(
                "s3.bucketnames and filesystem.chunks_directory exclude each other"
            )
        return self


class MemcachedConfig(Section):
    """`…chunk_cache_config.memcached_client`: servers that cache; none by default.

    Attributes:
        host: a name; every address that it resolves to is a server.
        service: the port of `host`, as a number or as a name in /etc/services;
            `memcached` is 11211 whatever is there.
        addresses: `host:port`, separated by commas; `dns+host:port` stands for
            every address that the host resolves to.
        call_ns_max: how long a query waits for an answer.
        connections_max: connections and threads that are kept.
        resolve_ns: how old looked-up addresses may be.
        value_bytes_max: larger values are not stored (memcached's own `-I`).
    """

    host: str = ""
    service: str = "memcached"
    addresses: str = ""
    call_ns_max: PositiveNs = Field(100 * MS_NS, alias="timeout")
    connections_max: Count = Field(16, alias="max_idle_conns")
    resolve_ns: DurationNs = Field(60 * NS_PER_S, alias="update_interval")
    value_bytes_max: SizeBytes = Field(1 * MIB, alias="max_item_size")

    @property
    def is_enabled(self) -> bool:
        """Whether there is any server."""
        return bool(self.host or self.addresses)

    @model_validator(mode="after")
    def _check(self) -> Self:
        for number, address in enumerate(self.addresses.split(",")):
            if not address:
                continue
            host, _, port = address.strip().removeprefix("dns+").rpartition(":")
            if not host or "/" in host or not port.isdecimal():
                raise ValueError(f"addresses.{number} is not host:port")
        return self


class EmbeddedCacheConfig(Section):
    """`…chunk_cache_config.embedded_cache`: a cache in this process."""

    enabled: bool = False
    mib_max: Count = Field(100, alias="max_size_mb")


class CacheConfig(Section):
    """`chunk_store_config.chunk_cache_config`: what is between us and S3."""

    memcached: MemcachedConfig = Field(MemcachedConfig(), alias="memcached_client")
    embedded: EmbeddedCacheConfig = Field(EmbeddedCacheConfig(), alias="embedded_cache")


class ChunkStoreConfig(Section):
    """`chunk_store_config`: how flushed data is read."""

    cache: CacheConfig = Field(CacheConfig(), alias="chunk_cache_config")
