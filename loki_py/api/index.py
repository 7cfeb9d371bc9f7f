"""Routes about what there is: volumes, statistics, detected labels and fields."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from loki_py.api.answers import Answer, Asked
from loki_py.api.encode import encode_json, encode_result
from loki_py.api.forms import Form
from loki_py.api.params import parse_bounds, parse_limit, parse_range
from loki_py.api.stats import stats_of
from loki_py.config.limits import Overrides
from loki_py.errors import ValidationFailed
from loki_py.model.results import Matrix, Vector
from loki_py.querier.detected_fields import Field
from loki_py.querier.index_service import FieldsRequest, IndexStats, VolumeRequest
from loki_py.querier.requests import MetadataRequest
from loki_py.querier.stats import QueryCost
from loki_py.runtime.clock import Clock

FIELDS_DEFAULT = 1_000
_BY_LABEL = {"": False, "series": False, "labels": True}
_FINGERPRINT_MAX = (1 << 64) - 1

# What Grafana's Logs Drilldown looks at.
DRILLDOWN_LIMITS = (
    "discover_log_levels",
    "discover_service_name",
    "log_level_fields",
    "max_entries_limit_per_query",
    "max_line_size_truncate",
    "max_query_bytes_read",
    "max_query_length",
    "max_query_lookback",
    "max_query_range",
    "max_query_series",
    "otlp_config",
    "query_timeout",
    "retention_period",
    "retention_stream",
    "volume_enabled",
    "volume_max_series",
)


class IndexService(Protocol):
    """Answers questions about what there is; see `querier.index_service`."""

    async def stats(self, tenant: str, request: MetadataRequest) -> IndexStats: ...

    async def volume(
        self, tenant: str, request: VolumeRequest
    ) -> tuple[Vector | Matrix, QueryCost]: ...

    async def detected_labels(
        self, tenant: str, request: MetadataRequest
    ) -> Mapping[str, int]: ...

    async def detected_fields(
        self, tenant: str, request: FieldsRequest
    ) -> Mapping[str, Field]: ...

    async def detected_field_values(
        self, tenant: str, name: str, request: FieldsRequest
    ) -> Sequence[str]: ...


@dataclass(frozen=True, slots=True)
class IndexRoutes:
    """Handlers over an index service."""

    index: IndexService
    overrides: Overrides
    clock: Clock
    version: str
    has_patterns: bool = False

    async def stats(self, asked: Asked) -> Answer:
        """Answer with how much a selector selects."""
        request = self._selected(asked)
        return _json(asdict(await self.index.stats(asked.tenant, request)))

    async def volume(self, asked: Asked) -> Answer:
        """Answer with bytes by series."""
        start_ns, end_ns = self._bounds(asked.form)
        request = VolumeRequest(
            asked.form.get("query"),
            start_ns,
            end_ns,
            parse_limit(asked.form.get("limit")),
            _targets_of(asked.form),
            _is_by_label(asked.form),
        )
        return await self._volume(asked.tenant, request)

    async def volume_range(self, asked: Asked) -> Answer:
        """Answer with bytes by series and step."""
        ranged = parse_range(
            asked.form, now_ns=self.clock.now_ns(), categorized=False, tags={}
        )
        request = VolumeRequest(
            ranged.query,
            ranged.start_ns,
            ranged.end_ns,
            ranged.limit,
            _targets_of(asked.form),
            _is_by_label(asked.form),
            ranged.step_ns,
        )
        return await self._volume(asked.tenant, request)

    async def shards(self, asked: Asked) -> Answer:
        """Answer with the one shard that this store has."""
        if not asked.form.get("targetBytesPerShard"):
            raise ValidationFailed("targetBytesPerShard must be a positive value")
        found = await self.index.stats(asked.tenant, self._selected(asked))
        bounds = {"min": 0, "max": _FINGERPRINT_MAX}
        shard = {"bounds": bounds, "stats": asdict(found)}
        return _json({"shards": [shard], "statistics": stats_of(QueryCost())})

    async def detected_labels(self, asked: Asked) -> Answer:
        """Answer with the labels worth choosing from."""
        request = self._selected(asked)
        found = await self.index.detected_labels(asked.tenant, request)
        shown = [{"label": name, "cardinality": found[name]} for name in sorted(found)]
        return _json({"detectedLabels": shown})

    async def detected_fields(self, asked: Asked) -> Answer:
        """Answer with the fields of a query's newest lines."""
        request = self._fields(asked.form)
        found = await self.index.detected_fields(asked.tenant, request)
        shown = [_shown_field(name, each) for name, each in found.items()]
        return _json({"fields": shown, "limit": request.limit})

    async def detected_field_values(self, asked: Asked) -> Answer:
        """Answer with the values of one field in a query's newest lines."""
        request = self._fields(asked.form)
        values = await self.index.detected_field_values(
            asked.tenant, asked.path["name"], request
        )
        return _json({"values": list(values), "limit": request.limit})

    async def drilldown_limits(self, asked: Asked) -> Answer:
        """Answer with the limits that Grafana's Logs Drilldown goes by."""
        limits = self.overrides.limits_of(asked.tenant).to_mapping()
        return _json(
            {
                "limits": {name: limits[name] for name in DRILLDOWN_LIMITS},
                "pattern_ingester_enabled": self.has_patterns,
                "version": self.version,
            }
        )

    async def _volume(self, tenant: str, request: VolumeRequest) -> Answer:
        data, cost = await self.index.volume(tenant, request)
        return Answer(encode_result(data, stats_of(cost)))

    def _selected(self, asked: Asked) -> MetadataRequest:
        start_ns, end_ns = self._bounds(asked.form)
        query = asked.form.get("query")
        return MetadataRequest(start_ns, end_ns, (query,) if query else ())

    def _fields(self, form: Form) -> FieldsRequest:
        start_ns, end_ns = self._bounds(form)
        limit = form.get("limit") or form.get("field_limit")
        return FieldsRequest(
            form.get("query"),
            start_ns,
            end_ns,
            parse_limit(form.get("line_limit")),
            parse_limit(limit, default=FIELDS_DEFAULT),
        )

    def _bounds(self, form: Form) -> tuple[int, int]:
        start_ns, end_ns = parse_bounds(form, now_ns=self.clock.now_ns())
        if end_ns < start_ns:
            raise ValidationFailed(
                "end timestamp must not be before or equal to start time"
            )
        return start_ns, end_ns


def _targets_of(form: Form) -> tuple[str, ...]:
    names = form.get("targetLabels").split(",")
    return tuple(name.strip() for name in names if name.strip())


def _is_by_label(form: Form) -> bool:
    by_label = _BY_LABEL.get(form.get("aggregateBy"))
    if by_label is None:
        raise ValidationFailed("invalid aggregation option")
    return by_label


def _shown_field(name: str, each: Field) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "label": name,
        "type": each.kind,
        "cardinality": len(each.values),
        "parsers": each.parsers or None,
    }
    if each.json_path:
        shown["jsonPath"] = list(each.json_path)
    return shown


def _json(value: Any) -> Answer:
    return Answer(encode_json(value))
