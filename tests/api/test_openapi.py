"""The description of the API: what is served, and nothing else."""

import re
from pathlib import Path

import httpx
import pytest

from loki_py.api.docs_page import page_of
from loki_py.api.openapi import description_of, summary_of
from loki_py.api.parameters import PARAMETERS
from loki_py.api.stats import stats_of
from loki_py.app.wiring import wire
from loki_py.config.loader import parse_config
from loki_py.querier.stats import QueryCost
from loki_py.runtime.logs import LogLevel

FOLDER = Path(__file__).parents[2] / "loki_py" / "api"
READ = re.compile(r'form\.(?:get|all)\("([^"]+)"\)|_flag\(asked, "(\w+)"')


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    config = parse_config("", assignments=[f"common.path_prefix={folder}"])
    return wire(config, LogLevel()).app


async def get(app, path):
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
        return await client.get(path)


async def test_description_names_every_route_once(app):
    described = (await get(app, "/openapi.json")).json()["paths"]

    assert {
        "/loki/api/v1/push",
        "/otlp/v1/logs",
        "/loki/api/v1/query_range",
        "/loki/api/v1/tail",
        "/ring",
        "/metrics",
        "/docs",
        "/openapi.json",
    } <= set(described)
    assert set(PARAMETERS) <= set(described)


async def test_every_route_says_what_it_does(app):
    described = (await get(app, "/openapi.json")).json()["paths"]

    for path, methods in described.items():
        for operation in methods.values():
            assert " " in operation["summary"], path
            assert operation["summary"].endswith((".", ":")), path


async def test_every_reason_for_skipping_is_described(app):
    """As the answers have it: the same names, in the same order."""
    described = (await get(app, "/openapi.json")).json()["paths"]
    told = stats_of(QueryCost())["skipped"]

    for path in ("/loki/api/v1/query", "/loki/api/v1/query_range"):
        answer = described[path]["get"]["responses"]["200"]["content"]
        data = answer["application/json"]["schema"]["properties"]["data"]
        skipped = data["properties"]["stats"]["properties"]["skipped"]["properties"]
        assert {kind: list(each["properties"]) for kind, each in skipped.items()} == {
            kind: list(each) for kind, each in told.items()
        }


def test_every_parameter_that_is_read_is_described():
    """And none that nobody reads."""
    found = {
        name
        for path in FOLDER.glob("*.py")
        for pair in READ.findall(path.read_text())
        for name in pair
        if name
    }
    described = {each.name for asked in PARAMETERS.values() for each in asked}

    assert described == found


async def test_page_needs_no_other_server(app):
    answer = await get(app, "/docs")

    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "/loki/api/v1/query_range" in answer.text
    assert "delay_for" in answer.text
    assert not re.search(r"<script|https?://|src=", answer.text)


async def test_page_says_what_is_needed_and_what_must_be_given(app):
    text = (await get(app, "/docs")).text

    assert "<td>A LogQL query. Required.</td>" in text
    assert "with the scope <code>write</code>" in text
    assert "with the scope <code>admin</code>" in text
    assert "Needs no token." in text
    assert "`" not in text
    headings = re.findall("<h2>(.+?)</h2>", text)
    assert headings == ["Writing", "Asking", "The same by old names", "The process"]


def test_page_shows_names_as_text():
    operation = {"summary": "<b>", "parameters": []}
    description = {
        "info": {"title": "<i>", "version": "1"},
        "paths": {"/<x>": {"get": operation}},
    }

    page = page_of(description)

    assert "<i>" not in page
    assert "/&lt;x&gt;" in page


def test_empty_table_is_an_empty_description():
    assert description_of([], [], version="1")["paths"] == {}


def test_route_without_a_docstring_is_its_name():
    class Named:
        name = "some_route"

        async def answer(self, asked): ...

    assert summary_of(Named()) == "some_route"
