"""Requests are told of when their answers have gone out: whole, given up, broken."""

import asyncio

import pytest
from structlog.testing import capture_logs

from loki_py.api.answers import Answer
from loki_py.api.context import ApiContext, Tenancy
from loki_py.api.routes import GET, Route
from loki_py.api.server import new_server
from loki_py.runtime.clock import ManualClock
from loki_py.runtime.metrics import RequestMetrics, new_registry

COUNT = "loki_request_duration_seconds_count"
SUM = "loki_request_duration_seconds_sum"
PIECE = b"0123456789"
SECOND_NS = 10**9


class Streaming:
    """A server whose one route is answered with three pieces, a second apart."""

    def __init__(self):
        self.registry = new_registry("1")
        self.clock = ManualClock()
        metrics = RequestMetrics(self.registry)
        context = ApiContext(Tenancy(enabled=False), self.clock, metrics, lambda: True)
        route = Route("/pieces", GET, self.answer, "pieces", is_cancelled=False)
        self.app = new_server([route], {}, context, version="1")
        self.trouble = None
        self.sent = []
        self.counted_early = False
        self.is_left = asyncio.Event()

    async def answer(self, _asked):
        return Answer(pieces=self.pieces())

    def pieces(self):
        for _ in range(3):
            self.clock.advance(SECOND_NS)
            yield PIECE
        if self.trouble is not None:
            raise self.trouble

    async def ask(self, *, leaves_after=-1):
        """Ask once; the client leaves after so many messages."""

        async def receive():
            await self.is_left.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            self.sent.append(message)
            self.counted_early |= any(self.value_of(COUNT, each) for each in (200, 499))
            if len(self.sent) == leaves_after:
                self.is_left.set()
                await asyncio.Event().wait()

        scope = {
            "type": "http",
            "method": "GET",
            "path": "/pieces",
            "query_string": b"",
            "headers": [],
        }
        with capture_logs() as told:
            try:
                await self.app(scope, receive, send)
            finally:
                self.told = [event for event in told if event["event"] == "request"]

    def value_of(self, name, status):
        labels = {
            "method": "GET",
            "route": "pieces",
            "status_code": str(status),
            "ws": "false",
        }
        return self.registry.get_sample_value(name, labels)


async def test_streamed_answer_is_counted_when_its_last_piece_is_sent():
    server = Streaming()

    await server.ask()

    assert not server.counted_early
    assert server.value_of(COUNT, 200) == 1
    assert server.value_of(SUM, 200) == 3
    [event] = server.told
    assert (event["status"], event["body_bytes"], event["duration_ms"]) == (
        200,
        3 * len(PIECE),
        3_000,
    )
    assert not event["client_left"]


async def test_client_that_leaves_in_the_middle_is_told_of():
    server = Streaming()

    await server.ask(leaves_after=2)

    assert server.value_of(COUNT, 200) is None
    assert server.value_of(COUNT, 499) == 1
    [event] = server.told
    assert event["client_left"]
    assert event["body_bytes"] < 3 * len(PIECE)


async def test_answer_that_breaks_off_counts_as_our_fault():
    server = Streaming()
    server.trouble = OSError("disk")

    with pytest.raises(OSError, match="disk"):
        await server.ask()

    assert server.value_of(COUNT, 500) == 1
    assert server.told[0]["status"] == 500
