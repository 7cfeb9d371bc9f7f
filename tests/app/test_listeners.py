"""Listening: TLS, and the second listener, over real sockets."""

import asyncio
import os
import signal
import ssl

import pytest
from fakes.certificates import Authority

from bench.ports import free_port
from loki_py.app.serve import _serve
from loki_py.app.wiring import wire
from loki_py.config.loader import parse_config
from loki_py.runtime.logs import LogLevel

TLS = "server.http_tls_config"


async def status_of(port, path, context):
    """Return the status of a GET over TLS; None where nobody listens."""
    try:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname="localhost"
        )
    except ConnectionRefusedError:
        return None
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    )
    answer = await reader.read()
    writer.close()
    return int(answer.split()[1])


async def test_both_listeners_speak_tls_until_they_are_told_to_stop(tmp_path):
    authority = Authority(tmp_path)
    cert, key = authority.issue("server")
    client = ssl.create_default_context(cafile=authority.file)
    client.verify_flags &= ~ssl.VERIFY_X509_STRICT
    first, second = free_port(), free_port()
    config = parse_config(
        "",
        assignments=[
            f"common.path_prefix={tmp_path / 'data'}",
            f"server.http_listen_port={first}",
            "otlp.grpc_listen_port=0",
            "server.admin_listen_address=127.0.0.1",
            f"server.admin_listen_port={second}",
            f"{TLS}.cert_file={cert}",
            f"{TLS}.key_file={key}",
        ],
    )
    serving = asyncio.create_task(_serve(config, wire(config, LogLevel())))
    while await status_of(first, "/ready", client) != 200:
        assert not serving.done()

    found = [
        await status_of(port, path, client)
        for port in (first, second)
        for path in ("/metrics", "/loki/api/v1/labels")
    ]
    with pytest.raises(ssl.SSLCertVerificationError):
        await status_of(first, "/ready", ssl.create_default_context())
    os.kill(os.getpid(), signal.SIGTERM)

    assert found == [404, 200, 200, 404]
    assert await serving == 0
    assert await status_of(second, "/metrics", client) is None
