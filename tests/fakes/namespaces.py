"""Network namespaces of Linux: one for each process, with links that can be cut.

Each has two links: an outer one to whoever tests, and one to the peers, over a
bridge that nobody else is on. Needs root and iproute2.
"""

import contextlib
import os
import shutil
import subprocess
from typing import Self

SUBNET = 200 + os.getpid() % 50
TAG = f"lp{os.getpid() % 10_000}"


class NotPossible(Exception):
    """The machine does not allow it; says why."""


class Namespaces:
    """Some namespaces, by number; a context manager."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._undo = contextlib.ExitStack()

    def prefix(self, number: int) -> tuple[str, ...]:
        """Return what runs a command in a namespace."""
        return ("ip", "netns", "exec", f"{TAG}n{number}")

    def outside(self, number: int) -> str:
        """Return the address at which a namespace reaches who tests."""
        return f"10.{SUBNET}.{number}.1"

    def inside(self, number: int) -> str:
        """Return the address at which who tests reaches a namespace."""
        return f"10.{SUBNET}.{number}.2"

    def among_peers(self, number: int) -> str:
        """Return the address of a namespace for the others."""
        return f"10.{SUBNET}.255.{number + 1}"

    def cut(self, number: int) -> None:
        """Take down the link of one to all of its peers."""
        _ip("link", "set", f"{TAG}p{number}", "down")

    def heal(self, number: int) -> None:
        """Take it up again."""
        _ip("link", "set", f"{TAG}p{number}", "up")

    def __enter__(self) -> Self:
        if shutil.which("ip") is None:
            raise NotPossible("ip is not installed: apt-get install iproute2")
        try:
            self._make()
        except BaseException:
            self._undo.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def _make(self) -> None:
        bridge = f"{TAG}br"
        _ip("link", "add", bridge, "type", "bridge")
        self._undo.callback(_ip, "link", "del", bridge)
        _ip("link", "set", bridge, "up")
        for number in range(self._count):
            space = f"{TAG}n{number}"
            _ip("netns", "add", space)
            # Links go with the namespace that one end of them is in.
            self._undo.callback(_ip, "netns", "del", space)
            _ip("-n", space, "link", "set", "lo", "up")
            self._link(space, f"{TAG}o{number}", "outer", self.inside(number))
            here = f"{self.outside(number)}/24"
            _ip("addr", "add", here, "dev", f"{TAG}o{number}")
            self._link(space, f"{TAG}p{number}", "peers", self.among_peers(number))
            _ip("link", "set", f"{TAG}p{number}", "master", bridge)

    @staticmethod
    def _link(space: str, near: str, far: str, address: str) -> None:
        pair = ("type", "veth", "peer", "name", far, "netns", space)
        _ip("link", "add", near, *pair)
        _ip("-n", space, "addr", "add", f"{address}/24", "dev", far)
        _ip("-n", space, "link", "set", far, "up")
        _ip("link", "set", near, "up")


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotPossible(f"ip {' '.join(words)}: {done.stderr.strip()}")
