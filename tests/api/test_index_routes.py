"""Routes about what there is: parameters in, JSON out."""

import asyncio
import json

import numpy as np
import pytest

from loki_py.api.answers import Asked
from loki_py.api.forms import Form
from loki_py.api.index import IndexRoutes
from loki_py.api.patterns import PatternRoutes
from loki_py.config.limits import Limits, StaticOverrides
from loki_py.errors import RequestRejected, ValidationFailed
from loki_py.model.results import Vector
from loki_py.patterns.merging import Pattern
from loki_py.patterns.querier import PatternAnswer
from loki_py.querier.detected_fields import Field
from loki_py.querier.index_service import FieldsRequest, IndexStats, VolumeRequest
from loki_py.querier.requests import MetadataRequest
from loki_py.querier.stats import QueryCost
from loki_py.runtime.clock import ManualClock

S = 1_000_000_000
NOW_S = 1_700_000_000


class FakeIndex:
    """Answers the same always; notes what it was asked."""

    def __init__(self):
        self.asked = []

    async def stats(self, tenant, request):
        self.asked.append((tenant, request))
        return IndexStats(1, 2, 3, 4)

    async def volume(self, tenant, request):
        self.asked.append((tenant, request))
        labels = [(("app", "<a>"),)]
        return Vector(labels, request.end_ns, np.array([7.0])), QueryCost()

    async def detected_labels(self, tenant, request):
        self.asked.append((tenant, request))
        return {"b": 2, "a": 1}

    async def detected_fields(self, tenant, request):
        self.asked.append((tenant, request))
        return {
            "m": Field("int", [], {"1": None}),
            "j": Field("string", ["json"], {"x": None, "y": None}, ("a", "b")),
        }

    async def detected_field_values(self, tenant, name, request):
        self.asked.append((tenant, request))
        return [name]


def ask(handler, *, path=None, **parameters):
    """Return the decoded answer and what the index was asked."""
    index = FakeIndex()
    routes = IndexRoutes(
        index, StaticOverrides(Limits()), ManualClock(NOW_S * S), "1.2.3"
    )
    form = Form({name: (value,) for name, value in parameters.items()})
    asked = Asked(tenant="t", form=form, path=path or {})
    answer = asyncio.run(getattr(routes, handler)(asked))
    return json.loads(answer.body), [request for _, request in index.asked]


def test_stats_are_a_bare_object():
    body, asked = ask("stats", query="{}", start="1", end="2")

    assert body == {"streams": 1, "chunks": 2, "bytes": 3, "entries": 4}
    assert asked == [MetadataRequest(1 * S, 2 * S, ("{}",))]


def test_volume_has_the_shape_of_a_query():
    body, asked = ask("volume", query="{}", start="1", end="2")

    result = [{"metric": {"app": "<a>"}, "value": [2, "7"]}]
    assert body["data"]["resultType"] == "vector"
    assert body["data"]["result"] == result
    assert asked == [VolumeRequest("{}", 1 * S, 2 * S, 100)]


def test_volume_range_passes_every_parameter_on():
    _, asked = ask(
        "volume_range",
        query="{}",
        start="1",
        end="61",
        step="30",
        limit="5",
        targetLabels="a, b,",
        aggregateBy="labels",
    )

    targets = ("a", "b")
    assert asked == [VolumeRequest("{}", S, 61 * S, 5, targets, True, 30 * S)]


@pytest.mark.parametrize(
    ("handler", "parameters", "text"),
    [
        ("volume", {"aggregateBy": "x"}, "invalid aggregation option"),
        ("volume", {"limit": "0"}, "limit must be a positive value"),
        ("stats", {"start": "2", "end": "1"}, "end timestamp must not be before"),
        ("volume_range", {"step": "0"}, "zero or negative query resolution"),
        ("volume_range", {"start": "1", "step": "1"}, "exceeded maximum resolution"),
        ("shards", {}, "targetBytesPerShard must be a positive value"),
        ("detected_fields", {"line_limit": "x"}, "strconv.Atoi"),
    ],
)
def test_wrong_parameters_are_refused(handler, parameters, text):
    with pytest.raises(ValidationFailed, match=text):
        ask(handler, query="{}", **parameters)


def test_detected_labels_are_sorted():
    body, asked = ask("detected_labels")

    assert body == {
        "detectedLabels": [
            {"label": "a", "cardinality": 1},
            {"label": "b", "cardinality": 2},
        ]
    }
    assert asked == [MetadataRequest((NOW_S - 3600) * S, NOW_S * S)]


def test_detected_fields_tell_parsers_and_json_paths():
    body, asked = ask(
        "detected_fields", query="{}", start="1", end="2", field_limit="9"
    )

    assert body == {
        "fields": [
            {"label": "m", "type": "int", "cardinality": 1, "parsers": None},
            {"label": "j", "type": "string", "cardinality": 2, "parsers": ["json"]}
            | {"jsonPath": ["a", "b"]},
        ],
        "limit": 9,
    }
    assert asked == [FieldsRequest("{}", S, 2 * S, 100, 9)]


def test_values_of_a_field_are_a_list():
    body, _ = ask("detected_field_values", path={"name": "f"}, query="{}")

    assert body == {"values": ["f"], "limit": 1000}


def test_store_has_one_shard():
    body, _ = ask("shards", query="{}", targetBytesPerShard="1MB")

    [shard] = body["shards"]
    assert shard["bounds"] == {"min": 0, "max": 2**64 - 1}
    assert shard["stats"]["entries"] == 4


def test_drilldown_limits_are_those_of_the_tenant():
    body, _ = ask("drilldown_limits")

    assert body["limits"]["volume_max_series"] == 1000
    assert body["limits"]["volume_enabled"] is True
    assert body["version"] == "1.2.3"


def test_patterns_are_not_found_where_nobody_looks_for_them():
    routes = PatternRoutes(None, ManualClock())

    with pytest.raises(RequestRejected, match="not found") as caught:
        asyncio.run(routes.select(Asked(tenant="t")))
    assert caught.value.status == 404


@pytest.mark.parametrize("missing", [(), ("key: is damaged",)])
def test_patterns_are_told_with_their_samples_and_what_is_missing(missing):
    class Found:
        async def select(self, tenant, matchers, **how):  # noqa: ARG002
            found = [Pattern("a <_>", "info", [(20 * S, 3), (30 * S, 1)])]
            return PatternAnswer(found, missing)

    routes = PatternRoutes(Found(), ManualClock(NOW_S * S))
    form = Form({"query": ('{a="b"}',)})

    answer = asyncio.run(routes.select(Asked(tenant="t", form=form)))

    assert json.loads(answer.body) == {
        "status": "success",
        "data": [{"pattern": "a <_>", "level": "info", "samples": [[20, 3], [30, 1]]}],
        **({"warnings": list(missing)} if missing else {}),
    }
