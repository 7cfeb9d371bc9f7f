"""Requests are told of when their answers have gone out: whole, given up, broken."""

import asyncio

import pytest
from structlog.testing import capture_logs

from loki_py.api.answers import Answer
from loki_py.api.context import ApiContext, Tenancy
from loki_py.api.routes import GET, Route
from loki_py.api.server import SLICE_BYTES_MAX, new_server
from loki_py.runtime.clock import ManualClock
from loki_py.runtime.metrics import RequestMetrics, new_registry

COUNT = "loki_request_duration_seconds_count"
SUM = "loki_request_duration_seconds_sum"
PIECE = b"0123456789"
SECOND_NS = 10**9


class Streaming:
    """A server whose one route is answered with three pieces, a second apart.

    Or with a body that is there as a whole.
    """

    def __init__(self, body=None):
        self.body = body
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
        if self.body is not None:
            return Answer(self.body)
        return Answer(pieces=self.pieces())

    def pieces(self):
        for _ in range(3):
            self.clock.advance(SECOND_NS)
            yield PIECE
        if self.trouble is not None:
            raise self.trouble

    async def ask(self, *, leaves_after=-1, is_stuck=True):
        """Ask once; the client leaves after so many messages.

        Its connection takes no more then, or, as lost ones do, all that comes.
        """

        async def receive():
            await self.is_left.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            self.sent.append(message)
            self.counted_early |= any(self.value_of(COUNT, each) for each in (200, 499))
            if len(self.sent) == leaves_after:
                self.is_left.set()
                if is_stuck:
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

    @property
    def slices(self):
        """What was sent of the body, message by message."""
        return [bytes(message["body"]) for message in self.sent[1:]]

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


async def test_large_body_is_sent_in_slices():
    body = bytes(range(256)) * (5 * SLICE_BYTES_MAX // 512)
    server = Streaming(body)

    await server.ask()

    assert b"".join(server.slices) == body
    assert max(map(len, server.slices)) == SLICE_BYTES_MAX
    length = (b"content-length", str(len(body)).encode())
    assert length in server.sent[0]["headers"]
    assert server.value_of(COUNT, 200) == 1
    assert server.told[0]["body_bytes"] == len(body)


async def test_large_piece_is_sent_in_slices():
    server = Streaming()
    large = bytes(SLICE_BYTES_MAX + 1)
    server.pieces = lambda: iter([large, PIECE])

    await server.ask()

    assert b"".join(server.slices) == large + PIECE
    assert max(map(len, server.slices)) == SLICE_BYTES_MAX


@pytest.mark.parametrize("size", [0, 1, SLICE_BYTES_MAX])
async def test_small_body_is_sent_at_once(size):
    server = Streaming(bytes(size))

    await server.ask()

    assert server.slices == [bytes(size)]


@pytest.mark.parametrize("leaves_after", range(1, 6))
async def test_client_that_is_lost_before_the_last_slice_is_taken_is_told_of(
    leaves_after,
):
    """The start and three slices, the taking of the last of which is waited for."""
    server = Streaming(bytes(3 * SLICE_BYTES_MAX))

    await server.ask(leaves_after=leaves_after, is_stuck=False)

    assert server.value_of(COUNT, 200) is None
    assert server.value_of(COUNT, 499) == 1
    assert server.told[0]["client_left"]
