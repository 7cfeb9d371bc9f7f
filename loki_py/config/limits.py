"""Limits: what one tenant may push and ask, under Loki's names.

Attributes carry their unit; `YAML_NAMES` maps Loki's names to them. Text given
in configuration is strict: an unknown name or a wrong value is a ValueError
that names it. 0 means unlimited or off unless Loki says otherwise.

Pure: reading and reloading files is the job of `runtime.overrides`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Protocol

from loki_py.config.limit_kinds import (
    BOOLEAN,
    BYTES,
    COUNT,
    DURATION,
    GENERIC_FIELDS,
    MAPPING,
    MEBIBYTES,
    TEXT,
    TEXTS,
    TIME,
    Kind,
    list_of,
    mapping_of,
    one_of,
    parse_named,
)
from loki_py.config.nearest import unknown_text
from loki_py.config.otlp import OTLP, OtlpRules
from loki_py.config.yaml_text import parse_yaml

_NAME, _KIND, _REMARK = "yaml", "kind", "remark"

NO_EFFECT = "it has no effect here"
ONLY_0 = "only 0 has an effect here"
NOT_DELETED = "nothing is deleted yet"


def _limit(name: str, kind: Kind, default: Any, *, remark: str = "") -> Any:
    """Return the field of a limit.

    Args:
        remark: what to tell whoever sets it, where it does less than in Loki.
    """
    value = kind.parse(default)
    return field(
        default_factory=lambda: value,
        metadata={_NAME: name, _KIND: kind, _REMARK: remark},
    )


@dataclass(frozen=True, slots=True)
class PolicySelector:
    """A stream selector that gives a stream an ingestion policy."""

    selector: str
    priority: int


@dataclass(frozen=True, slots=True)
class BlockedQuery:
    """A query that a tenant may not run."""

    pattern: str
    regex: bool
    hash: int
    types: tuple[str, ...]
    tags: str


@dataclass(frozen=True, slots=True)
class StreamRetention:
    """How long the streams that match a selector are kept."""

    selector: str
    priority: int
    period: int


_POLICIES = mapping_of(
    list_of({"selector": (TEXT, ""), "priority": (COUNT, 0)}, PolicySelector)
)
_BLOCKED_QUERIES = list_of(
    {
        "pattern": (TEXT, ""),
        "regex": (BOOLEAN, False),
        "hash": (COUNT, 0),
        "types": (TEXTS, ()),
        "tags": (TEXT, ""),
    },
    BlockedQuery,
)
_RETENTIONS = list_of(
    {"selector": (TEXT, ""), "priority": (COUNT, 0), "period": (DURATION, 0)},
    StreamRetention,
)

_SERVICE_LABELS = (
    "service,app,application,app_name,name,app_kubernetes_io_name,container,"
    "container_name,k8s_container_name,component,workload,job,k8s_job_name"
)
_LEVEL_FIELDS = (
    "level,LEVEL,Level,log.level,severity,SEVERITY,Severity,SeverityText,lvl,LVL,"
    "Lvl,severity_text,Severity_Text,SEVERITY_TEXT"
)


@dataclass(frozen=True, slots=True, eq=False)
class Limits:
    """Every limit of one tenant; compared by identity.

    Names inside are ours, `yaml` metadata holds Loki's.

    Attributes:
        given: Loki's names of those that were set, not merely left as they are.
    """

    # Pushing: rates.
    ingestion_rate_strategy: str = _limit(
        "ingestion_rate_strategy", one_of("global", "local"), "global"
    )
    ingestion_rate_bytes: int = _limit("ingestion_rate_mb", MEBIBYTES, 4)
    ingestion_burst_bytes: int = _limit("ingestion_burst_size_mb", MEBIBYTES, 6)
    stream_rate_bytes: int = _limit("per_stream_rate_limit", BYTES, "3MB")
    stream_burst_bytes: int = _limit("per_stream_rate_limit_burst", BYTES, "15MB")
    streams_local_max: int = _limit("max_streams_per_user", COUNT, 0)
    streams_global_max: int = _limit("max_global_streams_per_user", COUNT, 5000)
    use_owned_stream_count: bool = _limit(
        "use_owned_stream_count", BOOLEAN, False, remark=NO_EFFECT
    )
    shard_streams: Mapping[str, Any] = _limit(
        "shard_streams", MAPPING, {}, remark=NO_EFFECT
    )
    # Pushing: labels.
    label_name_bytes_max: int = _limit("max_label_name_length", COUNT, 1024)
    label_value_bytes_max: int = _limit("max_label_value_length", COUNT, 2048)
    label_names_max: int = _limit("max_label_names_per_series", COUNT, 15)
    enforced_labels: tuple[str, ...] = _limit("enforced_labels", TEXTS, ())
    policy_enforced_labels: Mapping[str, tuple[str, ...]] = _limit(
        "policy_enforced_labels", mapping_of(TEXTS), {}
    )
    policy_stream_mapping: Mapping[str, tuple[PolicySelector, ...]] = _limit(
        "policy_stream_mapping", _POLICIES, {}
    )
    # Pushing: entries.
    reject_old_samples: bool = _limit("reject_old_samples", BOOLEAN, True)
    sample_age_ns_max: int = _limit("reject_old_samples_max_age", DURATION, "1w")
    creation_grace_ns: int = _limit("creation_grace_period", DURATION, "10m")
    line_bytes_max: int = _limit("max_line_size", BYTES, "256KB")
    truncate_lines: bool = _limit("max_line_size_truncate", BOOLEAN, False)
    truncate_identifier: str = _limit("max_line_size_truncate_identifier", TEXT, "")
    increment_duplicate_timestamp: bool = _limit(
        "increment_duplicate_timestamp", BOOLEAN, False
    )
    simulated_push_latency_ns: int = _limit("simulated_push_latency", DURATION, 0)
    allow_structured_metadata: bool = _limit("allow_structured_metadata", BOOLEAN, True)
    metadata_bytes_max: int = _limit("max_structured_metadata_size", BYTES, "64KB")
    metadata_names_max: int = _limit(
        "max_structured_metadata_entries_count", COUNT, 128
    )
    # Pushing: discovery and blocking.
    discover_service_name: tuple[str, ...] = _limit(
        "discover_service_name", TEXTS, _SERVICE_LABELS
    )
    discover_log_levels: bool = _limit("discover_log_levels", BOOLEAN, True)
    log_level_fields: tuple[str, ...] = _limit("log_level_fields", TEXTS, _LEVEL_FIELDS)
    log_level_json_depth_max: int = _limit("log_level_from_json_max_depth", COUNT, 2)
    discover_generic_fields: Mapping[str, tuple[str, ...]] = _limit(
        "discover_generic_fields", GENERIC_FIELDS, {}
    )
    otlp_rules: OtlpRules = _limit("otlp_config", OTLP, {})  # noqa: RUF009  frozen
    block_ingestion_until_ns: int = _limit("block_ingestion_until", TIME, 0)
    block_ingestion_policy_until_ns: Mapping[str, int] = _limit(
        "block_ingestion_policy_until", mapping_of(TIME), {}
    )
    block_ingestion_status_code: int = _limit("block_ingestion_status_code", COUNT, 260)
    # Querying: how much.
    query_entries_max: int = _limit("max_entries_limit_per_query", COUNT, 5000)
    query_series_max: int = _limit("max_query_series", COUNT, 500)
    query_length_ns_max: int = _limit("max_query_length", DURATION, "30d1h")
    query_range_ns_max: int = _limit("max_query_range", DURATION, 0)
    query_lookback_ns_max: int = _limit("max_query_lookback", DURATION, 0)
    query_chunks_max: int = _limit("max_chunks_per_query", COUNT, 2_000_000)
    query_bytes_read_max: int = _limit("max_query_bytes_read", BYTES, 0)
    querier_bytes_read_max: int = _limit("max_querier_bytes_read", BYTES, "150GB")
    query_timeout_ns: int = _limit("query_timeout", DURATION, "1m")
    query_matchers_max: int = _limit("max_streams_matchers_per_query", COUNT, 1000)
    cardinality_max: int = _limit("cardinality_limit", COUNT, 100_000, remark=NO_EFFECT)
    tail_requests_max: int = _limit("max_concurrent_tail_requests", COUNT, 10)
    required_labels: tuple[str, ...] = _limit("required_labels", TEXTS, ())
    label_matchers_min: int = _limit("minimum_labels_number", COUNT, 0)
    blocked_queries: tuple[BlockedQuery, ...] = _limit(
        "blocked_queries", _BLOCKED_QUERIES, ()
    )
    volume_enabled: bool = _limit("volume_enabled", BOOLEAN, True)
    volume_series_max: int = _limit("volume_max_series", COUNT, 1000)
    # Querying: splitting, parallelism, caches.
    query_parallelism_max: int = _limit(
        "max_query_parallelism", COUNT, 32, remark=ONLY_0
    )
    tsdb_query_parallelism_max: int = _limit(
        "tsdb_max_query_parallelism", COUNT, 128, remark=ONLY_0
    )
    shard_bytes_max: int = _limit(
        "tsdb_max_bytes_per_shard", BYTES, "600MB", remark=NO_EFFECT
    )
    sharding_strategy: str = _limit(
        "tsdb_sharding_strategy",
        one_of("power_of_two", "bounded"),
        "power_of_two",
        remark=NO_EFFECT,
    )
    precompute_chunks: bool = _limit(
        "tsdb_precompute_chunks", BOOLEAN, False, remark=NO_EFFECT
    )
    split_queries_ns: int = _limit(
        "split_queries_by_interval", DURATION, "1h", remark=NO_EFFECT
    )
    split_metadata_queries_ns: int = _limit(
        "split_metadata_queries_by_interval", DURATION, "1d", remark=NO_EFFECT
    )
    split_recent_metadata_queries_ns: int = _limit(
        "split_recent_metadata_queries_by_interval", DURATION, "1h", remark=NO_EFFECT
    )
    recent_metadata_query_window_ns: int = _limit(
        "recent_metadata_query_window", DURATION, 0, remark=NO_EFFECT
    )
    split_instant_metric_queries_ns: int = _limit(
        "split_instant_metric_queries_by_interval", DURATION, "1h", remark=NO_EFFECT
    )
    split_ingester_queries_ns: int = _limit(
        "split_ingester_queries_by_interval", DURATION, 0, remark=NO_EFFECT
    )
    sharding_lookback_ns_min: int = _limit(
        "min_sharding_lookback", DURATION, 0, remark=NO_EFFECT
    )
    cache_freshness_ns_max: int = _limit(
        "max_cache_freshness_per_query", DURATION, "10m", remark=NO_EFFECT
    )
    metadata_cache_freshness_ns_max: int = _limit(
        "max_metadata_cache_freshness", DURATION, "1d", remark=NO_EFFECT
    )
    stats_cache_freshness_ns_max: int = _limit(
        "max_stats_cache_freshness", DURATION, "10m", remark=NO_EFFECT
    )
    queriers_per_tenant_max: int = _limit(
        "max_queriers_per_tenant", COUNT, 0, remark=NO_EFFECT
    )
    query_ready_index_days: int = _limit(
        "query_ready_index_num_days", COUNT, 0, remark=NO_EFFECT
    )
    shard_aggregations: tuple[str, ...] = _limit(
        "shard_aggregations",
        TEXTS,
        "quantile_over_time,last_over_time,first_over_time,approx_topk",
        remark=NO_EFFECT,
    )
    # Keeping and deleting.
    retention_period_ns: int = _limit(
        "retention_period", DURATION, 0, remark=NOT_DELETED
    )
    retention_stream: tuple[StreamRetention, ...] = _limit(
        "retention_stream", _RETENTIONS, (), remark=NO_EFFECT
    )
    deletion_mode: str = _limit(
        "deletion_mode",
        one_of("disabled", "filter-only", "filter-and-delete"),
        "filter-and-delete",
        remark=NO_EFFECT,
    )
    given: frozenset[str] = frozenset()

    @classmethod
    def from_mapping(
        cls, mapping: Mapping[str, Any], base: "Limits | None" = None
    ) -> "Limits":
        """Return `base` with the given limits, under Loki's names, replaced.

        Lists and maps replace, they do not merge.

        Raises: ValueError, naming the limit.
        """
        changes = {}
        for name, value in mapping.items():
            if name not in YAML_NAMES:
                raise ValueError(unknown_text("limit", name, YAML_NAMES))
            attribute, kind = YAML_NAMES[name]
            changes[attribute] = parse_named(name, kind, value)
        return replace(base or cls(), **changes, given=frozenset(mapping))

    def remarks(self) -> Mapping[str, str]:
        """Return what to tell of the limits given that do less than in Loki."""
        return {
            item.metadata[_NAME]: remark
            for item in fields(self)
            if (remark := item.metadata.get(_REMARK))
            and item.metadata[_NAME] in self.given
            and (remark != ONLY_0 or getattr(self, item.name))
        }

    def to_mapping(self) -> dict[str, Any]:
        """Return every limit under Loki's name, as `from_mapping` reads it."""
        return {
            name: kind.show(getattr(self, attribute))
            for name, (attribute, kind) in YAML_NAMES.items()
        }


