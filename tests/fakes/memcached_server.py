"""A real memcached: started, killed, frozen."""

import shutil
from collections.abc import Sequence

from fakes.programs import Program, start_listening

from bench.ports import free_port


class MemcachedServer(Program):
    """One server; what it holds ends with `kill`."""

    def __init__(self) -> None:
        self.port = free_port()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        self._process = start_listening(self._command)

    def _command(self) -> tuple[Sequence[str], int]:
        binary = shutil.which("memcached")
        assert binary, "memcached is not installed: apt-get install memcached"
        command = [binary, "-u", "nobody", "-l", "127.0.0.1", "-p", str(self.port)]
        return command, self.port
