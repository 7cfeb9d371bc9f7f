"""Tails of the client: entries as they come, and going on after an interruption."""

import asyncio
import contextlib
import http
import json
from urllib.parse import parse_qs, urlsplit

import pytest
from client.fake_store import streams_answer
from websockets.asyncio.server import serve

from loki_py.client import Client, Entry, RequestFailed
from loki_py.client.answers import Rows
from loki_py.client.connection import Connections
from loki_py.client.resume import OVERLAP_ENTRIES_MAX, OVERLAP_NS, Overlap
from loki_py.client.tail import RECONNECTS_MAX

T = 1_767_225_600_000_000_000


def frame(*streams, dropped=0):
    told = streams_answer(*streams)["data"]
    entry = {"timestamp": str(T), "labels": {"app": "a"}}
    return json.dumps(
        {
            "streams": told["result"],
            "dropped_entries": [entry] * dropped,
            "encodingFlags": told["encodingFlags"],
        }
    )


def line(number):
    return frame(({"app": "a"}, [(T + number, f"line {number}", {})]))


@pytest.fixture
async def store():
    """Tails that follow a script: frames to send, or (code, reason) to close with."""
    scripts, asked = [], []

    async def answer(connection):
        asked.append(connection.request)
        for step in scripts.pop(0):
            if isinstance(step, tuple):
                await connection.close(*step)
                return
            await connection.send(step)
        await connection.wait_closed()

    def refuse(connection, _request):
        if scripts and isinstance(scripts[0], str):
            return connection.respond(http.HTTPStatus.BAD_REQUEST, scripts.pop(0))
        return None

    async with serve(answer, "127.0.0.1", 0, process_request=refuse) as server:
        port = server.sockets[0].getsockname()[1]
        client = Client(f"http://127.0.0.1:{port}", tenant="team-a")
        yield client, scripts, asked


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr("loki_py.client.tail.backoff_s", lambda *_, **__: 0)


@pytest.fixture(autouse=True)
def stored(monkeypatch):
    """What a range query finds: (ns, line) of one stream, in order."""
    entries = []

    def answer(_, _method, path, *__):
        asked = parse_qs(urlsplit(path).query)
        start_ns, limit = int(asked["start"][0]), int(asked["limit"][0])
        found = [(ns, line, {}) for ns, line in entries if ns >= start_ns][:limit]
        return json.dumps(streams_answer(({"app": "a"}, found))).encode()

    monkeypatch.setattr(Connections, "_request_once", answer)
    return entries


async def first(tail, count):
    found = []
    async with asyncio.timeout(30):
        async for entry in tail:
            found.append(entry)
            if len(found) == count:
                await tail.close()
    return found


async def test_entries_come_with_labels_and_metadata(store):
    client, scripts, asked = store
    extra = {"structuredMetadata": {"trace": "t1"}}
    scripts.append([frame(({"app": "a"}, [(T, "one", extra)])), line(1)])

    found = await first(client.tail('{app="a"}', start=T, delay_s=2, limit=7), 2)

    assert found == [
        Entry({"app": "a"}, "one", T, {"trace": "t1"}),
        Entry({"app": "a"}, "line 1", T + 1),
    ]
    [request] = asked
    assert request.path == (
        f"/loki/api/v1/tail?query=%7Bapp%3D%22a%22%7D&start={T}&delay_for=2&limit=7"
    )
    assert request.headers["X-Scope-OrgID"] == "team-a"


async def test_what_the_store_left_out_is_counted(store):
    client, scripts, _ = store
    scripts.append([frame(({"app": "a"}, [(T, "one", {})]), dropped=3)])
    tail = client.tail('{app="a"}')

    await first(tail, 1)

    assert tail.dropped_count == 3


@pytest.mark.parametrize(
    "end",
    [
        (1011, "reached tail max duration limit"),
        (1011, "slow reader: a frame waited 15 s"),
        (1011, "keepalive ping timeout"),
        (1011, "internal error; the server's log says more"),
        (1011, ""),
        (1001, "going away"),
        (1012, "restart"),
        (1000, ""),
    ],
)
async def test_a_tail_goes_on_without_gaps_or_repeats(store, stored, end):
    """What the new connection gives is not all: the rest is asked for."""
    client, scripts, asked = store
    scripts.append([line(1), line(2), end])
    scripts.append([line(2_000), line(2_001)])
    stored += [(T + number, f"line {number}") for number in range(1, 2_001)]

    found = await first(client.tail('{app="a"}', start=T), 2_001)

    assert [entry.line for entry in found] == [f"line {i}" for i in range(1, 2_002)]
    assert f"start={T + 1}&" in asked[1].path


