"""The write-ahead log of one ingester: one thread, one fsync for all who wait.

Owns the segment files of one folder and one writer thread. The event loop
appends; the thread takes everything queued, writes it, syncs once, and tells
the loop once per group.

Guarantees:
- An append that returned is on disk, fsynced (with sync "always").
- Appends are in the file in the order of their calls.
- A failed write or sync is never retried. The segment is abandoned: everything
  not acknowledged fails with DurabilityFailed, and `segment` moves on. So the
  invariant that callers build on: *after an append to segment n failed, nothing
  is ever appended to n again*, and a series record that may be lost is never
  relied on.

Start: `start()`, then appends on the event loop. Stop: `await stop()`.
"""

import asyncio
import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from loki_py.encoding.checksum import Buffer
from loki_py.errors import DurabilityFailed, NotReady, Overloaded
from loki_py.wal.records import Record
from loki_py.wal.segment import SegmentHeader, encode_record
from loki_py.wal.segment_file import (
    Disk,
    make_folder,
    segment_numbers,
    segment_path,
    sync_folder,
)
from loki_py.wal.writer import LogStats, SegmentWriter, Sync


@dataclass(frozen=True, slots=True)
class LogSettings:
    """How a log writes.

    Attributes:
        ingester: goes into every segment's header, for people.
        sync: when written bytes are synced: `always` before an append returns,
            `interval` at least every `sync_interval_ns`, `never` not by us.
        queue_bytes_max: `check` refuses while this much waits for the disk.
    """

    ingester: str
    sync: Sync = "always"
    sync_interval_ns: int = 100_000_000
    queue_bytes_max: int = 64 << 20


class _Append(NamedTuple):
    header: SegmentHeader
    buffers: list[Buffer]
    bytes: int
    records: int
    done: "asyncio.Future[None]"


