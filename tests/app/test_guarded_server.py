"""A process with security on: every route asks, and the audit log is told."""

import asyncio
import itertools
import json
import time
from hashlib import sha256

import httpx
import pytest

from loki_py.api.access import Access
from loki_py.app.wiring import wire
from loki_py.config.loader import parse_config
from loki_py.errors import ConfigInvalid
from loki_py.runtime.logs import LogLevel

CONFIG = """
auth_enabled: true
security:
  enabled: true
  audit_file: {folder}/audit.jsonl
  tokens:
  - {{name: reader, sha256: {reader}, tenants: [a], scopes: [read]}}
  - {{name: writer, sha256: {writer}, tenants: [a], scopes: [write]}}
  - {{name: root, sha256: {root}, tenants: ["*"], scopes: [read, write, admin]}}
{more}common:
  path_prefix: {folder}
otlp:
  grpc_listen_port: 0
"""
BODY = b'{"streams":[{"stream":{"a":"b"},"values":[["%d","x"]]}]}'
PUSH = "/loki/api/v1/push"
OTLP = "/otlp/v1/logs"
LABELS = "/loki/api/v1/labels"
TAIL = '/loki/api/v1/tail?query={a="b"}'


class Guarded:
    """A running process, and a client of it."""

    def __init__(self, folder, *, more=""):
        hashes = {
            name: sha256(name.encode()).hexdigest()
            for name in ("reader", "writer", "root")
        }
        config = parse_config(CONFIG.format(folder=folder, more=more, **hashes))
        self.wired = wire(config, LogLevel())
        self.audit_file = folder / "audit.jsonl"
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.wired.app), base_url="http://test"
        )

    async def ask(self, method, path, secret="", **headers):
        """Return the answer to a request that shows a secret."""
        if secret:
            headers["Authorization"] = f"Bearer {secret}"
        return await self.client.request(method, path, headers=headers)

    def calls(self):
        """Return what the audit file holds."""
        if not self.audit_file.exists():
            return []
        return [json.loads(line) for line in self.audit_file.read_text().splitlines()]


@pytest.fixture
async def guarded(tmp_path):
    process = Guarded(tmp_path)
    await process.wired.lifecycle.start()
    yield process
    await process.wired.lifecycle.stop()


@pytest.mark.parametrize(
    ("method", "path", "secret", "status"),
    [
        ("GET", LABELS, "", 401),
        ("GET", LABELS, "nobody", 401),
        ("GET", LABELS, "writer", 403),
        ("GET", LABELS, "reader", 200),
        ("POST", PUSH, "", 401),
        ("POST", PUSH, "reader", 403),
        ("POST", OTLP, "", 401),
        ("POST", OTLP, "reader", 403),
        ("GET", TAIL, "", 401),
        ("GET", TAIL, "writer", 403),
        ("GET", TAIL, "reader", 400),
        ("GET", "/openapi.json", "", 200),
        ("GET", "/runtime_config", "reader", 403),
        ("GET", "/ring", "reader", 403),
        ("POST", "/ingester/shutdown", "writer", 403),
        ("GET", "/config", "reader", 403),
        ("GET", "/metrics", "reader", 403),
        ("GET", "/metrics", "root", 200),
        ("POST", "/flush", "reader", 403),
        ("POST", "/flush", "root", 204),
        ("GET", "/loki/api/v1/status/buildinfo", "writer", 200),
        ("GET", "/loki/api/v1/status/buildinfo", "", 401),
        ("GET", "/ready", "", 200),
    ],
)
async def test_each_route_asks_for_its_scope(guarded, method, path, secret, status):
    answer = await guarded.ask(method, path, secret)

    assert answer.status_code == status
    if status == 401:
        assert answer.headers["www-authenticate"] == 'Basic realm="loki_py"'


async def test_push_goes_to_the_tenant_of_its_token(guarded):
    headers = {"Authorization": "Bearer writer", "Content-Type": "application/json"}

    pushed = await guarded.client.post(
        PUSH, content=BODY % time.time_ns(), headers=headers
    )
    own = await guarded.ask("GET", LABELS, "reader")
    by_name = await guarded.ask("GET", LABELS, "root", **{"X-Scope-OrgID": "a"})
    other = await guarded.ask("GET", LABELS, "reader", **{"X-Scope-OrgID": "b"})

    assert pushed.status_code == 204
    assert own.json()["data"] == by_name.json()["data"] == ["a", "service_name"]
    assert other.status_code == 403


@pytest.mark.parametrize(
    ("method", "path", "secret", "status"),
    [
        ("GET", "/ready", "", 200),
        ("GET", "/nothing", "", 404),
        ("DELETE", LABELS, "reader", 405),
        ("GET", PUSH, "writer", 405),
        ("POST", PUSH, "", 401),
        ("POST", PUSH, "writer", 400),
        ("POST", OTLP, "writer", 400),
        ("GET", LABELS, "", 401),
        ("GET", TAIL, "reader", 400),
        ("GET", "/docs", "", 200),
        ("POST", "/flush", "root", 204),
    ],
)
async def test_security_headers_go_with_every_answer(
    guarded, method, path, secret, status
):
    answer = await guarded.ask(method, path, secret)

    assert answer.status_code == status
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]


METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "X")
NO_TOKENS = (
    {},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer " + "x" * 9_000},
    {"Authorization": "Bearer a.b.c"},
    {"Authorization": "Basic ====", "X-Scope-OrgID": "../a|b"},
    {"Authorization": b"Digest \xff"},
)


