"""Queries about several tenants: what is merged, chosen, renamed and refused."""

import time

import httpx
import pytest

from loki_py.app.wiring import wire
from loki_py.config.limits import Limits
from loki_py.config.loader import parse_config
from loki_py.querier.federation import strictest
from loki_py.runtime.logs import LogLevel

NOW_NS = time.time_ns() // 10**9 * 10**9
BOTH = "b|a|a"
API = "/loki/api/v1"


class Store:
    """A running process with the logs of tenants a, b and c."""

    def __init__(self, folder, *assignments):
        config = parse_config(
            "",
            assignments=[
                f"common.path_prefix={folder}",
                "auth_enabled=true",
                "otlp.grpc_listen_port=0",
                *assignments,
            ],
        )
        self.wired = wire(config, LogLevel())
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.wired.app), base_url="http://test"
        )

    async def push(self, tenant, labels, *lines):
        values = [[str(NOW_NS + at), line] for at, line in enumerate(lines)]
        answer = await self.client.post(
            f"{API}/push",
            json={"streams": [{"stream": labels, "values": values}]},
            headers={"X-Scope-OrgID": tenant},
        )
        assert answer.status_code == 204, answer.text

    async def get(self, path, tenant=BOTH, **params):
        given = {"start": NOW_NS - 10**9, "end": NOW_NS + 10**9, **params}
        return await self.client.get(
            f"{API}/{path}", params=given, headers={"X-Scope-OrgID": tenant}
        )

    async def lines(self, query, **params):
        """Return (tenant, line) in the order of the answer."""
        answer = await self.get("query_range", query=query, **params)
        found = [
            (int(timestamp), stream["stream"].get("__tenant_id__"), line)
            for stream in answer.json()["data"]["result"]
            for timestamp, line in stream["values"]
        ]
        return [each[1:] for each in sorted(found)]

    async def value(self, query):
        answer = await self.get("query", query=query, time=NOW_NS + 10**9)
        return {
            series["metric"].get("__tenant_id__", ""): series["value"][1]
            for series in answer.json()["data"]["result"]
        }


ON = "querier.multi_tenant_queries_enabled=true"


@pytest.fixture
async def store(tmp_path):
    store = Store(tmp_path, ON)
    await store.wired.lifecycle.start()
    await store.push("a", {"app": "x"}, "a1", "a2")
    await store.push("b", {"app": "x", "__tenant_id__": "mine"}, "b1", "b2", "b3")
    await store.push("c", {"app": "x"}, "c1")
    yield store
    await store.wired.lifecycle.stop()


async def test_lines_of_the_named_tenants_say_whose_they_are(store):
    assert await store.lines('{app="x"}') == [
        *[("a", "a1"), ("b", "b1"), ("a", "a2"), ("b", "b2"), ("b", "b3")]
    ]


async def test_flushed_lines_are_merged_with_recent_ones(store):
    flushed = await store.client.post("/flush")
    await store.push("a", {"app": "x"}, *["a1", "a2", "a3"])

    assert flushed.status_code == 204
    assert await store.lines('{app="x"}', direction="forward") == [
        *[("a", "a1"), ("b", "b1"), ("a", "a2"), ("b", "b2"), ("a", "a3"), ("b", "b3")]
    ]


async def test_limit_counts_the_lines_of_all(store):
    assert await store.lines('{app="x"}', limit=2) in (
        [("b", "b2"), ("b", "b3")],
        [("a", "a2"), ("b", "b3")],
    )


async def test_aggregations_add_up_over_tenants(store):
    assert await store.value('sum(count_over_time({app="x"}[1m]))') == {"": "5"}
    assert await store.value(
        'sum by (__tenant_id__) (count_over_time({app="x"}[1m]))'
    ) == {"a": "2", "b": "3"}


@pytest.mark.parametrize(
    ("matcher", "tenants"),
    [
        ('__tenant_id__="a"', {"a"}),
        ('__tenant_id__!="a"', {"b"}),
        ('__tenant_id__=~"a|c"', {"a"}),
        ('__tenant_id__!~".*"', set()),
        ('original___tenant_id__="mine"', {"b"}),
    ],
)
async def test_matchers_choose_among_the_tenants(store, matcher, tenants):
    found = await store.lines(f'{{app="x", {matcher}}}')

    assert {tenant for tenant, _ in found} == tenants


async def test_labels_and_series_know_the_tenants(store):
    names = (await store.get("labels")).json()["data"]
    values = (await store.get("label/__tenant_id__/values")).json()["data"]
    series = (await store.get("series", **{"match[]": '{app="x"}'})).json()["data"]

    assert {"__tenant_id__", "original___tenant_id__", "app"} <= set(names)
    assert values == ["a", "b"]
    assert [each["__tenant_id__"] for each in series] == ["a", "b"]
    assert series[1]["original___tenant_id__"] == "mine"


async def test_statistics_and_volumes_count_all(store):
    stats = (await store.get("index/stats", query='{app="x"}')).json()
    volume = (await store.get("index/volume", query='{app="x"}')).json()

    assert (stats["streams"], stats["entries"]) == (2, 5)
    assert int(volume["data"]["result"][0]["value"][1]) >= 10


async def test_one_tenant_is_answered_as_ever(store):
    answer = await store.get("series", tenant="b", **{"match[]": '{app="x"}'})

    assert answer.json()["data"][0]["__tenant_id__"] == "mine"


@pytest.mark.parametrize("path", ["patterns", "drilldown-limits", "tail"])
async def test_other_routes_take_one_tenant(store, path):
    answer = await store.get(path, query='{app="x"}')

    assert (answer.status_code, answer.text) == (400, "multiple org IDs present")


async def test_pushes_take_one_tenant(store):
    answer = await store.client.post(
        f"{API}/push", content=b"{}", headers={"X-Scope-OrgID": "a|b"}
    )

    assert answer.status_code == 400


async def test_several_tenants_are_refused_unless_turned_on(tmp_path):
    store = Store(tmp_path)
    await store.wired.lifecycle.start()
    answer = await store.get("query_range", query='{app="x"}')
    await store.wired.lifecycle.stop()

    assert (answer.status_code, answer.text) == (400, "multiple org IDs present")


def test_the_strictest_limits_hold():
    each = [
        Limits.from_mapping({"max_query_series": 7, "required_labels": ["a"]}),
        Limits.from_mapping({"max_query_range": "1h", "required_labels": ["b"]}),
        Limits.from_mapping({"max_query_parallelism": 0, "minimum_labels_number": 2}),
    ]

    found = strictest(each)

    assert found.query_series_max == 7
    assert found.query_range_ns_max == 3_600 * 10**9
    assert found.required_labels == ("a", "b")
    assert (found.query_parallelism_max, found.label_matchers_min) == (0, 2)
