"""The HTTP side: routes, tenants, forms, caps, errors, compression, cancelling."""

import asyncio
import gzip
import json

import httpx
import numpy as np
import pyarrow as pa
import pytest
from fakes.rings import instance, ring_of

from loki_py.api.admin import AdminRoutes, Process
from loki_py.api.bodies import BytesInFlight
from loki_py.api.context import ApiContext, Tenancy
from loki_py.api.push import PUSH_ROUTES, PushCaps, PushRoute
from loki_py.api.query import QueryRoutes
from loki_py.api.ring_routes import RingRoutes, ShutdownRoutes
from loki_py.api.routes import (
    admin_routes,
    ingester_routes,
    query_routes,
    ring_routes,
)
from loki_py.api.server import new_server
from loki_py.config.limits import Limits, StaticOverrides
from loki_py.config.schema import Config
from loki_py.errors import (
    IngestionRateExceeded,
    LimitExceeded,
    Overloaded,
    QueryInvalid,
    QueryTimeout,
    ValidationFailed,
)
from loki_py.model.labels import LabelSet
from loki_py.model.results import Result, Streams
from loki_py.querier.requests import QueryAnswer
from loki_py.querier.stats import QueryCost
from loki_py.runtime.clock import ManualClock
from loki_py.runtime.lifecycle import Lifecycle
from loki_py.runtime.logs import LogLevel
from loki_py.runtime.metrics import RequestMetrics, new_registry
from loki_py.wire.push import PushDecoder

PUSH = "/loki/api/v1/push"
JSON = {"Content-Type": "application/json"}
BODY = b'{"streams":[{"stream":{"a":"b"},"values":[["1767225600000000000","x"]]}]}'


class FakePushes:
    """Keeps what was pushed; raises what it is told to."""

    def __init__(self):
        self.pushed = []
        self.error = None

    async def push(self, tenant, batch, *, push_format):
        assert push_format == "json"
        self.pushed.append((tenant, batch.line.to_pylist()))
        if self.error is not None:
            raise self.error


class FakeQueries:
    """Answers with a fixed stream; raises what it is told to."""

    def __init__(self):
        self.asked = []
        self.error = None
        self.lines = ["one <line>"]
        self.waits = False
        self.cancelled = False

    async def query_range(self, tenant, request):
        self.asked.append((tenant, request))
        if self.waits:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled = True
                raise
        if self.error is not None:
            raise self.error
        data = Streams(
            labels=[(("a", "b"),)],
            offsets=np.array([0, len(self.lines)]),
            timestamp_ns=np.arange(len(self.lines)),
            line=pa.array(self.lines, pa.large_string()),
        )
        return QueryAnswer(Result(data), QueryCost())

    async def query(self, tenant, request):
        return await self.query_range(tenant, request)

    async def labels(self, tenant, request):
        self.asked.append((tenant, request))
        return ["a"]

    async def label_values(self, tenant, name, request):
        self.asked.append((tenant, request))
        return [name]

    async def series(self, tenant, request):
        self.asked.append((tenant, request))
        return [LabelSet.of({"a": "b"})]


class FakeRing:
    """A ring of one that remembers whom it was told to forget."""

    ring = ring_of(instance("ingester-0"))
    is_away = False

    def __init__(self):
        self.forgotten = []

    async def forget(self, instance_id):
        self.forgotten.append(instance_id)


class FakeShutdown:
    is_prepared = False
    asked = None

    def prepare(self, *, wanted):
        self.is_prepared = wanted

    async def shut_down(self, *, flush, terminate):
        self.asked = flush, terminate


class World:
    """One server over fakes, and a client of it."""

    def __init__(self, *, auth=False, body_bytes_max=10_000, inflight=1 << 20):
        self.pushes = FakePushes()
        self.queries = FakeQueries()
        self.lifecycle = Lifecycle({})
        self.flushes = 0
        self.overrides = StaticOverrides()
        self.log_level = LogLevel()
        self.inflight = BytesInFlight(inflight)
        registry = new_registry("1.2.3")
        clock = ManualClock()
        context = ApiContext(
            Tenancy(auth),
            clock,
            RequestMetrics(registry),
            lambda: self.lifecycle.is_running,
        )
        process = Process(
            Config(),
            "1.2.3",
            registry,
            self.lifecycle,
            self.log_level,
            self.overrides,
            self.flush,
        )
        admin = AdminRoutes(process)
        self.ring, self.shutdown = FakeRing(), FakeShutdown()
        rings = dict.fromkeys(("ingester", "distributor"), self.ring)
        routes = [
            *query_routes(QueryRoutes(self.queries, clock, self.print_pretty)),
            *admin_routes(admin),
            *ring_routes(RingRoutes(rings, clock, 60 * 10**9)),
            *ingester_routes(admin, ShutdownRoutes(self.shutdown)),
        ]
        caps = PushCaps(body_bytes_max, 100_000, self.inflight)
        push = PushRoute(PushDecoder(), self.pushes, context, caps)
        self.app = new_server(
            routes, dict.fromkeys(PUSH_ROUTES, push), context, version="1.2.3"
        )
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app, raise_app_exceptions=True),
            base_url="http://test",
        )

    async def flush(self):
        self.flushes += 1

    @staticmethod
    def print_pretty(text):
        if not text.startswith("{"):
            raise QueryInvalid("parse error")
        return text


