"""Tails of a real server: order, idle crowds, slow readers, ends, interruptions."""

import contextlib
import json
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
from pathlib import Path

import pytest
from e2e.harness import Api, Server, until
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from bench.server import cpu_s_of

TAIL = "/loki/api/v1/tail"
MANY = {"limits_config.max_concurrent_tail_requests": "5000"}
SENDS_S_MAX = 15


def tail_of(server, query, **params):
    asked = urllib.parse.urlencode({"query": query, **params})
    return connect(
        f"ws://127.0.0.1:{server.port}{TAIL}?{asked}", max_size=None, open_timeout=60
    )


def lines_in(frame):
    return [line for stream in frame["streams"] for _, line in stream["values"]]


def read_lines(tail, count, *, seconds=30):
    """Return that many lines in the order they came, and what was dropped."""
    lines, dropped = [], []
    while len(lines) < count:
        frame = json.loads(tail.recv(timeout=seconds))
        lines += lines_in(frame)
        dropped += frame.get("dropped_entries", [])
    return lines, dropped


def push_lines(api, lines, *, app="a", width=0):
    now_ns = time.time_ns()
    pairs = [(now_ns + i, f"{line} {'x' * width}") for i, line in enumerate(lines)]
    answer = api.push([({"app": app}, pairs)])
    assert answer.status == 204, answer
    return [line for _, line in pairs]


@pytest.fixture(scope="module")
def server():
    with Server(MANY) as server:
        server.start()
        yield server


@pytest.fixture
def api(server):
    with Api(server.port) as api:
        yield api


def closed_by(tail):
    with pytest.raises(ConnectionClosed) as ended:
        tail.recv(timeout=30)
    return ended.value.rcvd.code, ended.value.rcvd.reason


def test_what_was_there_and_what_comes_follow_each_other(server, api):
    """While pushes go on, a tail that begins in between misses and repeats none."""
    pushed = []

    def push_all():
        with Api(server.port) as own:
            for number in range(100):
                pushed.extend(push_lines(own, [f"{number}/{i}" for i in range(5)]))

    pushed.extend(push_lines(api, ["first"]))
    writer = threading.Thread(target=push_all)
    writer.start()
    with tail_of(server, '{app="a"}', limit=5000) as tail:
        lines, dropped = read_lines(tail, 501)
    writer.join()

    assert lines == pushed
    assert dropped == []


def test_ends_and_refusals_are_what_clients_know(server):
    with tail_of(server, 'rate({app="a"}[1m])') as tail:
        assert closed_by(tail) == (1011, "only log selector is supported")
    with pytest.raises(InvalidStatus) as refused:
        tail_of(server, "{")
    assert refused.value.response.status_code == 400
    assert refused.value.response.body.startswith(b"parse error")
    with (
        pytest.raises(InvalidStatus) as missing,
        connect(f"ws://127.0.0.1:{server.port}/loki/api/v1/nothing"),
    ):
        pass
    assert missing.value.response.status_code == 404