YAML_NAMES: Mapping[str, tuple[str, Kind]] = {
    item.metadata[_NAME]: (item.name, item.metadata[_KIND])
    for item in fields(Limits)
    if item.metadata
}


class Overrides(Protocol):
    """The limits in force; values may change between two calls, never inside one."""

    def limits_of(self, tenant: str) -> Limits: ...

    @property
    def defaults(self) -> Limits: ...

    @property
    def tenants(self) -> Mapping[str, Limits]:
        """The tenants that have limits of their own."""
        ...


@dataclass(frozen=True, slots=True)
class StaticOverrides:
    """Limits that never change: defaults, and tenants with their own."""

    defaults: Limits = field(default_factory=Limits)
    tenants: Mapping[str, Limits] = field(default_factory=dict)

    def limits_of(self, tenant: str) -> Limits:
        """Return the tenant's limits, the defaults where it has none."""
        return self.tenants.get(tenant, self.defaults)


_RUNTIME_SECTIONS = ("overrides", "configs")


def parse_overrides(text: str, defaults: Limits) -> Mapping[str, Limits]:
    """Return the limits of each tenant named in a runtime configuration file.

    A tenant starts from `defaults`. The section `configs` is Loki's debugging
    switches per tenant; it is accepted and has no effect here.

    Raises: ValueError, naming section, tenant and limit.
    """
    try:
        document = parse_yaml(text)
    except ValueError as error:
        raise ValueError(f"not YAML: {error}") from None
    sections = parse_named("runtime configuration", MAPPING, document)
    for section in sections:
        if section not in _RUNTIME_SECTIONS:
            raise ValueError(f"unknown section {section!r}")
    overrides = parse_named("overrides", MAPPING, sections.get("overrides"))
    return {
        tenant: _tenant_limits(tenant, mapping, defaults)
        for tenant, mapping in overrides.items()
    }


def _tenant_limits(tenant: str, mapping: object, defaults: Limits) -> Limits:
    try:
        return Limits.from_mapping(MAPPING.parse(mapping), defaults)
    except ValueError as error:
        raise ValueError(f"overrides.{tenant}: {error}") from None
