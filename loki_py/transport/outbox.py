"""Partial results on their way from the threads that make them into messages."""

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

from loki_py.errors import Unavailable
from loki_py.transport.partials import Partial, Told, encode_partial
from loki_py.transport.read_unit import GivenUp
from loki_py.wire.messages import MapAnswered, encode_message

ANSWER_BYTES = 1 << 20
"""Partial results are sent when there is so much of them."""

WAITING_BYTES_MAX = 16 << 20
"""Messages that wait to be sent; beyond, the threads that make them wait too."""

STALLED_S = 5.0
"""How long threads wait without any message being taken, before they give up."""

SIGN_S = 0.5
"""After a silence of that length an empty message says that work goes on."""


class ReaderStalled(Unavailable):
    """Whoever asked takes no messages."""


class Collected:
    """Partial results that are in no message yet.

    Attributes:
        size_bytes: of their payload.
    """

    def __init__(self) -> None:
        self.size_bytes = 0
        self._partials: list[Told] = []
        self._payload: list[Any] = []

    def add(self, header: Told, pieces: Sequence[Any]) -> None:
        """Take one piece of a partial result, encoded."""
        self._partials.append(header)
        self._payload += pieces
        self.size_bytes += sum(map(len, pieces))

    def message(self, stats: dict[str, int]) -> bytes:
        """Return what was taken and is in no message yet."""
        message = encode_message(MapAnswered(self._partials, stats), self._payload)
        self._partials, self._payload, self.size_bytes = [], [], 0
        return message


class Advance:
    """What is told before it is asked for: one message, or nothing."""

    def __init__(self, *, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._held = Collected()

    def take(self, partial: Partial) -> None:
        """Take a partial result; on any thread, one call at a time.

        Raises: GivenUp where there is too much of them.
        """
        for header, pieces in encode_partial(partial):
            self._held.add(header, pieces)
            if self._held.size_bytes > self._bytes_max:
                raise GivenUp(
                    f"answer has {self._held.size_bytes} bytes; limit is "
                    f"{self._bytes_max}"
                )

    def message(self, stats: dict[str, int]) -> bytes:
        """Return everything."""
        return self._held.message(stats)


class Outbox:
    """What one call is answered with. Made on the loop that sends it.

    Whoever makes messages faster than they are sent waits, on its own thread. On
    the loop's thread nobody waits: what is told there must be little.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        sign_s: float = SIGN_S,
        answer_bytes: int = ANSWER_BYTES,
        waiting_bytes_max: int = WAITING_BYTES_MAX,
        stalled_s: float = STALLED_S,
    ) -> None:
        self._loop = loop
        self._loop_thread = threading.get_ident()
        self._sign_s = sign_s
        self._answer_bytes = answer_bytes
        self._waiting_bytes_max = waiting_bytes_max
        self._stalled_s = stalled_s
        self._messages: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._held = Collected()
        self._changed = threading.Condition()
        self._waiting_bytes = 0
        self._sent_count = 0
        self._closed = False

    def take(self, partial: Partial) -> None:
        """Take a partial result; on any thread, one call at a time. May block.

        Raises: ReaderStalled.
        """
        for header, pieces in encode_partial(partial):
            self._held.add(header, pieces)
            if self._held.size_bytes > self._answer_bytes:
                self._put(self._held.message({}))

    def end(self, _work: "asyncio.Future[Any]") -> None:
        """Have `next` return None once it has returned what was there."""
        self._messages.put_nowait(None)

    def close(self) -> None:
        """Have nobody wait any more; what is taken from now on is dropped."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    async def next(self) -> bytes | None:
        """Return the next message, None at the end; soon, whatever the work takes."""
        try:
            message = await asyncio.wait_for(self._messages.get(), self._sign_s)
        except TimeoutError:
            return encode_message(MapAnswered([]))
        if message is not None:
            with self._changed:
                self._waiting_bytes -= len(message)
                self._sent_count += 1
                self._changed.notify_all()
        return message

    def last(self, stats: dict[str, int]) -> bytes:
        """Return what was taken and is in no message yet."""
        return self._held.message(stats)

    def _put(self, message: bytes) -> None:
        with self._changed:
            if threading.get_ident() != self._loop_thread:
                self._wait_for_room(len(message))
            if self._closed:
                return
            self._waiting_bytes += len(message)
        self._loop.call_soon_threadsafe(self._messages.put_nowait, message)

    def _wait_for_room(self, size_bytes: int) -> None:
        """Return when a message fits in; one does, whatever its size. Blocking.

        Raises: ReaderStalled.
        """
        while not self._closed and self._waiting_bytes:
            if self._waiting_bytes + size_bytes <= self._waiting_bytes_max:
                return
            sent_count = self._sent_count
            self._changed.wait(self._stalled_s)
            if sent_count == self._sent_count and not self._closed:
                raise ReaderStalled(
                    f"{self._waiting_bytes} bytes of an answer wait, and for "
                    f"{self._stalled_s} s none was taken"
                )
