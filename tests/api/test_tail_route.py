"""Tails on the wire: refusals before the upgrade, frames, and how sockets end."""

import asyncio
import contextlib
import json

import numpy as np
import pyarrow as pa
import pytest

from loki_py.api import tail as module
from loki_py.api.answers import Asked
from loki_py.api.context import ApiContext, Tenancy
from loki_py.api.forms import parse_form
from loki_py.api.server import new_server
from loki_py.api.tail import TAIL_ROUTES, TailRoute, parse_tail
from loki_py.api.tail_encode import encode_frame, encode_legacy_frame
from loki_py.errors import DataUnreadable, QueryInvalid, ValidationFailed
from loki_py.logql.exec.tail_leaf import TailEntries
from loki_py.model.results import Categories
from loki_py.querier.limits import LimitBroken
from loki_py.querier.tail import Dropped, TailEnded, TailFrame
from loki_py.runtime.clock import ManualClock
from loki_py.runtime.metrics import RequestMetrics, new_registry

T = 1_700_000_000_000_000_000
A, B = (("app", "a"),), (("app", "b"),)
ACCEPT = {"type": "websocket.accept"}


def entries(*rows, categories=None):
    """Rows are (labels, nanoseconds after T, line)."""
    labels = list(dict.fromkeys(row[0] for row in rows))
    return TailEntries(
        labels,
        np.array([labels.index(row[0]) for row in rows]),
        np.array([T + row[1] for row in rows]),
        pa.array([row[2] for row in rows], pa.large_string()),
        categories,
    )


ONE = TailFrame(entries((A, 1, "one")))


class FakeTails:
    """Shows the frames that it is given, and then ends, fails or waits."""

    def __init__(self):
        self.shown = []
        self.end = None
        self.refusal = None
        self.asked = []
        self.closed = asyncio.Event()

    def check(self, tenant, request):
        self.asked.append((tenant, request))
        if self.refusal is not None:
            raise self.refusal

    @contextlib.contextmanager
    def opened(self, tenant, request):
        self.check(tenant, request)
        yield self

    async def frames(self):
        try:
            for frame in self.shown:
                yield frame
            if self.end is not None:
                raise self.end
            await asyncio.Event().wait()
        finally:
            self.closed.set()


class Socket:
    """One websocket of a client; takes everything unless it is stuck."""

    def __init__(self, app, path="/loki/api/v1/tail", query="query=x", **headers):
        self.app = app
        self.scope = {
            "type": "websocket",
            "path": path,
            "query_string": query.encode(),
            "scheme": "ws",
            "server": ("localhost", 3100),
            "headers": [
                (name.replace("_", "-").encode(), value.encode())
                for name, value in headers.items()
            ],
        }
        self.told = asyncio.Queue()
        self.told.put_nowait({"type": "websocket.connect"})
        self.sent = []
        self.is_stuck = False

    async def send(self, message):
        if self.is_stuck and message["type"] == "websocket.send":
            await asyncio.Event().wait()
        self.sent.append(message)

    async def run(self):
        await asyncio.wait_for(self.app(self.scope, self.told.get, self.send), 5)
        return self.sent


class Cell:
    def __init__(self):
        self.tails = FakeTails()
        registry = new_registry("1")
        self.context = ApiContext(
            Tenancy(enabled=True),
            ManualClock(T),
            RequestMetrics(registry),
            lambda: True,
        )
        self.route = TailRoute(self.tails, self.context)
        self.app = new_server(
            self.route.routes(),
            {},
            self.context,
            version="1",
            sockets=dict.fromkeys(TAIL_ROUTES, self.route),
        )

    def socket(self, **given):
        return Socket(self.app, **{"x_scope_orgid": "t", **given})


@pytest.fixture
def cell():
    return Cell()


def refused(status, body):
    return [
        {
            "type": "websocket.http.response.start",
            "status": status,
            "headers": [
                (b"content-type", b"text/plain; charset=utf-8"),
                (b"x-content-type-options", b"nosniff"),
            ],
        },
        {"type": "websocket.http.response.body", "body": body},
    ]


def closed(reason):
    return {"type": "websocket.close", "code": 1011, "reason": reason}


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (QueryInvalid("parse error : syntax error"), b"parse error : syntax error"),
        (LimitBroken("count > limit (11 > 10)"), b"count > limit (11 > 10)"),
    ],
)
async def test_bad_request_is_answered_before_the_upgrade(cell, error, text):
    cell.tails.refusal = error

    assert await cell.socket().run() == refused(400, text)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("query=x&delay_for=6", b"delay_for can't be greater than 5"),
        ("query=x&delay_for=-1", b"delay_for can't be negative"),
        (
            "query=x&delay_for=z",
            b'strconv.Atoi: parsing "z": invalid syntax',
        ),
        ("query=x&limit=0", b"limit must be a positive value"),
    ],
)
async def test_bad_parameter_is_answered_before_the_upgrade(cell, query, text):
    assert await cell.socket(query=query).run() == refused(400, text)


async def test_tenants_are_checked_before_the_upgrade(cell):
    """A tail is of one tenant, always."""
    several = await cell.socket(x_scope_orgid="a|b").run()
    nobody = await Socket(cell.app).run()

    assert several == refused(400, b"multiple org IDs present")
    assert nobody == refused(401, b"no org id\n")