@pytest.fixture
def world():
    return World()


async def test_push_is_answered_204_without_a_body(world):
    answer = await world.client.post(PUSH, content=BODY, headers=JSON)

    assert (answer.status_code, answer.content) == (204, b"")
    assert world.pushes.pushed == [("fake", ["x"])]


async def test_push_failure_is_its_text_and_a_line_end(world):
    world.pushes.error = LimitExceeded("too fast")

    answer = await world.client.post(PUSH, content=BODY, headers=JSON)

    assert (answer.status_code, answer.text) == (429, "too fast\n")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize(
    ("retry_after_ns", "seconds"), [(1, "1"), (1_000_000_001, "2"), (None, None)]
)
async def test_push_over_its_rate_says_when_to_come_again(
    world, retry_after_ns, seconds
):
    world.pushes.error = IngestionRateExceeded("slow", retry_after_ns=retry_after_ns)

    answer = await world.client.post(PUSH, content=BODY, headers=JSON)

    assert answer.status_code == 429
    assert answer.headers.get("retry-after") == seconds


async def test_push_without_streams_is_unprocessable(world):
    answer = await world.client.post(PUSH, content=b"{}", headers=JSON)

    assert answer.status_code == 422
    assert answer.text == "error at least one valid stream is required for ingestion\n"


async def test_push_without_content_type_is_refused(world):
    answer = await world.client.post(PUSH, content=BODY)

    assert (answer.status_code, answer.text) == (400, "mime: no media type\n")


async def test_unexpected_error_is_hidden(world):
    world.pushes.error = RuntimeError("secret")

    answer = await world.client.post(PUSH, content=BODY, headers=JSON)

    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "loki_panic_total 1.0" in (await world.client.get("/metrics")).text


async def test_announced_body_over_its_cap_is_refused_unread():
    world = World(body_bytes_max=10)

    answer = await world.client.post(PUSH, content=BODY, headers=JSON)

    assert answer.status_code == 413
    assert answer.text == (
        f"request body too large: {len(BODY)} bytes, limit: 10 bytes\n"
    )
    assert world.pushes.pushed == []


async def test_chunked_body_over_its_cap_is_refused_as_it_comes():
    world = World(body_bytes_max=10)
    read = 0

    async def chunks():
        nonlocal read
        for _ in range(100):
            read += 1
            yield b"12345678"

    answer = await world.client.post(PUSH, content=chunks(), headers=JSON)

    assert answer.status_code == 413


async def test_bodies_beyond_what_may_be_in_flight_are_refused():
    world = World(inflight=len(BODY) - 1)

    answer = await world.client.post(PUSH, content=BODY, headers=JSON)

    assert answer.status_code == 503
    assert answer.text == "The server cannot accept more requests at this time.\n"


@pytest.mark.parametrize("error", [None, Overloaded("full"), ValidationFailed("no")])
async def test_nothing_stays_in_flight(world, error):
    world.pushes.error = error

    await world.client.post(PUSH, content=BODY, headers=JSON)

    assert world.inflight.bytes_now == 0


async def test_tenant_comes_from_the_header_where_tenancy_is_on():
    world = World(auth=True)

    answer = await world.client.post(
        PUSH, content=BODY, headers={**JSON, "X-Scope-OrgID": "t1"}
    )

    assert answer.status_code == 204
    assert world.pushes.pushed[0][0] == "t1"


async def test_missing_tenant_is_unauthorised():
    world = World(auth=True)

    pushed = await world.client.post(PUSH, content=BODY, headers=JSON)
    asked = await world.client.get("/loki/api/v1/labels")

    assert (pushed.status_code, pushed.text) == (401, "no org id\n")
    assert (asked.status_code, asked.text) == (401, "no org id\n")


async def test_tenant_header_is_ignored_where_tenancy_is_off(world):
    await world.client.post(
        PUSH, content=BODY, headers={**JSON, "X-Scope-OrgID": "../x"}
    )

    assert world.pushes.pushed[0][0] == "fake"


