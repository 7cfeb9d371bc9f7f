"""Ports for servers that tests and benchmarks start: nobody else takes them.

The kernel hands out ports of its ephemeral range to outgoing connections, at
any moment, so that a port of that range that was free a moment ago may not be
when a server binds it. These lie below. A port is promised to one process of
this machine while that process lives: it holds a socket of that name.
"""

import itertools
import os
import socket
from collections.abc import Iterator
from pathlib import Path

PORT_MIN = 15_000
"""Below are the well-known ones, and those that people give to servers by hand."""

PORTS_TRIED_MAX = 10_000

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port() -> int:
    """Return a port that nobody listens on, and that nobody was told of."""
    for port in itertools.islice(_CANDIDATES, PORTS_TRIED_MAX):
        if _is_bindable(port) and _promise(port):
            return port
    raise OSError(f"none of {PORTS_TRIED_MAX} ports is free")


def ephemeral_port_min() -> int:
    """Return the first port that the kernel gives to outgoing connections."""
    return int(_RANGE.read_text().split()[0])


def _candidates() -> Iterator[int]:
    """Yield ports, those of another process at other times, for ever."""
    ports = range(PORT_MIN, max(ephemeral_port_min(), PORT_MIN + 1_000))
    begin = os.getpid() * 97 % len(ports)
    return itertools.cycle([*ports[begin:], *ports[:begin]])


def _is_bindable(port: int) -> bool:
    """Whether a server that insists on being alone could listen, on any address."""
    with socket.socket() as listener:
        try:
            listener.bind(("", port))
        except OSError:
            return False
    return True


def _promise(port: int) -> bool:
    """Hold the port's name until this process ends; False where it is held."""
    name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        name.bind(f"\0loki-py-port-{port}")
    except OSError:
        name.close()
        return False
    name.detach()
    return True


_CANDIDATES = _candidates()
