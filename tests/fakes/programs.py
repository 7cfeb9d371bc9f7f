"""Start a server of others, and wait until it listens."""

import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

READY_S_MAX = 30
STARTS_MAX = 3
PAUSE_S = 0.5


class Program:
    """A server of others, once it is started: killed, frozen."""

    _process: subprocess.Popen | None = None

    @property
    def is_running(self) -> bool:
        return self._process is not None

    def kill(self) -> None:
        """As `kill -9` and the end of the process; nothing where there is none."""
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


def start_listening(
    command_of: Callable[[], tuple[Sequence[str], int]],
    *,
    move: Callable[[], None] | None = None,
) -> subprocess.Popen:
    """Return the process once it listens; one that ended before is tried again.

    Args:
        command_of: what to run, and the port that it shall listen on.
        move: chooses other ports for the next try, where that may be.
    """
    for number in range(STARTS_MAX):
        command, port = command_of()
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        if _listens(process, port):
            return process
        if number + 1 < STARTS_MAX:
            time.sleep(PAUSE_S)
            if move is not None:
                move()
    name = Path(command[0]).name
    raise AssertionError(f"{name} ended {STARTS_MAX} times, at last on port {port}")


def _listens(process: subprocess.Popen, port: int) -> bool:
    """Wait until the process listens; return False where it ended instead."""
    deadline_s = time.monotonic() + READY_S_MAX
    while True:
        if process.poll() is not None:
            return False
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > deadline_s:
                process.kill()
                process.wait()
                raise AssertionError(f"nobody listens on port {port}") from None
            time.sleep(0.02)
        else:
            return True
