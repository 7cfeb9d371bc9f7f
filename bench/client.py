"""A client that costs little, so that what is measured is the server."""

import http.client
import json
import socket
import threading
import time
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from generate import Body

PUSH_PATH = "/loki/api/v1/push"
ANSWER_S_MAX = 120


@dataclass(frozen=True)
class Target:
    """A server that is reached over plain HTTP."""

    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> "Target":
        parts = urllib.parse.urlsplit(url)
        return cls(parts.hostname, parts.port or 80)


def push_all(
    target: Target, bodies: Sequence[Body], *, connections: int, path: str = PUSH_PATH
) -> float:
    """Push all bodies over this many connections; return the seconds it took.

    Each connection waits for an answer before it sends the next body.

    Raises: RuntimeError where an answer is not 2xx.
    """
    positions = iter(range(len(bodies)))
    failures: list[Exception] = []

    def run() -> None:
        try:
            with Pusher(target, path) as pusher:
                for position in positions:
                    if failures:
                        return
                    pusher.push(bodies[position])
        except (OSError, RuntimeError) as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(connections)]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise RuntimeError("push failed") from failures[0]
    return time.perf_counter() - begin


class Pusher:
    """Pushes bodies over one connection that stays open; a context manager."""

    def __init__(self, target: Target, path: str = PUSH_PATH) -> None:
        self._target = target
        self._path = path
        self._connection = socket.create_connection((target.host, target.port))
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection.settimeout(ANSWER_S_MAX)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def push(self, body: Body) -> None:
        """Push a body and wait for its answer.

        Raises: RuntimeError where the answer is not 2xx.
        """
        self._connection.sendall(_head(self._target, body, self._path))
        self._connection.sendall(body.data)
        answer = _answer(self._connection)
        if not answer.startswith(b"HTTP/1.1 2"):
            raise RuntimeError(answer.decode(errors="replace"))


def _head(target: Target, body: Body, path: str) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: {target.host}:{target.port}\r\n"
        f"Content-Type: {body.content_type}\r\n"
        f"Content-Length: {len(body.data)}\r\n\r\n"
    ).encode()


def _answer(connection: socket.socket) -> bytes:
    """Return one whole answer, head and body."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65_536)
        if not piece:
            raise ConnectionError(f"closed after {len(data)} bytes: {data[:200]!r}")
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            while len(body) < int(value):
                body += connection.recv(65_536)
    return head + b"\r\n\r\n" + body


class Asker:
    """Asks questions over one connection that stays open."""

    def __init__(self, target: Target) -> None:
        self._connection = http.client.HTTPConnection(
            target.host, target.port, timeout=ANSWER_S_MAX
        )

    def ask(self, path: str, params: dict[str, str]) -> tuple[float, bytes]:
        """Return the seconds it took and the body.

        Raises: RuntimeError where the answer is not 200.
        """
        query = urllib.parse.urlencode(params)
        begin = time.perf_counter()
        self._connection.request("GET", f"{path}?{query}")
        answer = self._connection.getresponse()
        body = answer.read()
        seconds = time.perf_counter() - begin
        if answer.status != 200:
            text = body.decode(errors="replace")[:500]
            raise RuntimeError(f"{answer.status} to {params}: {text}")
        return seconds, body

    def post(self, path: str) -> int:
        """Post nothing, return the status."""
        self._connection.request("POST", path)
        answer = self._connection.getresponse()
        answer.read()
        return answer.status

    def close(self) -> None:
        self._connection.close()


def report(**figures: object) -> None:
    """Print one line of JSON."""
    print(json.dumps(figures), flush=True)
