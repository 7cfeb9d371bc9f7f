"""Requests made up from the API's description: answered as described, never 5xx."""

import contextlib
import json
import time

import pytest
import requests
import schemathesis
from harness import Api, Server
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import status_code_conformance

from bench.server import cpu_s_of

EXAMPLES = 12
"""For each route and method, of good requests and of bad ones."""

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


def ask(operation, mode, session, pid):
    """Send requests to one route."""

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode))
    def send(case):
        answer = in_time(pid, lambda: case.call(session=session, allow_redirects=False))
        told = f"{case.as_curl_command()}: {answer.status_code} {answer.text[:200]}"
        assert answer.status_code < 500, told
        if mode is GenerationMode.POSITIVE:
            case.validate_response(answer, checks=[status_code_conformance])

    send()
