"""One process per data directory: a lock that ends with the process."""

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from loki_py.errors import NotReady

LOCK_NAME = "lock"


@dataclass(slots=True)
class DataLock:
    """Holds the lock of a directory from `start` to `stop`.

    A killed process holds nothing: the next one can start at once.
    """

    directory: Path
    _descriptor: int = -1

    async def start(self) -> None:
        """Make the directory and take its lock.

        Raises: NotReady where another process has it, or there can be none;
        OSError.
        """
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise NotReady(
                f"no directory can be made at {self.directory}: {error.strerror}"
            ) from None
        path = self.directory / LOCK_NAME
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise NotReady(f"{self.directory} is in use by another process") from None
        self._descriptor = descriptor

    async def stop(self) -> None:
        """Give the lock back."""
        os.close(self._descriptor)
        self._descriptor = -1
