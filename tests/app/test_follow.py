"""Following from the command line: what is shown, and how it ends.

Going on after an interruption is the client's: tests/client/test_tail.py.
"""

import json
from urllib.parse import parse_qsl, urlsplit

import pytest
import websockets.asyncio.client
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.frames import Close
from websockets.http11 import Response

from loki_py.client.connection import Connections

T = 1_767_225_600_000_000_000
A = {"app": "a"}
STOPPED = 130


def stream(*values, labels=A):
    return {
        "stream": labels,
        "values": [[str(T + at), line] for at, line in values],
    }


def frame(*streams, dropped=()):
    told = {"streams": streams}
    if dropped:
        told["dropped_entries"] = dropped
    return json.dumps(told)


def closed(reason):
    return ConnectionClosedError(Close(1011, reason), None)


def refused(status, text):
    return InvalidStatus(Response(status, "", Headers(), text))


class FakeConnection:
    def __init__(self, told):
        self._told = iter(told)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass

    def __aiter__(self):
        return self

    async def __anext__(self):
        told = next(self._told, KeyboardInterrupt())
        if isinstance(told, BaseException):
            raise told
        return told

    async def close(self):
        pass


class FakeServer:
    """One script a connection: frames and how it ends, or why it is refused."""

    def __init__(self):
        self.connections = []
        self.asked = []
        self.headers = None
        self.stored = []

    async def connect(self, url, *, additional_headers, **_):
        self.asked.append(urlsplit(url))
        self.headers = additional_headers
        told = self.connections.pop(0)
        if isinstance(told, BaseException):
            raise told
        return FakeConnection(told)

    def call(self, _method, path, *_):
        start_ns = int(dict(parse_qsl(urlsplit(path).query))["start"])
        values = [value for value in self.stored if int(value[0]) >= start_ns]
        found = [{"stream": A, "values": values}] if values else []
        return json.dumps({"data": {"resultType": "streams", "result": found}}).encode()

    def params(self, connection):
        return dict(parse_qsl(self.asked[connection].query))


@pytest.fixture
def server(monkeypatch):
    server = FakeServer()
    monkeypatch.setattr(websockets.asyncio.client, "connect", server.connect)
    monkeypatch.setattr(Connections, "_request_once", server.call)
    monkeypatch.setattr("loki_py.client.tail.backoff_s", lambda *_, **__: 0)
    return server


@pytest.mark.parametrize(
    "command",
    [
        ("tail", "x"),
        ("query", "x", "--tail"),
        ("query", "x", "-f"),
        ("query", "-t", "x"),
    ],
)
def test_entries_are_shown_as_they_come(server, run, command):
    """In the server's order, with all their labels."""
    other = stream((1, "two"), labels={"app": "b"})
    server.connections = [[frame(stream((2, "one"))), frame(other)]]

    status, out, _ = run(*command, "--timezone", "UTC")

    assert status == STOPPED
    assert out == (
        '2026-01-01T00:00:00Z {app="a"} one\n2026-01-01T00:00:00Z {app="b"} two\n'
    )


def test_options_become_parameters(server, run):
    server.connections = [[]]

    run(
        *("tail", "x", "--from", "2026-01-01T00:00:00Z", "--limit", 7),
        *("--delay-for", 3, "--org-id", "t", "--addr", "http://host:1/below/"),
    )

    assert server.asked[0].geturl().startswith("ws://host:1/below/loki/api/v1/tail?")
    assert server.params(0) == {
        "query": "x",
        "start": str(T),
        "limit": "7",
        "delay_for": "3",
    }
    assert server.headers["X-Scope-OrgID"] == "t"


@pytest.mark.parametrize(
    ("output", "line"),
    [
        ("raw", "one\n"),
        (
            "jsonl",
            '{"labels":{"app":"a"},"line":"one","timestamp":"2026-01-01T00:00:00Z"}\n',
        ),
    ],
)
def test_output_is_that_of_queries(server, run, output, line):
    server.connections = [[frame(stream((0, "one")))]]

    assert run("tail", "x", "-o", output, "-z", "UTC")[1] == line


def test_broken_connection_is_taken_up_without_gap_or_repetition(server, run):
    """What came in between is asked for, however much it is."""
    between = [[str(T + at), f"line {at}"] for at in range(2, 900)]
    server.stored = [[str(T + 1), "one"], *between]
    again = stream((1, "one"), (899, "line 899"))
    server.connections = [
        [frame(stream((1, "one"))), ConnectionClosedError(None, None)],
        [frame(again), frame(stream((900, "last")))],
    ]

    _, out, err = run("tail", "x", "-o", "raw")

    assert out.splitlines() == ["one", *(line for _, line in between), "last"]
    assert "was lost; connecting again" in err
    assert server.params(1)["start"] == str(T + 1)


def test_end_of_the_longest_time_is_no_interruption(server, run):
    server.connections = [
        [frame(stream((1, "one"))), closed("reached tail max duration limit")],
        [frame(stream((1, "one"), (1, "one")))],
    ]

    _, out, err = run("tail", "x", "-o", "raw")

    assert out == "one\none\n"
    assert "again" not in err


@pytest.mark.parametrize(
    ("refusal", "told"),
    [
        (refused(400, b"parse error\n"), "answered 400: parse error\n"),
        (
            [closed("only log selector is supported")],
            "only log selector is supported\n",
        ),
    ],
)
def test_refused_query_is_told_and_not_repeated(server, run, refusal, told):
    server.connections = [refusal]

    status, _, err = run("tail", "x", "-q")

    assert status == 1
    assert err.endswith(told)


def test_server_that_stays_away_is_given_up(server, run):
    server.connections = [OSError("refused")] * 100

    status, _, err = run("tail", "x", "-q")

    assert status == 1
    assert "no answer from http://localhost:3100: refused" in err
    assert len(server.asked) == 9


def test_dropped_entries_are_told(server, run):
    dropped = [{"timestamp": str(T), "labels": A}]
    server.connections = [[frame(dropped=dropped)]]

    _, out, err = run("tail", "x")

    assert out == ""
    assert f'dropped by the server, we are slow: {T} {{app="a"}}' in err


@pytest.mark.parametrize(
    "arguments", [("--delay-for", 6), ("--output", "xml"), ("--limit", 0)]
)
def test_wrong_option_is_status_2(server, run, arguments):
    assert run("tail", "x", *arguments)[0] == 2
    assert server.asked == []