async def test_query_is_answered_in_lokis_shape(world):
    answer = await world.client.get(
        "/loki/api/v1/query_range",
        params={"query": '{a="b"}', "limit": "7"},
        headers={"X-Loki-Response-Encoding-Flags": "categorize-labels"},
    )

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json; charset=UTF-8"
    assert b"one \\u003cline\\u003e" in answer.content
    tenant, request = world.queries.asked[0]
    assert tenant == "fake"
    assert request.limit == 7
    assert request.categorized


async def test_form_body_wins_over_the_url(world):
    await world.client.post(
        "/loki/api/v1/query_range?limit=1&query=url", data={"query": "body"}
    )

    request = world.queries.asked[0][1]
    assert (request.query, request.limit) == ("body", 1)


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (QueryInvalid("parse error : x"), 400, "parse error : x"),
        (
            QueryTimeout("late"),
            504,
            (
                "request timed out, decrease the duration of the request or add more"
                " label matchers (prefer exact match over regex match) to reduce the"
                " amount of data processed"
            ),
        ),
        (LimitExceeded("too many outstanding requests"), 429, None),
        (
            ExceptionGroup("both", [RuntimeError("x"), QueryInvalid("bad")]),
            400,
            "bad",
        ),
    ],
)
async def test_query_error_is_its_bare_text(world, error, status, text):
    world.queries.error = error

    answer = await world.client.get("/loki/api/v1/query_range?query=x")

    assert answer.status_code == status
    assert answer.text == (text or str(error))
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize("path", ["labels", "label", "label/a/values", "series"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_metadata_routes_answer_both_methods(world, path, method):
    answer = await world.client.request(method, f"/loki/api/v1/{path}")

    assert answer.status_code == 200
    assert answer.json()["status"] == "success"


async def test_old_query_is_answered_in_its_old_shape(world):
    answer = await world.client.get(
        "/api/prom/query", params={"query": '{a="b"}', "regexp": "one"}
    )

    [(_, request)] = world.queries.asked
    assert request.query == '{a="b"}\n|~ "one"'
    assert answer.json()["streams"] == [
        {
            "labels": '{a="b"}',
            "entries": [{"ts": "1970-01-01T00:00:00Z", "line": "one <line>"}],
        }
    ]


async def test_unknown_path_is_not_found(world):
    answer = await world.client.get("/nope")

    assert (answer.status_code, answer.text) == (404, "404 page not found\n")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", PUSH, "POST"),
        ("HEAD", "/loki/api/v1/labels", "GET, POST"),
        ("OPTIONS", "/loki/api/v1/query", "GET, POST"),
        ("POST", "/ready", "GET"),
        ("DELETE", "/loki/api/v1/series", "GET, POST"),
    ],
)
async def test_wrong_method_is_told_the_right_ones(world, method, path, allowed):
    answer = await world.client.request(method, path)

    assert (answer.status_code, answer.content) == (405, b"")
    assert answer.headers["allow"] == allowed


async def test_large_answer_is_gzipped_for_those_who_take_it(world):
    world.queries.lines = ["x" * 100] * 100
    url = "http://test/loki/api/v1/query_range?query=x"
    request = world.client.build_request(
        "GET", url, headers={"Accept-Encoding": "gzip"}
    )

    answer = await world.client.send(request, stream=True)
    raw = b"".join([chunk async for chunk in answer.aiter_raw()])

    assert answer.headers["content-encoding"] == "gzip"
    assert len(raw) < 2_000
    assert json.loads(gzip.decompress(raw))["status"] == "success"


async def test_query_is_cancelled_when_the_client_goes_away(world):
    world.queries.waits = True
    messages = [{"type": "http.request", "body": b""}, {"type": "http.disconnect"}]
    sent = []

    async def receive():
        return messages.pop(0)

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/loki/api/v1/query_range",
        "raw_path": b"/loki/api/v1/query_range",
        "query_string": b"query=x",
        "headers": [],
        "root_path": "",
    }
    await world.app(scope, receive, send)

    assert world.queries.cancelled
    assert sent[0]["status"] == 499


async def test_requests_are_refused_until_every_service_runs(world):
    world.lifecycle.draining = True

    pushed = await world.client.post(PUSH, content=BODY, headers=JSON)
    asked = await world.client.get("/loki/api/v1/labels")
    ready = await world.client.get("/ready")

    assert pushed.status_code == 503
    assert asked.status_code == 503
    assert (ready.status_code, ready.text) == (503, "Application is stopping")


async def test_ready_says_so(world):
    answer = await world.client.get("/ready")

    assert (answer.status_code, answer.text) == (200, "ready\n")


