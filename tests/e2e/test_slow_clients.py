"""Clients that send slowly, or go away: others do not notice, and work ends."""

import contextlib
import socket
import time
from pathlib import Path
from urllib.parse import urlencode

import pytest
from harness import Api, Server, until
from websockets.sync.client import connect

from bench.server import cpu_s_of
from loki_py.config.units import NS_PER_S

HALF_A_HEAD = b"POST /loki/api/v1/push HTTP/1.1\r\nHost: x\r\nContent-Le"
HALF_A_BODY = (
    b"POST /loki/api/v1/push HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b'Content-Length: 1000\r\n\r\n{"streams":['
)
ONE_THREAD = {"querier.worker_threads": "1"}
"""Queries take turns on it: the answer to one says that those before have ended."""

LINES = 60_000


@contextlib.contextmanager
def store(settings):
    """Give a running server, and what asks it."""
    with Server(settings) as server:
        server.start()
        with Api(server.port) as api:
            yield server, api


def connected(server):
    return socket.create_connection(("127.0.0.1", server.port), timeout=60)


def is_ended(client):
    """Wait for the server's end of a connection; return whether it sent nothing."""
    with contextlib.suppress(ConnectionResetError):
        return client.recv(1) == b""
    return True


def has_taken(client, sent):
    """Send a little more; return whether the server still listens."""
    try:
        client.sendall(sent)
    except OSError:
        return False
    return True


def push_and_ask(api, count):
    """Push lines one by one, and ask for all of them each time."""
    for number in range(count):
        line = f"line {number} of {count}"
        assert api.push([({"app": "a"}, [(time.time_ns(), line)])]).status == 204
        assert line in api.query_range('{app="a"}').text


def push_many(api, first_ns):
    """Push LINES lines of 300 bytes, 1 ns apart."""
    for first in range(0, LINES, LINES // 6):
        numbers = range(first, first + LINES // 6)
        lines = [(first_ns + n, f"{n} " + "ab" * 150) for n in numbers]
        assert api.push([({"app": "big"}, lines)]).status == 204


def test_clients_that_send_slowly_leave_the_others_unharmed(nightly):
    """Half a request each, and a little more of it now and then."""
    count = 1_000 if nightly else 300
    with store({}) as (server, api), contextlib.ExitStack() as stack:
        files = Path(f"/proc/{server.pid}/fd")
        push_and_ask(api, 5)
        before = cpu_s_of(server.pid)
        push_and_ask(api, 20)
        alone_s = cpu_s_of(server.pid) - before
        slow = [stack.enter_context(connected(server)) for _ in range(count)]
        for number, client in enumerate(slow):
            client.sendall(HALF_A_BODY if number % 2 else HALF_A_HEAD)
        until(lambda: len(list(files.iterdir())) > count)
        before = cpu_s_of(server.pid)
        for client in slow:
            client.sendall(b"x")
        push_and_ask(api, 20)

        assert cpu_s_of(server.pid) - before < 2 * alone_s + 0.3


@pytest.mark.parametrize(
    ("sent", "setting"),
    [
        (b"", "server.http_server_idle_timeout"),
        (HALF_A_HEAD, "server.http_server_read_timeout"),
        (HALF_A_BODY, "server.http_server_read_timeout"),
    ],
)
def test_requests_that_do_not_go_on_are_ended(sent, setting):
    """But not tails, who have nothing to say."""
    with store({setting: "1s"}) as (server, api):
        query = urlencode({"query": '{app="a"}'})
        address = f"ws://127.0.0.1:{server.port}/loki/api/v1/tail?{query}"
        with connect(address) as tail, connected(server) as slow:
            slow.sendall(sent)
            assert is_ended(slow)
            push_and_ask(api, 1)

            assert "line 0 of 1" in tail.recv(timeout=60)


@pytest.mark.parametrize("sent", [HALF_A_HEAD, HALF_A_BODY])
def test_requests_that_drip_are_ended(sent):
    """However steadily: a byte at a time would last for hours."""
    with store({"server.http_server_read_timeout": "1s"}) as (server, api):
        with connected(server) as slow:
            slow.sendall(sent)
            until(lambda: not has_taken(slow, b"x"))
        told = 'route="loki_api_v1_push",status_code="499"'
        if sent is HALF_A_BODY:
            until(lambda: told in api.get("/metrics").text)
        push_and_ask(api, 1)

        assert "request given up: not whole in time" in server.log_tail()


def test_line_ends_do_not_hold_a_connection():
    """They are part of no request, whose read time would begin."""
    settings = {"server.http_server_idle_timeout": "1s"}
    with store(settings) as (server, _), connected(server) as client:
        client.sendall(b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b""
        while not answer.endswith(b"ready\n"):
            answer += client.recv(4_096)
        client.sendall(b"\r\n")

        assert is_ended(client)


def lines_asked_for(api):
    """Return what asks for lines of 18 MB, sent as they are read."""
    push_many(api, time.time_ns() - LINES)
    return {"query": '{app="big"}', "limit": LINES}


def points_asked_for(api):
    """Return what asks for points of 12 MB, which are there as a whole."""
    end_ns = time.time_ns()
    start_ns = end_ns - 10_000 * NS_PER_S
    for number in range(60):
        pushed = [({"app": f"a{number}"}, [(start_ns, "a line")])]
        assert api.push(pushed).status == 204
    query = 'count_over_time({app=~".+"}[3h])'
    return {"query": query, "start": start_ns, "end": end_ns, "step": 1}


@pytest.mark.parametrize("asked_for", [lines_asked_for, points_asked_for])
def test_client_that_does_not_take_its_answer_is_left(asked_for):
    """What the answer holds is free then; the others notice nothing."""
    with store({"server.http_server_write_timeout": "1s"}) as (server, api):
        target = "/loki/api/v1/query_range?" + urlencode(asked_for(api))
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            client.connect(("127.0.0.1", server.port))
            client.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            told = 'route="loki_api_v1_query_range",status_code="499"'
            until(lambda: told in api.get("/metrics").text)
        push_and_ask(api, 1)

        assert "answer given up: not taken in time" in server.log_tail()


def test_work_ends_when_its_client_goes_away():
    """A query that is given up costs little of what it would have cost."""
    stages = '| regexp "(?P<x>(a|b)*)(?P<y>(ab)*)$" | x=~"(a|b|ba)*z"'
    now_ns = time.time_ns()
    target = "/loki/api/v1/query?" + urlencode(
        {
            "query": f'sum(count_over_time({{app="big"}} {stages} [5m]))',
            "time": now_ns + LINES,
        }
    )
    with store(ONE_THREAD) as (server, api):
        push_many(api, now_ns)
        before = cpu_s_of(server.pid)
        assert api.request("GET", target).status == 200
        whole_s = cpu_s_of(server.pid) - before
        before = cpu_s_of(server.pid)
        with connected(server) as client:
            client.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            until(lambda: cpu_s_of(server.pid) > before + 0.05)
        until(lambda: 'status_code="499"' in api.get("/metrics").text)
        push_and_ask(api, 1)
        spent_s = cpu_s_of(server.pid) - before

    assert spent_s < whole_s / 2
