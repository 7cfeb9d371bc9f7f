"""A real etcd in a folder of its own: started, stopped, killed, frozen."""

import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

READY_S_MAX = 20


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class EtcdServer:
    """One member; its data outlives `kill` and a new `start`."""

    def __init__(self, folder: Path, *extra: str, scheme: str = "http") -> None:
        self.port = free_port()
        self._peer_port = free_port()
        self._folder = folder
        self._extra = extra
        self._scheme = scheme
        self._process = None

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def is_running(self) -> bool:
        return self._process is not None

    def start(self) -> None:
        binary = shutil.which("etcd")
        assert binary, "etcd is not installed: apt-get install etcd-server"
        client, peer = f"{self._scheme}://{self.endpoint}", self._peer_url()
        self._process = subprocess.Popen(
            [
                binary,
                "--name=m",
                f"--data-dir={self._folder}/data",
                f"--listen-client-urls={client}",
                f"--advertise-client-urls={client}",
                f"--listen-peer-urls={peer}",
                f"--initial-advertise-peer-urls={peer}",
                f"--initial-cluster=m={peer}",
                "--heartbeat-interval=20",
                "--election-timeout=200",
                "--log-level=error",
                *self._extra,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._wait_until_it_listens()

    def kill(self) -> None:
        """As `kill -9` and the end of the process."""
        self.resume()
        self._process.kill()
        self._process.wait()
        self._process = None

    def pause(self) -> None:
        """Connections stay open and nobody answers on them."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        if self._process is not None:
            self.kill()

    def wipe(self) -> None:
        shutil.rmtree(self._folder / "data")

    def _wait_until_it_listens(self) -> None:
        deadline_s = time.monotonic() + READY_S_MAX
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert self._process.poll() is None, "etcd ended"
                assert time.monotonic() < deadline_s, "etcd does not listen"
                time.sleep(0.02)
            else:
                return

    def _peer_url(self) -> str:
        return f"http://127.0.0.1:{self._peer_port}"
