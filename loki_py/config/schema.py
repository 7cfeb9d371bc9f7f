"""Settings as frozen values: what may be configured, and what it defaults to.

A field's alias is its key in a configuration file: Loki's spelling where the
meaning is Loki's. The field's own name carries the unit. This module is the
only place where the two meet.

Not here: reading text and finding unknown keys (`loader`), what each limit
means (`limits`).
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, PlainSerializer, PlainValidator

from loki_py.config.grpc_schema import GrpcServerTlsConfig, IngesterClientConfig
from loki_py.config.limits import Limits
from loki_py.config.ring_schema import RingConfig
from loki_py.config.sections import (
    Count,
    DurationNs,
    Port,
    PositiveNs,
    Ratio,
    Section,
    SizeBytes,
)
from loki_py.config.security_schema import HttpTlsConfig, SecurityConfig
from loki_py.config.storage_schema import ChunkStoreConfig, StorageConfig
from loki_py.config.telling import kind_of
from loki_py.config.units import MIB, NS_PER_S

MINUTE_NS = 60 * NS_PER_S
HOUR_NS = 60 * MINUTE_NS


def _limits_of(value: object) -> Limits:
    if isinstance(value, Limits):
        return value
    if value is None or isinstance(value, Mapping):
        return Limits.from_mapping(value or {})
    raise ValueError(f"not a mapping of limits: {kind_of(value)}")


LimitsSection = Annotated[
    Limits, PlainValidator(_limits_of), PlainSerializer(Limits.to_mapping)
]


class ServerConfig(Section):
    """`server`: where the process listens, and how it stops.

    Attributes:
        http_read_ns_max: within which a request is whole, from its first byte to
            the last of its body.
        http_write_ns_max: within which a client takes what waits to be sent to it.
        http_idle_ns_max: how long a connection may be without a request.
        admin_listen_address: where metrics and everything else about the
            process itself are served in place of the first listener; empty:
            all of it is on the first.
    """

    http_listen_address: str = "127.0.0.1"
    http_listen_port: Port = 3100
    http_tls_config: HttpTlsConfig = HttpTlsConfig()
    admin_listen_address: str = ""
    admin_listen_port: Port = 3101
    grpc_listen_address: str = "127.0.0.1"
    grpc_listen_port: Port = 9095
    grpc_message_bytes_max: SizeBytes = Field(
        256 * MIB, alias="grpc_server_max_recv_msg_size"
    )
    grpc_calls_max: Count = Field(1_000, alias="grpc_server_max_concurrent_streams")
    grpc_tls_config: GrpcServerTlsConfig = GrpcServerTlsConfig()
    http_read_ns_max: PositiveNs = Field(
        30 * NS_PER_S, alias="http_server_read_timeout"
    )
    http_write_ns_max: PositiveNs = Field(
        30 * NS_PER_S, alias="http_server_write_timeout"
    )
    http_idle_ns_max: PositiveNs = Field(
        120 * NS_PER_S, alias="http_server_idle_timeout"
    )
    shutdown_ns_max: DurationNs = Field(
        30 * NS_PER_S, alias="graceful_shutdown_timeout"
    )
    log_level: Literal["debug", "info", "warn", "error"] = "info"
    log_format: Literal["logfmt", "json"] = "logfmt"


class CommonConfig(Section):
    """`common`: what several components share.

    Attributes:
        replication_factor: ingesters that store each stream.
        instance_addr: the host at which other processes reach this one; empty:
            the address that gRPC listens on, or the machine's name's.
    """

    path_prefix: str = "./data"
    replication_factor: Count = 1
    instance_id: str = ""
    instance_addr: str = ""
    ring: RingConfig = RingConfig()
    storage: StorageConfig = StorageConfig()


class DistributorConfig(Section):
    """`distributor`: bounds on what one push, and all at once, may weigh.

    Attributes:
        body_bytes_max: a body as it came.
        decoded_bytes_max: a body after decompression.
        inflight_bytes_max: decoded bytes of all pushes that wait; beyond, 503.
    """

    body_bytes_max: SizeBytes = Field(100 * MIB, alias="max_recv_msg_size")
    decoded_bytes_max: SizeBytes = Field(256 * MIB, alias="max_decompressed_size")
    inflight_bytes_max: SizeBytes = Field(512 * MIB, alias="max_inflight_size")


class OtlpConfig(Section):
    """`otlp`: where OpenTelemetry's logs are taken over gRPC, beside HTTP.

    Attributes:
        grpc_listen_address: empty: where HTTP is served.
        grpc_listen_port: 0: nowhere. One that is given must be free; of the
            default, a process that finds it taken says so and goes on.
        message_bytes_max: a message as it came.
    """

    grpc_listen_address: str = ""
    grpc_listen_port: Port = 4317
    message_bytes_max: SizeBytes = Field(
        16 * MIB, alias="grpc_server_max_recv_msg_size"
    )

    @property
    def is_port_given(self) -> bool:
        """Whether the port is one that the settings name."""
        return "grpc_listen_port" in self.model_fields_set


class WalConfig(Section):
    """`ingester.wal`: when an acknowledged entry is on disk.

    Attributes:
        sync: `always`: before the acknowledgement, nothing can be lost;
            `interval`: at least every `sync_interval_ns`, so that a crash of
            the machine can lose that much; `never`: whenever the system likes.
            A crash of the process alone loses nothing in any of them.
    """

    directory: str = Field("", alias="dir")
    sync: Literal["always", "interval", "never"] = "always"
    sync_interval_ns: DurationNs = Field(100_000_000, alias="sync_interval")


class IngesterConfig(Section):
    """`ingester`: how long entries stay in memory and on local disk.

    Attributes:
        head_bytes_max: lines in memory at which a generation is sealed.
        head_age_ns_max: age at which it is sealed anyway.
        block_bytes_target: lines in one block of a block file.
        pack_bytes_target: unflushed lines at which a tenant is flushed.
        hot_tier_bytes_max: block files kept after their flush, for fast reads.
        chunk_idle_ns, chunk_age_ns_max: a tenant's data is flushed when nothing
            came for so long, or when its oldest part is so old.
        chunk_retain_ns: how long block files stay after their flush at least,
            whatever their size.
        handover_bytes_max: an ingester that leaves for good gives a chunk, its
            unflushed lines of a stream, to the stream's next owners where it is
            no more than this; 0 uploads all.
        unordered_window_ns: how far behind its stream's newest entry an entry
            may be; 0 means no window, every entry is taken.
        memory_bytes_max: what heads take together, those included that wait for
            the disk; a larger `head_bytes_max` is lowered to a third of it. Beyond
            it pushes wait and are refused. 0 means a quarter of the memory there is.
        disk_ratio_max: share of the file system in use beyond which pushes
            are refused.
    """

    head_bytes_max: SizeBytes = Field(32 * MIB, alias="head_size")
    head_age_ns_max: DurationNs = Field(5 * MINUTE_NS, alias="head_max_age")
    block_bytes_target: SizeBytes = Field(4 * MIB, alias="block_size")
    block_directory: str = Field("", alias="block_dir")
    pack_bytes_target: SizeBytes = Field(256 * MIB, alias="pack_target_size")
    hot_tier_bytes_max: SizeBytes = Field(2_048 * MIB, alias="hot_tier_size")
    flush_check_ns: PositiveNs = Field(10 * NS_PER_S, alias="flush_check_period")
    flush_on_shutdown: bool = False
    chunk_idle_ns: DurationNs = Field(30 * MINUTE_NS, alias="chunk_idle_period")
    chunk_age_ns_max: DurationNs = Field(2 * HOUR_NS, alias="max_chunk_age")
    chunk_retain_ns: DurationNs = Field(0, alias="chunk_retain_period")
    handover_bytes_max: SizeBytes = Field(0, alias="handover_max_size")
    unordered_window_ns: DurationNs = Field(HOUR_NS, alias="unordered_writes_window")
    memory_bytes_max: SizeBytes = Field(0, alias="memory_ceiling")
    disk_ratio_max: Ratio = Field(0.95, alias="disk_ceiling_ratio")
    wal: WalConfig = WalConfig()


class QuerierConfig(Section):
    """`querier`: how queries run.

    Attributes:
        concurrent_max: queries that run at once in this process.
        threads_count: threads that read and evaluate; 0 means one per core.
        tail_ns_max: after which a tail is closed; its client comes again.
        takes_several_tenants: whether a query may be about tenants `a|b`.
    """

    concurrent_max: Count = Field(4, alias="max_concurrent")
    threads_count: int = Field(0, alias="worker_threads", ge=0)
    tail_ns_max: PositiveNs = Field(HOUR_NS, alias="tail_max_duration")
    takes_several_tenants: bool = Field(
        default=False, alias="multi_tenant_queries_enabled"
    )


class FrontendConfig(Section):
    """`frontend`: how queries wait, and how answers leave."""

    outstanding_max: Count = Field(2_048, alias="max_outstanding_per_tenant")
    compress_responses: bool = True


class PatternsConfig(Section):
    """`pattern_ingester`: whether patterns of recent lines are looked for."""

    enabled: bool = False


class RuntimeConfig(Section):
    """`runtime_config`: files of per-tenant overrides, read again while running."""

    file: str = ""
    period_ns: PositiveNs = Field(10 * NS_PER_S, alias="period")


class Config(Section):
    """Everything that a configuration file may say."""

    target: str = "all"
    auth_enabled: bool = False
    no_auth_tenant: str = "fake"
    server: ServerConfig = ServerConfig()
    security: SecurityConfig = SecurityConfig()
    common: CommonConfig = CommonConfig()
    distributor: DistributorConfig = DistributorConfig()
    otlp: OtlpConfig = OtlpConfig()
    ingester: IngesterConfig = IngesterConfig()
    ingester_client: IngesterClientConfig = IngesterClientConfig()
    querier: QuerierConfig = QuerierConfig()
    chunk_store: ChunkStoreConfig = Field(
        ChunkStoreConfig(), alias="chunk_store_config"
    )
    frontend: FrontendConfig = FrontendConfig()
    pattern_ingester: PatternsConfig = PatternsConfig()
    limits: LimitsSection = Field(default_factory=Limits, alias="limits_config")
    runtime: RuntimeConfig = Field(RuntimeConfig(), alias="runtime_config")

    @property
    def wal_directory(self) -> str:
        """Where WAL segments are."""
        return self.ingester.wal.directory or self._below_prefix("wal")

    @property
    def block_directory(self) -> str:
        """Where local block files are."""
        return self.ingester.block_directory or self._below_prefix("blocks")

    @property
    def chunks_directory(self) -> str:
        """Where the filesystem object store is."""
        chosen = self.common.storage.filesystem.chunks_directory
        return chosen or self._below_prefix("chunks")

    def _below_prefix(self, name: str) -> str:
        return f"{self.common.path_prefix.rstrip('/')}/{name}"
