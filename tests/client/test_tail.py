"""Tails of the client: entries as they come, and going on after an interruption."""

import asyncio
import contextlib
import http
import json

import pytest
from client.fake_store import streams_answer
from websockets.asyncio.server import serve

from loki_py.client import Client, Entry, RequestFailed
from loki_py.client.tail import OVERLAP_ENTRIES_MAX, OVERLAP_NS, RESUME_LIMIT, Overlap

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
    monkeypatch.setattr("loki_py.client.tail.backoff_s", lambda _: 0)


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
        (1001, "going away"),
        (1012, "restart"),
        (1000, ""),
    ],
)
async def test_a_tail_goes_on_without_gaps_or_repeats(store, end):
    client, scripts, asked = store
    scripts.append([line(1), line(2), end])
    scripts.append([line(1), line(2), line(3)])

    found = await first(client.tail('{app="a"}', start=T), 3)

    assert [entry.line for entry in found] == ["line 1", "line 2", "line 3"]
    assert f"start={T + 1}&" in asked[1].path
    assert f"limit={RESUME_LIMIT}" in asked[1].path


async def test_a_limit_that_the_tenant_may_not_have_is_not_asked_twice(store):
    client, scripts, asked = store
    scripts.append([line(1), (1001, "")])
    scripts.append("max entries limit per query exceeded")
    scripts.append([line(1), line(2)])

    found = await first(client.tail('{app="a"}', start=T, limit=9), 2)

    assert [entry.line for entry in found] == ["line 1", "line 2"]
    assert asked[-1].path.endswith("limit=9")


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


def entry_at(number, ns=T):
    return Entry({"app": "a"}, f"line {number}", ns)


def test_equal_entries_count_each():
    overlap = Overlap()
    assert all(overlap.is_new(entry_at(1)) for _ in range(2))
    overlap.interrupt()

    assert [overlap.is_new(entry_at(1)) for _ in range(3)] == [False, False, True]


def test_moments_long_ago_are_forgotten():
    overlap = Overlap()
    overlap.is_new(entry_at(1))
    overlap.is_new(entry_at(2, T + OVERLAP_NS + 1))

    assert overlap.interrupt() == T + OVERLAP_NS + 1


def test_what_is_remembered_is_bounded():
    overlap = Overlap()
    for number in range(OVERLAP_ENTRIES_MAX + 10):
        overlap.is_new(entry_at(number, T + number))

    assert overlap.interrupt() == T + 10
