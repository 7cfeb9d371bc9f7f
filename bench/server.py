"""A real server process: start it, stop it, kill it, and read what it costs.

Figures come from /proc and count the process and all its children.
"""

import contextlib
import http.client
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

from bench.ports import free_port

MIB = 1 << 20
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
READY_S_MAX = 60.0
STOP_S_MAX = 60.0

# What benchmarks and tests push is neither new nor slow enough for the defaults.
UNLIMITED = {
    "limits_config.ingestion_rate_mb": "100000",
    "limits_config.ingestion_burst_size_mb": "100000",
    "limits_config.per_stream_rate_limit": "100GB",
    "limits_config.per_stream_rate_limit_burst": "100GB",
    "limits_config.reject_old_samples": "false",
    "limits_config.max_entries_limit_per_query": "5000000",
    "limits_config.max_query_series": "100000",
    "limits_config.max_query_length": "0",
    "limits_config.max_global_streams_per_user": "0",
}


class Server:
    """One `loki-py serve`, on a free port, below its own directory.

    Use it as a context manager; leaving it kills the process and removes the
    directory, unless the directory was given.

    Attributes:
        prefix: what comes before the command, as `ip netns exec NAME` does.
    """

    prefix: tuple[str, ...] = ()

    def __init__(
        self,
        settings: Mapping[str, str] | None = None,
        *,
        directory: Path | None = None,
    ) -> None:
        self._own_directory = directory is None
        self.directory = directory or Path(tempfile.mkdtemp(prefix="loki-py-"))
        self.settings = {**UNLIMITED, **(settings or {})}
        self.port = free_port()
        self.process: subprocess.Popen | None = None

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def log(self) -> Path:
        return self.directory / "server.log"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self, *, ready_s_max: float = READY_S_MAX) -> float:
        """Start it and return the seconds until /ready said yes."""
        assert self.process is None
        settings = {
            "common.path_prefix": str(self.data),
            "server.http_listen_port": str(self.port),
            "server.grpc_listen_port": "0",
            "otlp.grpc_listen_port": "0",
            **self.settings,
        }
        program = Path(sys.executable).with_name("loki-py")
        command = [*self.prefix, str(program), "serve"]
        for key, value in settings.items():
            command += ["--set", f"{key}={value}"]
        begin = time.perf_counter()
        for is_last in (False, False, True):
            with self.log.open("ab") as log:
                logged_bytes = log.tell()
                self.process = subprocess.Popen(command, stdout=log, stderr=log)
            try:
                self._wait_ready(begin + ready_s_max)
            except RuntimeError:
                if is_last or not self._lost_its_port(logged_bytes):
                    raise
            else:
                break
        return time.perf_counter() - begin

    def _wait_ready(self, deadline: float) -> None:
        while True:
            if self.process.poll() is not None:
                code, self.process = self.process.returncode, None
                raise RuntimeError(f"server ended with {code}:\n{self.log_tail()}")
            if is_ready(self.port):
                return
            if time.perf_counter() > deadline:
                raise TimeoutError(f"server is not ready:\n{self.log_tail()}")
            time.sleep(0.01)

    def _lost_its_port(self, logged_bytes: int) -> bool:
        """Whether what was logged since then says that a port was taken."""
        said = self.log.read_bytes()[logged_bytes:]
        return b"address already in use" in said or b"can not listen" in said

    def stop(self) -> int:
        """SIGTERM, wait, and return the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self._reap()

    def kill(self) -> None:
        """Kill -9, and wait until it is gone."""
        self.process.kill()
        self._reap()

    def restart(self) -> float:
        self.stop()
        return self.start()

    def _reap(self) -> int:
        try:
            return self.process.wait(STOP_S_MAX)
        finally:
            if self.process.returncode is None:
                self.process.kill()
                self.process.wait()
            self.process = None

    def log_tail(self) -> str:
        return self.log.read_text(errors="replace")[-4000:]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            self.kill()
        if self._own_directory:
            shutil.rmtree(self.directory, ignore_errors=True)


def is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def tree_of(pid: int) -> Iterator[int]:
    """Yield the process and all its descendants."""
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a thread that has ended
            for child in (task / "children").read_text().split():
                yield from tree_of(int(child))


def cpu_s_of(pid: int) -> float:
    """Return the CPU seconds, user and system, that the tree has used."""
    ticks = 0
    for one in tree_of(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS_PER_S


def memory_of(pid: int) -> dict[str, float]:
    """Return resident memory now and at its highest, in MiB.

    Pages of memory-mapped files count as resident, though the system takes
    them back when it needs them; `anonymous` is what it cannot take back.
    """
    kib = {"VmRSS": 0, "VmHWM": 0, "RssAnon": 0}
    for one in tree_of(pid):
        for line in Path(f"/proc/{one}/status").read_text().splitlines():
            name, _, value = line.partition(":")
            if name in kib:
                kib[name] += int(value.split()[0])
    return {
        "resident_mib": round(kib["VmRSS"] / 1024, 1),
        "resident_mib_highest": round(kib["VmHWM"] / 1024, 1),
        "anonymous_mib": round(kib["RssAnon"] / 1024, 1),
    }


def forget_highest_memory(pid: int) -> None:
    """Let VmHWM start anew from what is resident now."""
    for one in tree_of(pid):
        Path(f"/proc/{one}/clear_refs").write_text("5")


def bytes_below(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