async def test_page_of_another_site_may_not_read(cell):
    """Browsers ask nobody before a page opens a socket to localhost."""
    socket = cell.socket(sec_fetch_site="cross-site", sec_fetch_mode="websocket")

    assert (await socket.run())[0]["status"] == 403
    assert cell.tails.asked == []


async def test_other_paths_have_no_sockets(cell):
    sent = await cell.socket(path="/loki/api/v1/query").run()

    assert sent == refused(404, b"404 page not found\n")


async def test_plain_request_is_refused_with_its_own_error_first(cell):
    asked = Asked("t", parse_form("query=x&limit=5"))
    answer = await cell.route.plain(asked)
    cell.tails.refusal = QueryInvalid("parse error")

    assert (answer.status, answer.body) == (400, b"Bad Request\n")
    with pytest.raises(QueryInvalid):
        await cell.route.plain(asked)


async def test_frames_are_sent_until_the_reader_leaves(cell):
    cell.tails.shown = [ONE, ONE]
    socket = cell.socket()
    running = asyncio.ensure_future(socket.run())
    while len(socket.sent) < 3:  # noqa: ASYNC110  # two frames after the accept
        await asyncio.sleep(0)
    socket.told.put_nowait({"type": "websocket.receive", "text": "ignored"})
    socket.told.put_nowait({"type": "websocket.disconnect", "code": 1005})

    sent = await running

    assert [message["type"] for message in sent] == [
        "websocket.accept",
        "websocket.send",
        "websocket.send",
    ]
    assert cell.tails.closed.is_set()


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (
            TailEnded("reached tail max duration limit"),
            "reached tail max duration limit",
        ),
        (TailEnded("only log selector is supported"), "only log selector is supported"),
        (DataUnreadable("ü" * 100), "ü" * 61),
        (KeyError("secret"), "internal error; the server's log says more"),
    ],
)
async def test_end_of_a_tail_is_told(cell, end, reason):
    """With what a close frame has room for."""
    cell.tails.end = end

    assert await cell.socket().run() == [ACCEPT, closed(reason)]


async def test_slow_reader_is_dropped_with_a_reason(cell, monkeypatch):
    monkeypatch.setattr(module, "SEND_S_MAX", 0.001)
    cell.tails.shown = [ONE]
    socket = cell.socket()
    socket.is_stuck = True

    assert await socket.run() == [ACCEPT, closed("slow reader: a frame waited 15 s")]
    assert cell.tails.closed.is_set()


async def test_request_says_what_is_followed(cell):
    cell.tails.end = TailEnded("over")
    query = "query=%7B%7D&limit=7&delay_for=5&start=1700000000"
    flags = "categorize-labels"

    await cell.socket(query=query, x_loki_response_encoding_flags=flags).run()

    [(tenant, request)] = cell.tails.asked
    assert tenant == "t"
    assert request.query == "{}"
    assert (request.limit, request.delay_ns) == (7, 5 * 10**9)
    assert request.start_ns == T
    assert request.categorized


def test_tail_begins_an_hour_ago_unless_told():
    request = parse_tail(parse_form("query=x"), now_ns=T, categorized=False)

    assert request.start_ns == T - 3_600 * 10**9
    assert (request.limit, request.delay_ns) == (100, 0)
    with pytest.raises(ValidationFailed):
        parse_tail(parse_form("start=never"), now_ns=T, categorized=False)


def test_frame_keeps_the_order_of_entries():
    """Neighbours of one stream share an object; nothing is moved for it."""
    frame = TailFrame(
        entries((A, 1, "<1>"), (A, 2, "2"), (B, 3, "3"), (A, 4, "4")),
        [Dropped(B, T)],
    )

    assert encode_frame(frame) == (
        b'{"streams":['
        b'{"stream":{"app":"a"},"values":[["1700000000000000001","\\u003c1\\u003e"],'
        b'["1700000000000000002","2"]]},'
        b'{"stream":{"app":"b"},"values":[["1700000000000000003","3"]]},'
        b'{"stream":{"app":"a"},"values":[["1700000000000000004","4"]]}],'
        b'"dropped_entries":[{"timestamp":"1700000000000000000","labels":{"app":"b"}}]}'
        b"\n"
    )


def test_categorized_frame_says_so():
    zero = np.zeros(1, np.int64)
    categories = Categories([(("trace", "1"),)], zero, [()], zero)
    frame = TailFrame(entries((A, 1, "1"), categories=categories))

    told = json.loads(encode_frame(frame))

    assert told["encodingFlags"] == ["categorize-labels"]
    assert told["streams"][0]["values"] == [
        ["1700000000000000001", "1", {"structuredMetadata": {"trace": "1"}}]
    ]


def test_frame_of_dropped_entries_alone_has_no_streams():
    told = json.loads(encode_frame(TailFrame(None, [Dropped(A, T)])))

    assert told["streams"] == []


def test_legacy_frame_has_the_old_names():
    frame = TailFrame(entries((A, 500_000_000, "x")), [Dropped(B, T)])

    assert json.loads(encode_legacy_frame(frame)) == {
        "streams": [
            {
                "labels": '{app="a"}',
                "entries": [{"ts": "2023-11-14T22:13:20.5Z", "line": "x"}],
            }
        ],
        "dropped_entries": [
            {"timestamp": "2023-11-14T22:13:20Z", "labels": '{app="b"}'}
        ],
    }