class Log:
    """Segment files of one folder, appended to by one thread.

    `check`, `append` and `rotate` are called on the event loop only; what they
    do takes effect in the order of the calls.
    """

    def __init__(
        self,
        folder: Path,
        settings: LogSettings,
        *,
        disk: Disk | None = None,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._folder = folder
        self._settings = settings
        # The writer thread's own, but for its plain attributes:
        self._writer = SegmentWriter(
            folder,
            disk or Disk(),
            sync=settings.sync,
            sync_interval_ns=settings.sync_interval_ns,
            monotonic_ns=monotonic_ns,
        )
        self._in_hand: list[_Append] = []
        self._thread = threading.Thread(target=self._run, name="wal", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        # Guarded by _changed, numbers may be read without it:
        self._changed = threading.Condition()
        self._queue: deque[_Append] = deque()
        self._queued_bytes = 0
        self._header = SegmentHeader(0, 0, settings.ingester)
        self._bytes_by_segment: dict[int, int] = {}
        self._stopping = False

    def start(self, *, segment_min: int = 1) -> None:
        """Begin behind the segments that are there; call on the event loop.

        Makes the folder, writes nothing yet: a full disk does not prevent a
        start. Existing segments are never appended to.

        Args:
            segment_min: the first segment's number is at least this.

        Raises: OSError where the folder cannot be made or read.
        """
        make_folder(self._folder)
        self._loop = asyncio.get_running_loop()
        numbers = segment_numbers(self._folder)
        self._bytes_by_segment = {
            number: segment_path(self._folder, number).stat().st_size
            for number in numbers
        }
        self._header = self._new_header(max([segment_min, *(n + 1 for n in numbers)]))
        self._thread.start()

    @property
    def stats(self) -> LogStats:
        """Counters, for metrics."""
        return self._writer.stats

    @property
    def unavailable(self) -> str:
        """Why the last attempt to write failed, "" while all is well."""
        return self._writer.unavailable

    @property
    def segment(self) -> int:
        """The number of the segment that the next append goes to."""
        return self._header.number

    @property
    def size_bytes(self) -> int:
        """Bytes of all segment files that are there."""
        with self._changed:
            return sum(self._bytes_by_segment.values())

    def segments(self) -> list[int]:
        """Return the numbers of the segment files that are there, ascending."""
        with self._changed:
            return sorted(self._bytes_by_segment)

    def check(self) -> None:
        """Refuse early, before refs are given out and anything is encoded.

        Raises:
            Overloaded: too much waits for the disk already.
            DurabilityFailed: the disk refused a moment ago; try later.
            NotReady: the log is stopping.
        """
        if self._queued_bytes >= self._settings.queue_bytes_max:
            raise Overloaded(
                f"{self._queued_bytes} bytes wait for the write-ahead log; "
                f"limit is {self._settings.queue_bytes_max}"
            )
        if self._writer.is_resting():
            raise DurabilityFailed(self.unavailable)
        if self._stopping:
            raise NotReady("the write-ahead log is stopping")

    def append(
        self, records: Sequence[Record], *, segment: int
    ) -> "asyncio.Future[None]":
        """Return an awaitable that is done once the records are on disk.

        Awaiting it raises DurabilityFailed where they may not be; `segment` of
        the log has then moved on, and refs given out for the old one are void.

        Args:
            records: written next to each other, in order.
            segment: `Log.segment` when the records' refs were chosen. Where the
                log has moved on since, the append fails.
        """
        assert self._loop is not None
        assert records
        done = self._loop.create_future()
        header = self._header
        buffers: list[Buffer] = []
        if segment == header.number:
            for record in records:
                buffers += encode_record(record, header)
        item = _Append(header, buffers, sum(map(len, buffers)), len(records), done)
        with self._changed:
            if segment != self._header.number:
                done.set_exception(
                    DurabilityFailed(f"segment {segment} was given up in between")
                )
            elif self._stopping:
                done.set_exception(NotReady("the write-ahead log is stopping"))
            else:
                self._queue.append(item)
                self._queued_bytes += item.bytes
                self._changed.notify()
        return done

    def rotate(self) -> int:
        """Begin a new segment; return the number of the one before.

        Appends made before go to segments up to that number, those after to
        higher ones. Cheap: the thread does the work.
        """
        with self._changed:
            before = self._header.number
            self._header = self._new_header(before + 1)
            self._changed.notify()
        return before

    def delete_through(self, number: int) -> None:
        """Delete the segments up to and with `number`, oldest first; durably.

        Blocking; called on a worker thread.

        Raises: OSError; what is not deleted stays listed and can be tried again.
        """
        assert number < self.segment
        doomed = [n for n in self.segments() if n <= number]
        for each in doomed:
            segment_path(self._folder, each).unlink(missing_ok=True)
            with self._changed:
                self._bytes_by_segment.pop(each, None)
        if doomed:
            sync_folder(self._folder)

    async def stop(self) -> None:
        """Write and sync what is queued, close the file, end the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join)

    def _new_header(self, number: int) -> SegmentHeader:
        seed = int.from_bytes(os.urandom(4), "little")
        return SegmentHeader(number, seed, self._settings.ingester)

    # The writer thread, from here to the end of the class.

    def _run(self) -> None:
        try:
            while self._step():
                pass
        finally:
            # Reached by `stop`, or by a mistake of ours: nobody waits forever.
            with self._changed:
                self._stopping = True
                waiting = [*self._in_hand, *self._queue]
                self._queue.clear()
            self._settle(waiting, DurabilityFailed("the write-ahead log has ended"))

    def _step(self) -> bool:
        """Wait for work and do it; return False once stopped and done."""
        with self._changed:
            while not (self._queue or self._stopping or self._is_file_done()):
                if not self._changed.wait(self._writer.seconds_to_sync()):
                    break
            group = self._in_hand = list(self._queue)
            self._queue.clear()
            stopping = self._stopping
        for _, items in groupby(group, key=lambda item: item.header.number):
            self._commit(list(items))
        self._in_hand = []
        with self._changed:
            self._queued_bytes -= sum(item.bytes for item in group)
            close = self._is_file_done() or (stopping and not group)
        self._tidy(close=close)
        return bool(group) or not stopping

    def _commit(self, items: list[_Append]) -> None:
        """Write the items, which are of one segment; tell who waits for them."""
        header = items[0].header
        buffers = [buffer for item in items for buffer in item.buffers]
        try:
            length = self._writer.write(header, buffers)
        except DurabilityFailed as error:
            self._fail(header.number, items, error)
            return
        with self._changed:
            self._bytes_by_segment[header.number] = length
        self.stats.records += sum(item.records for item in items)
        self.stats.bytes += sum(item.bytes for item in items)
        self._settle(items, None)

    def _tidy(self, *, close: bool) -> None:
        """Do what is due between groups: the interval's sync, the last close."""
        number = self._writer.number
        try:
            if close:
                self._writer.close()
            elif self._writer.seconds_to_sync() == 0:
                self._writer.sync_behind()
        except DurabilityFailed as error:
            self._fail(number, [], error)

    def _fail(
        self, number: int, items: Sequence[_Append], error: DurabilityFailed
    ) -> None:
        """Move on from segment `number` and fail everything queued for it."""
        with self._changed:
            doomed = [item for item in self._queue if item.header.number == number]
            kept = [item for item in self._queue if item.header.number != number]
            self._queue = deque(kept)
            self._queued_bytes -= sum(item.bytes for item in doomed)
            if self._header.number == number:
                self._header = self._new_header(number + 1)
        self._settle([*items, *doomed], error)

    def _is_file_done(self) -> bool:
        """Tell whether nothing more can come for the open file; under _changed."""
        number = self._writer.number
        if number in {0, self._header.number}:
            return False
        return not self._queue or self._queue[0].header.number > number

    def _settle(self, items: Sequence[_Append], error: DurabilityFailed | None) -> None:
        assert self._loop is not None
        if not items:
            return
        # A loop that is closed has nobody left who waits.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(_settle_all, items, error)


def _settle_all(items: Sequence[_Append], error: DurabilityFailed | None) -> None:
    for item in items:
        if item.done.done():
            continue
        if error is None:
            item.done.set_result(None)
        else:
            item.done.set_exception(DurabilityFailed(*error.args))
