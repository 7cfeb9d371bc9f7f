"""OTLP over HTTP: paths, errors as protobuf statuses, and what is pushed."""

import asyncio
import json

import pytest
from fakes.pushes import Pushes

from loki_py.api.bodies import BytesInFlight
from loki_py.api.context import ApiContext, Tenancy
from loki_py.api.otlp import OtlpAcceptor, OtlpRoute
from loki_py.api.push import PushCaps
from loki_py.config.limits import StaticOverrides
from loki_py.errors import DurabilityFailed, LimitExceeded, ValidationFailed
from loki_py.runtime.clock import SystemClock
from loki_py.runtime.metrics import RequestMetrics, new_registry
from loki_py.wire.otlp import OtlpDecoder
from loki_py.wire.otlp_answers import encode_status

ONE_RECORD = json.dumps(
    {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"timeUnixNano": "1"}]}]}]}
).encode()


def export(pushes, body, *, path="/otlp/v1/logs", tenant="t1"):
    """Return status, headers and body of the answer."""
    context = ApiContext(
        Tenancy(enabled=True),
        SystemClock(),
        RequestMetrics(new_registry("0")),
        lambda: True,
    )
    caps = PushCaps(1 << 20, 1 << 20, BytesInFlight(1 << 21))
    route = OtlpRoute(
        OtlpAcceptor(OtlpDecoder(), pushes, StaticOverrides(), context, caps)
    )
    headers = [(b"content-type", b"application/json")]
    if tenant:
        headers.append((b"x-scope-orgid", tenant.encode()))
    scope = {"type": "http", "method": "POST", "path": path, "headers": headers}
    sent = []

    async def receive():
        return {"type": "http.request", "body": body}

    async def send(message):
        sent.append(message)

    asyncio.run(route(scope, receive, send))
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


@pytest.mark.parametrize("path", ["/otlp/v1/logs", "/v1/logs"])
def test_records_are_pushed_and_answered_with_nothing(path):
    pushes = Pushes()

    assert export(pushes, ONE_RECORD, path=path) == (204, {}, b"")
    assert pushes.taken == [("t1", [""], "otlp")]


@pytest.mark.parametrize(
    ("error", "status", "text", "retry"),
    [
        (ValidationFailed("too old"), 400, "too old", None),
        (LimitExceeded("too much"), 429, "too much", b"1"),
        (DurabilityFailed("disk"), 503, "disk", None),
        (ValueError("bug"), 503, "internal error; the server's log says more", None),
    ],
)
def test_failures_are_protobuf_statuses(error, status, text, retry):
    found, headers, body = export(Pushes(error), ONE_RECORD)

    assert found == status
    assert body == encode_status(text)
    assert headers[b"content-type"] == b"application/octet-stream"
    assert headers.get(b"retry-after") == retry


def test_request_without_records_is_422():
    assert export(Pushes(), b"{}")[0] == 422


def test_request_without_tenant_is_401_in_plain_text():
    status, headers, body = export(Pushes(), ONE_RECORD, tenant="")

    assert (status, body) == (401, b"no org id\n")
    assert headers[b"content-type"] == b"text/plain; charset=utf-8"
