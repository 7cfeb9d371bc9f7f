"""Requests through an HTTP proxy, and how long is waited before they are repeated."""

import asyncio
import base64
import contextlib
import socketserver
import threading

import pytest

from loki_py.client.connection import (
    Backoff,
    Connections,
    RequestFailed,
    Server,
    backoff_s,
)
from loki_py.client.tail import Tail

USER = "Basic " + base64.b64encode(b"me:a b").decode()


class Proxy(socketserver.ThreadingTCPServer):
    """Answers plain requests itself and opens no tunnel; keeps what it was asked."""

    allow_reuse_address = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = []
        port = self.server_address[1]
        self.url = f"http://me:a%20b@127.0.0.1:{port}"


class Handler(socketserver.StreamRequestHandler):
    """One request."""

    def handle(self):
        head = iter(self.rfile.readline, b"\r\n")
        first, *rest = (line.decode().strip() for line in head)
        headers = dict(line.lower().split(": ", 1) for line in rest)
        self.server.asked.append((first, headers))
        status = "403 Forbidden" if first.startswith("CONNECT") else "200 OK"
        self.wfile.write(f"HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nok".encode())


@pytest.fixture
def proxy():
    with Proxy() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_a_plain_request_is_sent_to_the_proxy_whole(proxy):
    server = Server("http://store.test:3100/below", proxy=proxy.url)

    with contextlib.closing(Connections(server)) as connections:
        answer = connections.request("GET", "/ready")

    (first, headers) = proxy.asked[0]
    assert answer == b"ok"
    assert first == "GET http://store.test:3100/below/ready HTTP/1.1"
    assert headers["host"] == "store.test:3100"
    assert headers["proxy-authorization"] == USER.lower()


def test_tls_is_spoken_through_a_tunnel(proxy):
    server = Server("https://store.test", proxy=proxy.url)

    with pytest.raises(RequestFailed, match="403"):
        Connections(server).request("GET", "/ready")

    (first, headers) = proxy.asked[0]
    assert first.startswith("CONNECT store.test:443 ")
    assert headers["proxy-authorization"] == USER.lower()


async def test_a_tail_goes_through_the_proxy(proxy):
    backoff = Backoff(0.0, 0.0)
    server = Server("http://store.test:3100", proxy=proxy.url, backoff=backoff)
    tail = Tail(server, '{a="b"}', start_ns=0, delay_s=0, limit=1)

    with pytest.raises(RequestFailed, match="no answer"):
        await asyncio.wait_for(anext(aiter(tail)), 60)

    assert proxy.asked[0][0].startswith("CONNECT store.test:3100 ")


@pytest.mark.parametrize("proxy_url", ["proxy:3128", "socks5://proxy", "https://proxy"])
def test_other_proxies_are_refused(proxy_url):
    with pytest.raises(ValueError, match="not a proxy"):
        Server("http://store.test", proxy=proxy_url)


def test_pauses_are_within_the_bounds_that_are_asked_for():
    backoff = Backoff(2.0, 5.0)

    assert 1.0 <= backoff_s(1, backoff=backoff) <= 2.0
    assert 2.5 <= backoff_s(9, backoff=backoff) <= 5.0
    assert 2.5 <= backoff_s(90_000, backoff=backoff) <= 5.0
