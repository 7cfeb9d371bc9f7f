"""syslog-ng of Debian posting to the push API: what it took is what comes back."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from clients.conftest import MESSAGES
from e2e.harness import until

from bench.ports import free_port

CONFIGURATION = Path(__file__).with_name("syslog-ng.conf")
STOP_S_MAX = 30
FACILITY_USER = 1 << 3
WARNING, INFO = 4, 6


@contextlib.contextmanager
def running(program, folder, settings):
    command = [
        program,
        "--foreground",
        "--stderr",
        "--no-caps",
        f"--cfgfile={CONFIGURATION}",
        f"--persist-file={folder / 'persist'}",
        f"--pidfile={folder / 'pid'}",
        f"--control={folder / 'control'}",
    ]
    log = folder / "log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            command, env={**os.environ, **settings}, stdout=said, stderr=said
        )
    try:
        yield process, log
    finally:
        process.terminate()
        process.wait(STOP_S_MAX)


def connected(port, process, log):
    """Return a connection once the program listens."""

    def attempt():
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(ConnectionRefusedError):
            return socket.create_connection(("127.0.0.1", port))
        return None

    return until(attempt)


def frame_of(number, message, *, at_ns):
    """Return one RFC 5424 message with its length before it (RFC 6587)."""
    severity = WARNING if number % 2 else INFO
    at = datetime.fromtimestamp(at_ns / 1e9, UTC).isoformat(timespec="microseconds")
    text = f"<{FACILITY_USER | severity}>1 {at} web-1 shop 42 ID{number} - {message}"
    encoded = text.encode()
    return str(len(encoded)).encode() + b" " + encoded


def test_syslog_ng(server, stored, app, tmp_path):
    program = shutil.which("syslog-ng") or shutil.which("syslog-ng", path="/usr/sbin")
    if program is None:
        pytest.skip("syslog-ng is not installed")
    port = free_port()
    settings = {"SYSLOG_PORT": str(port), "STORE_URL": server.url, "APP": app}
    now_ns = time.time_ns()

    with running(program, tmp_path, settings) as (process, log):
        with connected(port, process, log) as connection:
            for number, message in enumerate(MESSAGES):
                at_ns = now_ns + number * 1_000_000
                connection.sendall(frame_of(number, message, at_ns=at_ns))
        entries = stored(f'{{app="{app}"}}')

    assert [line for _, line, _ in entries] == MESSAGES
    for number, (labels, _, metadata) in enumerate(entries):
        assert labels["host"] == "web-1"
        assert labels["program"] == "shop"
        assert labels["level"] == ("warning" if number % 2 else "info")
        assert metadata["msgid"] == f"ID{number}"
