"""A real memcached: started, killed, frozen."""

import shutil
import signal
from collections.abc import Sequence

from fakes.programs import start_listening

from bench.ports import free_port


class MemcachedServer:
    """One server; what it holds ends with `kill`."""

    def __init__(self) -> None:
        self.port = free_port()
        self._process = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        self._process = start_listening(self._command)

    def kill(self) -> None:
        if self._process is not None:
            self.resume()
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Connections stay open and nobody answers on them."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def _command(self) -> tuple[Sequence[str], int]:
        binary = shutil.which("memcached")
        assert binary, "memcached is not installed: apt-get install memcached"
        command = [binary, "-u", "nobody", "-l", "127.0.0.1", "-p", str(self.port)]
        return command, self.port
