"""One segment file that is being written, and the folder it lies in.

Does I/O, blocking. Which records go where, and what happens to those that the
disk refuses, is the job of `wal.log`.
"""

import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from loki_py.encoding.checksum import Buffer
from loki_py.wal.segment import SEGMENT_HEADER_BYTES, SegmentHeader, encode_header

SEGMENT_SUFFIX = ".wal"
_NUMBER_DIGITS = 10
_WRITEV_BUFFERS_MAX = 1024
"""More buffers in one call are refused by the kernel (IOV_MAX)."""


@dataclass(frozen=True, slots=True)
class Disk:
    """The calls that make bytes durable; tests give ones that fail.

    Attributes:
        writev: as `os.writev`; may write less than it is given.
        sync: as `os.fdatasync`; what was written before is on disk after it.
    """

    writev: Callable[[int, Sequence[Buffer]], int] = os.writev
    sync: Callable[[int], None] = os.fdatasync


def segment_path(folder: Path, number: int) -> Path:
    """Return where the segment of that number lies."""
    return folder / f"{number:0{_NUMBER_DIGITS}d}{SEGMENT_SUFFIX}"


def segment_numbers(folder: Path) -> list[int]:
    """Return the numbers of the segments in the folder, ascending."""
    paths = [p for p in folder.glob(f"*{SEGMENT_SUFFIX}") if p.stem.isdecimal()]
    numbers = sorted(int(path.stem) for path in paths)
    return [n for n in numbers if segment_path(folder, n) in paths]


def make_folder(folder: Path) -> None:
    """Make the folder and its missing parents, durably."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in the folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class SegmentFile:
    """A new segment, open for appending.

    A method that raises OSError leaves the file in a state that only `abandon`
    may touch: nothing is written to it again.

    Attributes:
        number: the segment's number.
        bytes: its length up to the last `keep`.
    """

    __slots__ = ("_descriptor", "_disk", "_path", "_written", "bytes", "number")

    def __init__(self, folder: Path, header: SegmentHeader, disk: Disk) -> None:
        """Make the file with its header, durably, under a name not yet there.

        Raises: OSError, with nothing left behind as far as the disk allows.
        """
        self._path = segment_path(folder, header.number)
        self._disk = disk
        self.number = header.number
        self.bytes = 0
        self._written = 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(self._path, flags, 0o644)
        try:
            self.append([encode_header(header)])
            self.sync()
            sync_folder(folder)
            self.keep()
        except OSError:
            self.abandon()
            raise

    def append(self, buffers: Sequence[Buffer]) -> None:
        """Write all buffers; they are durable only after `sync`."""
        for start in range(0, len(buffers), _WRITEV_BUFFERS_MAX):
            part = buffers[start : start + _WRITEV_BUFFERS_MAX]
            self._written += self._write_all(part)

    def sync(self) -> None:
        """Return once everything written is on disk."""
        self._disk.sync(self._descriptor)

    def keep(self) -> None:
        """Take everything written so far as acknowledged."""
        self.bytes = self._written

    def close(self) -> None:
        """Give the file back to the system; it stays where it is."""
        os.close(self._descriptor)

    def abandon(self) -> None:
        """Cut the file to what was kept, and never touch it again.

        Best effort on a disk that has just failed: what stays behind the cut
        is a torn record, or one that was never acknowledged; replay accepts
        both.
        """
        with contextlib.suppress(OSError):
            if self.bytes <= SEGMENT_HEADER_BYTES:
                self._path.unlink()
            else:
                os.ftruncate(self._descriptor, self.bytes)
        with contextlib.suppress(OSError):
            os.close(self._descriptor)

    def _write_all(self, buffers: Sequence[Buffer]) -> int:
        wanted = sum(map(len, buffers))
        written = self._disk.writev(self._descriptor, buffers)
        while written < wanted:
            # Rare: a signal or a disk that is almost full.
            rest = memoryview(b"".join(map(memoryview, buffers)))[written:]
            count = self._disk.writev(self._descriptor, [rest])
            if count == 0:
                raise OSError(f"disk took {written} of {wanted} bytes")
            written += count
        return wanted
