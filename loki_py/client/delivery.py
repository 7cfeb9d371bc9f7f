"""Deliver entries from a thread of its own; never make anybody wait.

Invariant: what is queued is bounded in entries and in bytes. What does not fit is
left out and counted; what was taken is tried until the store took or refused it, or
until `close` has waited long enough.
"""

import threading
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from loki_py.client.bodies import JSON_HEADERS, PUSH, Item, bodies
from loki_py.client.connection import Connections, RequestFailed, Server, backoff_s

Queued: TypeAlias = tuple[Item, int]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is queued, and how long is waited.

    Attributes:
        batch_s: an entry waits this long at most for others to go with it.
        close_s: how long `flush` and `close` wait for the store, each.
    """

    queue_entries_max: int = 10_000
    queue_bytes_max: int = 16 << 20
    batch_entries_max: int = 1000
    batch_s: float = 1.0
    close_s: float = 5.0


@dataclass(slots=True)
class Counts:
    """What became of the entries.

    Attributes:
        sent: the store has them.
        dropped: did not fit into the queue.
        refused: the store said that they are wrong.
        undelivered: left when the time to close was over.
        failed_attempts: requests that were, or will be, repeated.
    """

    sent: int = 0
    dropped: int = 0
    refused: int = 0
    undelivered: int = 0
    failed_attempts: int = 0


class Delivery:
    """A bounded queue and the thread that empties it."""

    def __init__(self, server: Server, bounds: Bounds) -> None:
        self._connections = Connections(server)
        self._bounds = bounds
        self._changed = threading.Condition()
        self._queue: deque[Queued] = deque()
        self._queued_bytes = 0
        self._in_hand = 0
        self._is_flushing = False
        self._flushes = 0
        self._is_closed = False
        self._thread: threading.Thread | None = None
        self.counts = Counts()
        self.last_error: RequestFailed | None = None

    def offer(self, item: Item) -> bool:
        """Queue an entry, or return False where it does not fit; never wait."""
        size = len(item[1][1])
        with self._changed:
            if (
                self._is_closed
                or len(self._queue) >= self._bounds.queue_entries_max
                or self._queued_bytes + size > self._bounds.queue_bytes_max
            ):
                self.counts.dropped += 1
                return False
            self._queue.append((item, size))
            self._queued_bytes += size
            if self._thread is None:
                thread = threading.Thread(
                    target=self._run, name="loki-py-delivery", daemon=True
                )
                thread.start()
                self._thread = thread
            if len(self._queue) in {1, self._bounds.batch_entries_max}:
                self._changed.notify_all()
        return True

    def flush(self) -> bool:
        """Send what is queued now; return whether everything is with the store.

        Returns when it is, when an attempt failed, or when the time is over.
        """
        with self._changed:
            failed = self.counts.failed_attempts
            self._is_flushing = True
            self._flushes += 1
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: not self._has_work() or self.counts.failed_attempts > failed,
                self._bounds.close_s,
            )
            self._is_flushing = False
            return not self._has_work()

    def close(self) -> None:
        """Flush, end the thread, and count what could not be delivered."""
        self.flush()
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
            thread, self._thread = self._thread, None
            left = len(self._queue) + self._in_hand
            self._queue.clear()
            self._in_hand = 0
            self.counts.undelivered += left
        if thread is not None and not left:
            thread.join(self._bounds.close_s)
        self._connections.close()

    def _has_work(self) -> bool:
        return bool(self._queue or self._in_hand)

    def _run(self) -> None:
        while True:
            batch = self._next_batch()
            if not batch:
                return
            for body, count in bodies(batch):
                self._deliver(body, count)

    def _next_batch(self) -> list[Item]:
        """Return what to send; nothing when closed."""
        bounds = self._bounds
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._is_closed)
            self._changed.wait_for(
                lambda: (
                    len(self._queue) >= bounds.batch_entries_max
                    or self._is_flushing
                    or self._is_closed
                ),
                bounds.batch_s,
            )
            batch: list[Item] = []
            while self._queue and len(batch) < bounds.batch_entries_max:
                item, size = self._queue.popleft()
                self._queued_bytes -= size
                batch.append(item)
            self._in_hand = len(batch)
            return batch

    def _deliver(self, body: bytes, count: int) -> None:
        attempt = 0
        while not self._is_closed:
            flushes = self._flushes
            error = self._attempt(body)
            with self._changed:
                if error is None or not error.is_worth_repeating:
                    self._done(count, error)
                    return
                attempt += 1
                self.last_error = error
                self.counts.failed_attempts += 1
                self._changed.notify_all()
                self._changed.wait_for(
                    # A flush cuts one pause short, not all of them.
                    partial(self._is_over, flushes),
                    backoff_s(attempt, asked_s=error.retry_after_s),
                )

    def _is_over(self, flushes: int) -> bool:
        return self._is_closed or self._flushes != flushes

    def _attempt(self, body: bytes) -> RequestFailed | None:
        try:
            self._connections.request("POST", PUSH, body=body, headers=JSON_HEADERS)
        except RequestFailed as error:
            return error
        except Exception as error:  # noqa: BLE001  # the thread goes on whatever it is
            return RequestFailed(f"{type(error).__name__}: {error}", status=400)
        return None

    def _done(self, count: int, error: RequestFailed | None) -> None:
        if self._is_closed:
            return  # counted as undelivered already
        if error is None:
            self.counts.sent += count
        else:
            self.last_error = error
            self.counts.refused += count
        self._in_hand -= count
        self._changed.notify_all()