async def test_nobody_gets_anything_by_any_method(guarded):
    """Every path of the description, and some beside, with what is no token."""
    described = (await guarded.ask("GET", "/openapi.json")).json()["paths"]
    paths = [path.replace("{name}", "x%2F..") for path in described]
    let_in = set()

    paths += ["//", "/loki/api/v1/push/", "/%2e%2e/config"]
    headers = itertools.cycle(NO_TOKENS)
    for path, method in itertools.product(paths, METHODS):
        shown = next(headers)
        answer = await guarded.client.request(method, path, headers=shown)
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.status_code in {200, 401, 404, 405}, (method, path, shown)
        if answer.status_code == 200:
            let_in.add((method, path))

    assert let_in == {("GET", each) for each in ("/ready", "/docs", "/openapi.json")}


async def test_audit_log_names_who_did_what(guarded):
    await guarded.ask("POST", "/log_level?log_level=debug", "root")
    await guarded.ask("GET", LABELS, "reader")

    [call] = guarded.calls()
    assert call.pop("time").endswith("Z")
    assert call == {
        "who": "root",
        "client": "127.0.0.1",
        "method": "POST",
        "route": "log_level",
        "query": "log_level=debug",
        "tenant": "",
        "status": 200,
    }


async def test_audit_log_tells_of_the_refused(guarded):
    for _ in range(3):
        await guarded.ask("POST", "/flush", "nobody")

    [call] = guarded.calls()
    assert (call["who"], call["status"]) == ("anonymous", 401)


def token_line(name, *, scopes="[read]"):
    digest = sha256(name.encode()).hexdigest()
    return f"- {{name: {name}, sha256: '{digest}', tenants: [a], scopes: {scopes}}}\n"


async def test_tokens_of_the_file_come_and_go_while_it_runs(tmp_path):
    """A file that is wrong changes nothing."""
    path = tmp_path / "tokens.yaml"
    path.write_text(token_line("first"))
    process = Guarded(tmp_path, more=f"  tokens_file: {path}\n  reload_period: 10ms\n")
    await process.wired.lifecycle.start()

    async def statuses():
        return [
            (await process.ask("GET", LABELS, secret)).status_code
            for secret in ("reader", "first", "second")
        ]

    async def is_good():
        metrics = (await process.ask("GET", "/metrics", "root")).text
        return 'loki_py_reload_successful{what="tokens"} 1.0' in metrics

    assert await statuses() == [200, 200, 401]
    for wrong in ("- {name: x}", "nothing: {", "- 1", token_line("reader")):
        path.write_text(token_line("first") + token_line("second"))
        await becomes(statuses, [200, 200, 200])
        await becomes(is_good, True)
        path.write_text(wrong)
        await becomes(is_good, False)
        assert await statuses() == [200, 200, 200]
    path.write_text("")
    await becomes(statuses, [200, 401, 401])
    await process.wired.lifecycle.stop()


async def becomes(asked, expected):
    """Wait until what is asked again and again gives what is expected."""
    async with asyncio.timeout(30):
        while await asked() != expected:  # noqa: ASYNC110  # a file tells nobody
            await asyncio.sleep(0.001)


async def test_a_file_of_tokens_that_is_missing_ends_the_start(tmp_path):
    process = Guarded(tmp_path, more=f"  tokens_file: {tmp_path}/none\n")

    with pytest.raises(ConfigInvalid, match="No such file"):
        await process.wired.lifecycle.start()


async def test_no_secret_is_shown(guarded):
    shown = await guarded.ask("GET", "/config", "root")

    assert sha256(b"root").hexdigest() not in shown.text
    assert "sha256: <secret>" in shown.text


async def test_second_listener_takes_what_is_about_the_process(tmp_path):
    wired = wire(
        parse_config(
            "",
            assignments=[
                f"common.path_prefix={tmp_path}",
                "server.admin_listen_address=127.0.0.1",
            ],
        ),
        LogLevel(),
    )
    statuses = {}
    for name, app in (("first", wired.app), ("second", wired.admin_app)):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://t") as one:
            statuses[name] = [
                (await one.get(path)).status_code
                for path in ("/ready", "/metrics", "/config", LABELS)
            ]

    assert statuses == {"first": [503, 404, 404, 503], "second": [503, 200, 200, 404]}


async def test_another_sites_page_flushes_nothing(tmp_path):
    config = parse_config("", assignments=[f"common.path_prefix={tmp_path}"])
    transport = httpx.ASGITransport(wire(config, LogLevel()).app)
    async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
        answer = await client.post("/flush", headers={"Sec-Fetch-Site": "cross-site"})

    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("security: {enabled: true}", "neither tokens, tokens_file nor"),
        ("security: {tokens: [{name: a}]}", "sha256: Field required"),
        (
            "security: {tokens: [{name: a, sha256: x, tenants: [a], scopes: [read]}]}",
            "not 64 lower-case hex digits",
        ),
        (
            "security: {tokens: [{name: a, sha256: %r, tenants: [a], scopes: [read]}]}"
            % ("0" * 64),
            "enabled is not true",
        ),
        ("security: {jwt: {jwks_file: x}}", "needs an audience"),
    ],
)
def test_half_a_security_is_a_wrong_configuration(text, why):
    with pytest.raises(ConfigInvalid, match=why):
        parse_config(text)


def test_every_access_is_a_scope_or_less():
    assert {each.value for each in Access} - {"read", "write", "admin"} == {
        "nothing",
        "any token",
    }
