"""A real etcd in a folder of its own: started, stopped, killed, frozen."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from fakes.programs import Program, start_listening

from bench.ports import free_port


class EtcdServer(Program):
    """One member; its data outlives `kill` and a new `start`."""

    def __init__(self, folder: Path, *extra: str, scheme: str = "http") -> None:
        self._choose_ports()
        self._folder = folder
        self._extra = extra
        self._scheme = scheme

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it; a first start may choose other ports, a later one does not."""
        is_first = not (self._folder / "data").exists()
        self._process = start_listening(
            self._command, move=self._move if is_first else None
        )

    def stop(self) -> None:
        self.kill()

    def wipe(self) -> None:
        shutil.rmtree(self._folder / "data")

    def _choose_ports(self) -> None:
        self.port, self._peer_port = free_port(), free_port()

    def _move(self) -> None:
        self._choose_ports()
        shutil.rmtree(self._folder / "data", ignore_errors=True)

    def _command(self) -> tuple[Sequence[str], int]:
        binary = shutil.which("etcd")
        assert binary, "etcd is not installed: apt-get install etcd-server"
        client = f"{self._scheme}://{self.endpoint}"
        peer = f"http://127.0.0.1:{self._peer_port}"
        command = [
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
        ]
        return command, self.port