async def test_a_tenant_with_small_pages_misses_nothing(store, stored, monkeypatch):
    client, scripts, _ = store
    scripts.append([line(1), (1011, "keepalive ping timeout")])
    scripts.append([line(90)])
    stored += [(T + number, f"line {number}") for number in range(1, 91)]
    answer = Connections._request_once

    def refuse(connections, method, path, *rest):
        if int(parse_qs(urlsplit(path).query)["limit"][0]) > 50:
            raise RequestFailed("max entries limit per query exceeded", status=400)
        return answer(connections, method, path, *rest)

    monkeypatch.setattr(Connections, "_request_once", refuse)

    found = await first(client.tail('{app="a"}', start=T, limit=20), 90)

    assert [entry.line for entry in found] == [f"line {i}" for i in range(1, 91)]


async def test_a_tail_that_gave_nothing_yet_misses_nothing(store, stored):
    """More came while it was away than the new connection's first frame holds."""
    client, scripts, _ = store
    scripts.append([(1011, "keepalive ping timeout")])
    scripts.append([line(3)])
    stored += [(T + number, f"line {number}") for number in range(1, 4)]

    tail = client.tail('{app="a"}', start=T)
    tail._opened_ns = T

    assert [e.line for e in await first(tail, 3)] == ["line 1", "line 2", "line 3"]


async def test_a_store_that_always_closes_is_given_up(store):
    client, scripts, asked = store
    scripts += [[(1011, "out of order")] for _ in range(RECONNECTS_MAX + 1)]

    with pytest.raises(RequestFailed, match="closed the connection: out of order"):
        await first(client.tail('{app="a"}'), 1)

    assert len(asked) == RECONNECTS_MAX + 1


async def test_a_violated_policy_is_not_tried_again(store):
    client, scripts, asked = store
    scripts.append([(1008, "not for you")])

    with pytest.raises(RequestFailed, match="not for you"):
        await first(client.tail('{app="a"}'), 1)

    assert len(asked) == 1


async def test_a_query_that_is_refused_is_said(store):
    client, scripts, _ = store
    scripts.append("parse error at line 1")

    with pytest.raises(RequestFailed, match="parse error at line 1") as failed:
        await first(client.tail("{"), 1)

    assert failed.value.status == 400


async def test_a_query_that_is_refused_after_the_upgrade_is_said(store):
    client, scripts, _ = store
    scripts.append([(1011, "only log selector is supported")])

    with pytest.raises(RequestFailed, match="only log selector is supported"):
        await first(client.tail("rate({}[1m])"), 1)


async def test_a_store_that_is_gone_is_said():
    with pytest.raises(RequestFailed, match="no answer from"):
        await first(Client("http://127.0.0.1:1").tail("{}"), 1)


async def test_closing_from_outside_ends_the_iteration(store):
    client, scripts, _ = store
    scripts.append([line(1)])
    tail = client.tail('{app="a"}')
    came = asyncio.Event()

    async def follow():
        async for _ in tail:
            came.set()

    following = asyncio.create_task(follow())
    async with asyncio.timeout(30):
        await came.wait()
        await tail.close()
        await following


async def test_leaving_the_context_closes_the_connection(store):
    client, scripts, _ = store
    scripts.append([line(1)])

    async with client.tail('{app="a"}') as tail:
        async for entry in tail:
            assert entry.line == "line 1"
            break

    with contextlib.suppress(StopAsyncIteration):
        assert await anext(aiter(tail)) is None


def rows(*marks):
    """Return rows of (number, ns)."""
    return Rows(
        streams=[{"app": "a"}],
        stream=[0] * len(marks),
        timestamp_ns=[ns for _, ns in marks],
        lines=[f"line {number}" for number, _ in marks],
    )


def test_equal_entries_count_each():
    overlap = Overlap()
    assert len(overlap.fresh(rows((1, T), (1, T))).lines) == 2
    overlap.interrupt()

    assert len(overlap.fresh(rows((1, T), (1, T), (1, T))).lines) == 1


def test_moments_long_ago_are_forgotten():
    overlap = Overlap()
    overlap.fresh(rows((1, T), (2, T + OVERLAP_NS + 1)))

    assert overlap.interrupt() == T + OVERLAP_NS + 1


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr("loki_py.client.resume.OVERLAP_ENTRIES_MAX", 20)
    assert OVERLAP_ENTRIES_MAX > 20
    overlap = Overlap()
    overlap.fresh(rows(*((number, T + number) for number in range(30))))

    assert overlap.interrupt() == T + 10
