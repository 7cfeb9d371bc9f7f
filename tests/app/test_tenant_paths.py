"""Tenants on disk: whatever a tenant is called, it stays below its own prefix."""

import json

import httpx
import pytest

from loki_py.app.wiring import wire
from loki_py.config.loader import parse_config
from loki_py.runtime.clock import SystemClock
from loki_py.runtime.logs import LogLevel

PUSH = "/loki/api/v1/push"
JSON = {"Content-Type": "application/json"}
NASTY = [
    "...",
    ".unfinished",
    "..a",
    "a..",
    "*",
    "!'()",
    "packs",
    "index",
    "-rf",
    "CON",
]
NOT_ALLOWED = ["..", ".", "../x", "a/b", "a\\b", "%2e%2e", "a%00", "~", "$HOME", "é"]


@pytest.fixture
async def process(tmp_path):
    folder = tmp_path / "inside"
    config = parse_config(
        "auth_enabled: true", assignments=[f"common.path_prefix={folder}"]
    )
    wired = wire(config, LogLevel())
    await wired.lifecycle.start()
    transport = httpx.ASGITransport(wired.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
        yield client, folder
    await wired.lifecycle.stop()


async def push(client, tenant, moment_ns):
    values = [[str(moment_ns), "x"]]
    body = json.dumps({"streams": [{"stream": {"a": "b"}, "values": values}]})
    header = tenant.encode("latin-1")
    return await client.post(
        PUSH, content=body, headers=[*JSON.items(), (b"X-Scope-OrgID", header)]
    )


async def test_no_tenant_becomes_a_path_without_encoding(process, tmp_path):
    client, folder = process
    now_ns = SystemClock().now_ns()
    taken = [(await push(client, name, now_ns)).status_code for name in NASTY]
    refused = [(await push(client, name, now_ns)).status_code for name in NOT_ALLOWED]
    flushed = await client.post("/flush")

    assert taken == [204] * len(NASTY)
    assert refused == [400] * len(NOT_ALLOWED)
    assert flushed.status_code == 204
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    prefixes = {path.name for path in (folder / "chunks").iterdir()}
    assert prefixes - {".unfinished"} == {  # where the store writes before it renames
        "%2E..", "index", "%2Eunfinished", "%2E.a", "a..", "%2A", "%21%27%28%29",
        "packs", "-rf", "CON",
    }  # fmt: skip
    for name in NASTY:
        answer = await client.get(
            "/loki/api/v1/labels", headers={"X-Scope-OrgID": name}
        )
        assert answer.json()["data"] == ["a", "service_name"], name
