"""Write to the newest segment, give it up when the disk fails, retry later.

Does I/O, blocking, on the log's thread alone. Queueing and telling who waits is
the job of `wal.log`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from loki_py.encoding.checksum import Buffer
from loki_py.errors import DurabilityFailed
from loki_py.wal.segment import SegmentHeader
from loki_py.wal.segment_file import Disk, SegmentFile

Sync = Literal["always", "interval", "never"]

RETRY_NS_MIN = 50_000_000
RETRY_NS_MAX = 5_000_000_000
"""After a failure the disk is left alone for that long; doubled up to the maximum."""


@dataclass(slots=True)
class LogStats:
    """What a log has done since it started; each number only grows."""

    records: int = 0
    bytes: int = 0
    groups: int = 0
    syncs: int = 0
    segments_abandoned: int = 0


class SegmentWriter:
    """The one file of a log that is open for writing, if any.

    Attributes:
        stats: counters; the caller counts records, this class the rest.
        unavailable: why the disk is left alone, "" while all is well.
        retry_at_ns: until when, on the monotonic clock.
    """

    def __init__(
        self,
        folder: Path,
        disk: Disk,
        *,
        sync: Sync,
        sync_interval_ns: int,
        monotonic_ns: Callable[[], int],
    ) -> None:
        self.stats = LogStats()
        self.unavailable = ""
        self.retry_at_ns = 0
        self._folder = folder
        self._disk = disk
        self._sync = sync
        self._sync_interval_ns = sync_interval_ns
        self._monotonic_ns = monotonic_ns
        self._file: SegmentFile | None = None
        self._retry_ns = 0
        self._synced_ns = 0
        self._unsynced = False

    @property
    def number(self) -> int:
        """The number of the open segment, 0 where none is open."""
        return 0 if self._file is None else self._file.number

    def is_resting(self) -> bool:
        """Tell whether the disk failed so shortly ago that it is left alone."""
        return bool(self.unavailable) and self._monotonic_ns() < self.retry_at_ns

    def write(self, header: SegmentHeader, buffers: Sequence[Buffer]) -> int:
        """Append to the header's segment, opened where it is not; sync if told to.

        Returns the segment's length now.

        Raises: DurabilityFailed; the segment must not be written to again.
        """
        if self.is_resting():
            raise DurabilityFailed(self.unavailable)
        if self.number != header.number:
            self.close()
        try:
            if self._file is None:
                self._file = SegmentFile(self._folder, header, self._disk)
                self._synced_ns = self._monotonic_ns()
            self._file.append(buffers)
            if self._sync == "always":
                self._sync_now(self._file)
        except OSError as error:
            raise self._give_up(header.number, error) from error
        self._file.keep()
        self._unsynced = self._sync == "interval"
        self.unavailable, self._retry_ns = "", 0
        self.stats.groups += 1
        return self._file.bytes

    def seconds_to_sync(self) -> float | None:
        """Return how long the next sync may wait; None where none is due."""
        if not self._unsynced:
            return None
        due_ns = self._synced_ns + self._sync_interval_ns
        return max(0, due_ns - self._monotonic_ns()) / 1e9

    def sync_behind(self) -> None:
        """Sync what was acknowledged before it was synced.

        Raises: DurabilityFailed; the segment must not be written to again.
        """
        if self._file is None or not self._unsynced:
            return
        try:
            self._sync_now(self._file)
        except OSError as error:
            raise self._give_up(self._file.number, error) from error
        self._unsynced = False

    def close(self) -> None:
        """Close the file, synced as the setting asks.

        Raises: DurabilityFailed; it is closed nevertheless.
        """
        self.sync_behind()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _sync_now(self, file: SegmentFile) -> None:
        file.sync()
        self._synced_ns = self._monotonic_ns()
        self.stats.syncs += 1

    def _give_up(self, number: int, error: OSError) -> DurabilityFailed:
        if self._file is not None:
            self._file.abandon()
            self._file, self._unsynced = None, False
            self.stats.segments_abandoned += 1
        self._retry_ns = min(max(2 * self._retry_ns, RETRY_NS_MIN), RETRY_NS_MAX)
        self.retry_at_ns = self._monotonic_ns() + self._retry_ns
        self.unavailable = f"write-ahead log segment {number}: {error}"
        return DurabilityFailed(self.unavailable)