async def test_metrics_count_requests_by_route_not_by_path(world):
    await world.client.post(PUSH, content=BODY, headers=JSON)
    await world.client.get("/loki/api/v1/label/x/values")

    text = (await world.client.get("/metrics")).text

    assert (
        'loki_request_duration_seconds_count{method="POST",'
        'route="loki_api_v1_push",status_code="204",ws="false"} 1.0'
    ) in text
    assert 'route="loki_api_v1_label_name_values"' in text
    assert 'loki_build_info{pythonversion="' in text


async def test_config_shows_what_differs(world):
    everything = await world.client.get("/config")
    difference = await world.client.get("/config?mode=diff")
    wrong = await world.client.get("/config?mode=x")

    assert "http_listen_port: 3100" in everything.text
    assert difference.text == "{}\n"
    assert wrong.status_code == 400


async def test_tenant_limits_are_shown(world):
    answer = await world.client.get("/config/tenant/v1/limits")

    assert "max_line_size: 256KB" in answer.text


async def test_tenants_with_limits_of_their_own_are_shown(world):
    own = Limits.from_mapping({"max_line_size": "1KB"})
    world.overrides.tenants["team-a"] = own

    everything = await world.client.get("/runtime_config")
    difference = await world.client.get("/runtime_config?mode=diff")
    defaults = await world.client.get("/runtime_config?mode=defaults")

    assert "max_query_series: 500" in everything.text
    assert difference.text == "overrides:\n  team-a:\n    max_line_size: 1KB\n"
    assert defaults.text == "overrides: {}\n"


async def test_flush_waits_for_the_flush(world):
    answer = await world.client.post("/flush")

    assert answer.status_code == 204
    assert world.flushes == 1


async def test_log_level_is_told_and_changed(world):
    told = await world.client.get("/log_level")
    changed = await world.client.post("/log_level", data={"log_level": "warn"})
    wrong = await world.client.post("/log_level", data={"log_level": "zzz"})

    assert told.json() == {"message": "Current log level is info"}
    assert changed.json() == {
        "status": "success",
        "message": "Log level set to warn",
    }
    assert wrong.status_code == 400
    assert wrong.json() == {
        "status": "failed",
        "message": 'unrecognized log level "zzz"',
    }
    assert world.log_level.name == "warn"


async def test_build_info_has_the_keys_that_grafana_reads(world):
    told = (await world.client.get("/loki/api/v1/status/buildinfo")).json()

    assert told["version"] == "1.2.3"
    assert {"revision", "branch", "buildUser", "buildDate", "goVersion"} <= set(told)


async def test_format_query_errors_are_json(world):
    good = await world.client.get("/loki/api/v1/format_query", params={"query": "{}"})
    bad = await world.client.get("/loki/api/v1/format_query", params={"query": "x"})

    assert good.json() == {"status": "success", "data": "{}"}
    assert bad.status_code == 400
    assert bad.json() == {"status": "invalid-query", "error": "parse error"}


async def test_parquet_answers_are_refused(world):
    answer = await world.client.get(
        "/loki/api/v1/query_range",
        headers={"Accept": "application/vnd.apache.parquet"},
    )

    assert answer.status_code == 400
    assert answer.text.startswith("support for Parquet encoded responses is disabled")


async def test_ring_is_a_page_or_json(world):
    page = await world.client.get("/ring")
    told = await world.client.get("/ring", headers={"accept": "application/json"})

    assert "Ingester ring" in page.text
    assert told.json()["shards"][0]["id"] == "ingester-0"


async def test_instance_is_forgotten_by_a_form(world):
    answer = await world.client.post("/distributor/ring", data={"forget": "ingester-0"})
    unknown = await world.client.post("/ring", data={"forget": "ingester-7"})

    assert (answer.status_code, answer.headers["location"]) == (
        302,
        "/distributor/ring",
    )
    assert unknown.status_code == 400
    assert world.ring.forgotten == ["ingester-0"]


async def test_ingester_is_shut_down_as_asked(world):
    answer = await world.client.post("/ingester/shutdown?flush=false&terminate=false")
    wrong = await world.client.post("/ingester/shutdown?flush=maybe")

    assert answer.status_code == 204
    assert wrong.status_code == 400
    assert world.shutdown.asked == (False, False)


async def test_shutdown_is_prepared_and_unprepared(world):
    path = "/ingester/prepare_shutdown"
    before = await world.client.get(path)
    await world.client.post(path)
    prepared = await world.client.get(path)
    await world.client.delete(path)
    after = await world.client.get(path)

    assert [before.text, prepared.text, after.text] == ["unset", "set", "unset"]
