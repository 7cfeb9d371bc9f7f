"""The HTTP side of a connection: when it is given up, and when it is not."""

import asyncio

import pytest
import uvicorn
from uvicorn.server import ServerState

from loki_py.app.http_protocol import HttpProtocol, Patience

REQUEST = b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n"
UPGRADE = (
    b"GET /loki/api/v1/tail HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
    b"Upgrade: websocket\r\n\r\n"
)
HALF_A_HEAD = b"POST /loki/api/v1/push HTTP/1.1\r\nHost: x\r\nContent-Le"
IDLE_S, READ_S, WRITE_S = 120, 30, 20


class Timer:
    def __init__(self, seconds, call):
        self.seconds = seconds
        self.call = call
        self.is_cancelled = False

    def cancel(self):
        self.is_cancelled = True


class FakeLoop:
    """Keeps what shall be called later, until a test says that it is later."""

    def __init__(self):
        self.timers = []

    def call_later(self, seconds, function, *arguments):
        timer = Timer(seconds, lambda: function(*arguments))
        self.timers.append(timer)
        return timer

    def create_task(self, work, **_settings):
        work.close()
        return asyncio.Future()

    def time(self):
        return 1.0

    @property
    def pending(self):
        return [timer for timer in self.timers if not timer.is_cancelled]

    def fire(self):
        """Call the one that is pending."""
        [timer] = self.pending
        timer.cancel()
        timer.call()


class FakeTransport:
    is_aborted = False

    def get_extra_info(self, _name, default=None):
        return default

    def abort(self):
        self.is_aborted = True

    def is_closing(self):
        return self.is_aborted

    def set_protocol(self, protocol):
        pass

    def pause_reading(self):
        pass

    def resume_reading(self):
        pass


class TakesAll:
    """Stands in for who speaks websocket."""

    def __init__(self, **_settings):
        pass

    def connection_made(self, transport):
        pass

    def data_received(self, data):
        pass


async def answer_nothing(_scope, _receive, _send):
    """Stand in for an application: no test here gets as far."""


@pytest.fixture
def loop():
    return FakeLoop()


@pytest.fixture
def transport():
    return FakeTransport()


@pytest.fixture
def protocol(loop, transport):
    config = uvicorn.Config(
        answer_nothing, log_config=None, lifespan="off", timeout_keep_alive=IDLE_S
    )
    config.load()
    protocol = HttpProtocol(
        Patience(READ_S, WRITE_S),
        config=config,
        server_state=ServerState(),
        app_state={},
        _loop=loop,
    )
    protocol.connection_made(transport)
    return protocol


@pytest.mark.usefixtures("protocol")
def test_connection_without_a_request_is_given_up(loop, transport):
    assert [timer.seconds for timer in loop.pending] == [IDLE_S]
    loop.fire()

    assert transport.is_aborted


def test_request_that_is_not_whole_is_given_up_however_often_some_comes(
    protocol, loop, transport
):
    protocol.data_received(HALF_A_HEAD)
    [first] = loop.pending
    for _ in range(3):
        protocol.data_received(b"x")

    assert loop.pending == [first]
    assert first.seconds == READ_S
    loop.fire()
    assert transport.is_aborted


def test_client_is_not_to_blame_while_we_read_nothing(protocol, loop, transport):
    protocol.data_received(HALF_A_HEAD)
    protocol.flow.pause_reading()
    loop.fire()

    assert not transport.is_aborted
    protocol.flow.resume_reading()
    loop.fire()
    assert transport.is_aborted


def test_answer_that_nobody_takes_is_given_up(protocol, loop, transport):
    protocol._end_never()
    protocol.pause_writing()

    assert [timer.seconds for timer in loop.pending] == [WRITE_S]
    loop.fire()
    assert transport.is_aborted


def test_answer_that_is_taken_late_is_not_given_up(protocol, loop, transport):
    protocol._end_never()
    protocol.pause_writing()
    protocol.resume_writing()

    assert loop.pending == []
    assert not transport.is_aborted


def test_nothing_is_waited_for_when_the_connection_has_ended(protocol, loop):
    protocol.data_received(HALF_A_HEAD)
    protocol.pause_writing()
    protocol.connection_lost(ConnectionResetError())

    assert loop.pending == []


async def test_line_ends_after_an_answer_do_not_hold_the_connection(
    protocol, loop, transport
):
    """Nor does the wait for a request start anew with each."""
    protocol.data_received(REQUEST)
    protocol.cycle.response_complete = True
    protocol.on_response_complete()
    protocol.data_received(b"\r\n")
    [first] = loop.pending
    protocol.data_received(b"\r\n")

    assert loop.pending == [first]
    assert first.seconds == IDLE_S
    loop.fire()
    assert transport.is_aborted


async def test_rest_of_a_request_that_is_answered_does_not_hold_the_connection(
    protocol, loop, transport
):
    protocol.data_received(REQUEST.replace(b"x", b"x\r\nContent-Length: 1"))
    protocol.cycle.response_complete = True
    protocol.on_response_complete()
    protocol.data_received(b"x")

    assert [timer.seconds for timer in loop.pending] == [IDLE_S]
    loop.fire()
    assert transport.is_aborted


async def test_request_at_work_is_not_given_up(protocol, loop):
    protocol.data_received(REQUEST)
    protocol.data_received(b"\r\n")

    assert loop.pending == []


async def test_request_after_line_ends_is_waited_for(protocol, loop):
    protocol.data_received(REQUEST)
    protocol.cycle.response_complete = True
    protocol.on_response_complete()
    protocol.data_received(b"\r\n")
    protocol.data_received(HALF_A_HEAD)

    assert [timer.seconds for timer in loop.pending] == [READ_S]


async def test_connection_of_a_websocket_is_left_alone(protocol, loop):
    protocol.ws_protocol_class = TakesAll
    protocol.data_received(UPGRADE)

    assert loop.pending == []