def test_long_queries_are_taken_and_endless_ones_refused(server):
    """A request that the socket library does not take is answered, too."""
    with tail_of(server, f'{{app="a"}} |= "{"x" * 100_000}"'):
        pass
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as endless:
        endless.sendall(
            b"GET /loki/api/v1/tail?query=" + b"x" * (1 << 20) + b" HTTP/1.1\r\n"
            b"Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        assert endless.recv(1_000).startswith(b"HTTP/1.1 431 ")
        assert endless.recv(1_000) == b""


def test_tail_ends_after_its_longest_time():
    settings = {"querier.tail_max_duration": "1s"}
    with Server(settings) as server:
        server.start()
        with tail_of(server, '{app="a"}') as tail:
            assert closed_by(tail) == (1011, "reached tail max duration limit")


def test_tails_of_a_tenant_are_bounded():
    with Server({"limits_config.max_concurrent_tail_requests": "1"}) as server:
        server.start()
        with (
            tail_of(server, '{app="a"}'),
            pytest.raises(InvalidStatus) as refused,
            tail_of(server, '{app="a"}'),
        ):
            pass
    assert refused.value.response.body == (
        b"max concurrent tail requests limit exceeded, count > limit (2 > 1)"
    )


def test_idle_tails_cost_pushing_almost_nothing(server, api, nightly):
    """Nor does it matter to a tail that others are there."""
    count = 1_000 if nightly else 200

    def cpu_s_of_pushes():
        push_lines(api, ["warm up"], app="busy")
        before = cpu_s_of(server.pid)
        for number in range(300):
            push_lines(api, [f"{number}/{i}" for i in range(50)], app="busy")
        return cpu_s_of(server.pid) - before

    alone_s = cpu_s_of_pushes()
    with contextlib.ExitStack() as stack:
        for number in range(count):
            stack.enter_context(tail_of(server, f'{{app="idle-{number}"}}'))
        watched = stack.enter_context(
            tail_of(server, '{app="watched"}', start=time.time_ns())
        )
        crowded_s = cpu_s_of_pushes()
        pushed = push_lines(api, ["seen"], app="watched")
        lines, _ = read_lines(watched, 1)

    assert lines == pushed
    assert crowded_s < 1.5 * alone_s + 0.3
    until(lambda: api.metric("loki_querier_tail_active") == 0)


def test_reader_that_pauses_is_told_what_it_missed(server, api):
    """Every line is shown or counted as dropped, and those shown are in order."""
    before = api.metric("loki_querier_tail_dropped_entries_total")
    pushed = []
    with tail_of(server, '{app="paused"}', start=time.time_ns()) as tail:
        # The reader's own buffers end the reading of the socket.
        for number in range(40):
            lines = [f"{number}/{i}" for i in range(1_000)]
            pushed += push_lines(api, lines, app="paused", width=1_000)
        pushed += push_lines(api, ["last"], app="paused")
        shown, reported = [], 0
        while pushed[-1] not in shown[-1:]:
            frame = json.loads(tail.recv(timeout=30))
            shown += lines_in(frame)
            reported += len(frame.get("dropped_entries", []))
    dropped = api.metric("loki_querier_tail_dropped_entries_total") - before

    assert len(shown) + dropped == len(pushed)
    assert 0 < reported <= dropped
    positions = {line: at for at, line in enumerate(pushed)}
    order = [positions[line] for line in shown]
    assert order == sorted(order)


def test_reader_that_takes_nothing_is_dropped(server, api):
    """Its socket is broken, and what was kept for it is given up."""
    with socket.socket() as stuck:
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        stuck.connect(("127.0.0.1", server.port))
        query = urllib.parse.quote('{app="stuck"}')
        stuck.sendall(
            f"GET {TAIL}?query={query} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        until(lambda: api.metric("loki_querier_tail_active") == 1)
        for number in range(20):
            lines = [f"{number}/{i}" for i in range(1_000)]
            push_lines(api, lines, app="stuck", width=1_000)

        until(
            lambda: api.metric("loki_querier_tail_active") == 0,
            seconds=SENDS_S_MAX + 20,
        )
    assert "slow reader: a frame waited 15 s" in server.log_tail()


class Followed:
    """A `loki-py tail` process and the lines it has printed."""

    def __init__(self, server, *arguments):
        program = Path(sys.executable).with_name("loki-py")
        self._process = subprocess.Popen(
            [program, "tail", *arguments, "--addr", server.url, "-o", "raw"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        self.lines.extend(line.rstrip("\n") for line in self._process.stdout)

    def stop(self):
        """Stop it as a person does; return its status and what it said."""
        self._process.send_signal(2)
        _, told = self._process.communicate(timeout=30)
        self._reader.join()
        return self._process.returncode, told


def test_command_goes_on_after_the_server_was_away():
    """Nothing is missing and nothing comes twice, however much there was."""
    with Server() as server:
        server.start()
        followed = Followed(server, '{app="a"}')
        with Api(server.port) as api:
            pushed = push_lines(api, ["before"])
        until(lambda: len(followed.lines) == 1)
        server.kill()
        server.start()
        with Api(server.port) as api:
            pushed += push_lines(api, [f"away {i}" for i in range(12_000)])
            until(lambda: len(followed.lines) == len(pushed), seconds=60)
            pushed += push_lines(api, ["after"])
            until(lambda: len(followed.lines) == len(pushed))
            status, told = followed.stop()

    assert [line.strip() for line in followed.lines] == [x.strip() for x in pushed]
    assert status == 130
    assert re.search("connecting again", told)


def test_command_says_why_it_cannot_follow(server):
    program = Path(sys.executable).with_name("loki-py")
    ended = subprocess.run(
        [program, "tail", "{", "--addr", server.url, "-q"],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert ended.returncode == 1
    assert "parse error" in ended.stderr
