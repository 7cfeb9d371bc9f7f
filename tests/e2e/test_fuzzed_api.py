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

EXAMPLES = 12
"""For each route and method, of good requests and of bad ones."""

ANSWER_S_MAX = 1.0
"""The slowest answer, on a machine that may be doing other things too."""

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
            ask(operation, mode, session)
            asked.add((operation.method, operation.path))

    assert len(asked) >= 40


def ask(operation, mode, session):
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
        started = time.monotonic()
        answer = case.call(session=session, allow_redirects=False)
        took_s = time.monotonic() - started
        told = f"{case.as_curl_command()}: {answer.status_code} {answer.text[:200]}"
        assert answer.status_code < 500, told
        assert took_s < ANSWER_S_MAX, f"{took_s:.2f} s: {told}"
        if mode is GenerationMode.POSITIVE:
            case.validate_response(answer, checks=[status_code_conformance])

    send()
