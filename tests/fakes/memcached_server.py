"""A real memcached: started, killed, frozen."""

import shutil
import signal
import socket
import subprocess
import time

from fakes.s3_servers import free_port

READY_S_MAX = 20


class MemcachedServer:
    """One server; what it holds ends with `kill`."""

    def __init__(self) -> None:
        self.port = free_port()
        self._process = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        binary = shutil.which("memcached")
        assert binary, "memcached is not installed: apt-get install memcached"
        self._process = subprocess.Popen(
            [binary, "-u", "nobody", "-l", "127.0.0.1", "-p", str(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline_s = time.monotonic() + READY_S_MAX
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert self._process.poll() is None, "memcached ended"
                assert time.monotonic() < deadline_s, "memcached does not listen"
                time.sleep(0.02)
            else:
                return

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
