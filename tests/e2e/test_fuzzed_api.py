"""Requests made up from the API's description: answered as described, never 5xx."""

import contextlib
import json
import time
from hashlib import sha256

import pytest
import requests
import schemathesis
from harness import Api, Server
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import status_code_conformance

from bench.server import cpu_s_of
from loki_py.api.access import Access, access_of
from loki_py.api.otlp import OTLP_ROUTES
from loki_py.api.push import PUSH_ROUTES

EXAMPLES = 12
"""For each route and method, of good requests and of bad ones."""

GUARDED_EXAMPLES = 2
"""The same, for each token."""

ANSWER_S_MAX = 0.05
"""The slowest answer."""

CPU_S_MAX = 0.16
"""What an answer may cost the server where the machine is too busy to tell: a core
that others use as well does the same work in up to three times the time."""

TRIES = 5

# They end or drain the process, or fill its disk: not what is asked here.
LEFT_OUT = {"/ingester/shutdown", "/ingester/prepare_shutdown", "/flush"}


@pytest.fixture(scope="module")
def server():
    with Server({"ingester.disk_ceiling_ratio": "1"}) as running:
        running.start()
        yield running


def operations_of(port):
    """Return what the server says it serves."""
    with Api(port) as api:
        description = api.request("GET", "/openapi.json").body
    schema = schemathesis.openapi.from_dict(json.loads(description))
    schema.config.update(base_url=f"http://127.0.0.1:{port}")
    return [
        found.ok()
        for found in schema.get_all_operations()
        if found.ok().path not in LEFT_OUT
    ]


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_made_up_requests_are_answered_as_described(server, mode):
    asked = set()
    for operation in operations_of(server.port):
        # A route that takes nothing can not be asked wrongly.
        with requests.Session() as session, contextlib.suppress(Unsatisfiable):
            ask(operation, mode, session, server.pid)
            asked.add((operation.method, operation.path))

    assert len(asked) >= 40


def in_time(pid, asked):
    """Return the answer; it came soon, or cost little however often it is asked for.

    Other programs make answers late; they do not make them cost more.
    """
    costs = []
    for _ in range(TRIES):
        cpu_s, started_s = cpu_s_of(pid), time.monotonic()
        answer = asked()
        if time.monotonic() - started_s < ANSWER_S_MAX:
            return answer
        costs.append(cpu_s_of(pid) - cpu_s)
        if costs[-1] <= CPU_S_MAX:
            return answer
    raise AssertionError(f"{min(costs):.2f} s of CPU: {answer.text[:300]}")


SELECTOR = '{app="a"}'
LONG = {
    "line filters": SELECTOR + '|="x"' * 25_000,
    "parsers": SELECTOR + "|json" * 25_000,
    "alternatives": SELECTOR + '|="x"' + 'or"y"' * 25_000,
    "label filters": SELECTOR + '|a="x"' * 20_000,
    "names": SELECTOR + "|drop " + "a," * 60_000 + "a",
    "template": SELECTOR + '|line_format "' + "{{.a}}" * 20_000 + '"',
    "template's actions": SELECTOR + "|line_format `" + "{{" * 60_000 + "`",
    "pattern": SELECTOR + "|pattern `" + "<a> " * 30_000 + "`",
    "letters": SELECTOR + "|~`" + r"\pL" * 40_000 + "`",
    "repeated letters": SELECTOR + r"|~`\pL{100}\pL{100}`" * 2_000,
    "repetitions": SELECTOR + "|~`" + "(a{0,30}){0,30}" * 8_000 + "`",
    "captures": SELECTOR
    + "|regexp`"
    + "".join(f"(?P<a{number}>x)" for number in range(9_000))
    + "(`",
    "parentheses": "(" * 130_000,
    "operators": "1" + "+1" * 60_000,
    "rates": "+".join(['rate({a="b"}[1m])'] * 6_000),
    "blanks": "\n" * 130_000,
    "digits": "9" * 130_000,
}


@pytest.mark.parametrize("query", LONG.values(), ids=LONG)
@pytest.mark.parametrize("path", ["query_range", "format_query"])
def test_long_queries_are_refused_before_they_cost_much(server, path, query):
    url = f"http://127.0.0.1:{server.port}/loki/api/v1/{path}"

    answer = in_time(server.pid, lambda: requests.post(url, {"query": query}))

    assert answer.status_code in {200, 400} if path == "format_query" else {400}


SCOPES = {"reader": {"read"}, "writer": {"write"}, "root": {"read", "write", "admin"}}
SECRETS = {"nobody": "", "unknown": "lpy_unknown", **{name: name for name in SCOPES}}
TOKENS = [
    {
        "name": name,
        "sha256": sha256(name.encode()).hexdigest(),
        "tenants": ["*" if name == "root" else "fake"],
        "scopes": sorted(scopes),
    }
    for name, scopes in SCOPES.items()
]


@pytest.fixture(scope="module")
def guarded():
    """A server with security on."""
    settings = {
        "security.enabled": "true",
        "security.tokens": json.dumps(TOKENS),
        "ingester.disk_ceiling_ratio": "1",
    }
    with Server(settings) as running:
        running.start()
        yield running


def refusal_of(operation, who):
    """Return the status with which a token is refused; None where it is let in."""
    has_tenant = operation.definition.raw["tags"] == ["logs"]
    access = access_of(operation.path, has_tenant=has_tenant)
    if operation.path in {*PUSH_ROUTES, *OTLP_ROUTES}:
        access = Access.WRITE
    if access is Access.OPEN:
        return None
    if who not in SCOPES:
        return 401
    if access is Access.KNOWN:
        return None
    is_theirs = has_tenant or who == "root"
    return None if access.value in SCOPES[who] and is_theirs else 403


@pytest.mark.parametrize("who", SECRETS)
def test_each_token_is_let_in_where_its_scopes_say(guarded, who):
    """With security on no answer is undescribed, and none is given by mistake."""
    refused = []
    for operation in operations_of(guarded.port):
        expected = refusal_of(operation, who)
        refused.append(expected)
        with requests.Session() as session:
            if SECRETS[who]:
                session.headers["Authorization"] = f"Bearer {SECRETS[who]}"
            ask(
                operation,
                GenerationMode.POSITIVE,
                session,
                guarded.pid,
                examples=GUARDED_EXAMPLES,
                refused=expected,
            )

    assert len(refused) >= 40
    assert None in refused
    assert who == "root" or len(set(refused)) > 1


def ask(operation, mode, session, pid, *, examples=EXAMPLES, refused=None):
    """Send requests to one route.

    Args:
        refused: the status of every answer, where there is only one.
    """

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode))
    def send(case):
        # Who asks is the session's to say.
        case.headers.pop("Authorization", None)
        answer = in_time(pid, lambda: case.call(session=session, allow_redirects=False))
        told = f"{case.as_curl_command()}: {answer.status_code} {answer.text[:200]}"
        assert answer.status_code < 500, told
        if refused is not None:
            assert answer.status_code == refused, told
        elif "Authorization" in session.headers:
            assert answer.status_code not in {401, 403}, told
        if mode is GenerationMode.POSITIVE:
            case.validate_response(answer, checks=[status_code_conformance])

    send()
