"""Partial results on their way from the threads that make them into messages."""

import asyncio
from typing import Any

from loki_py.transport.partials import Partial, Told, encode_partial
from loki_py.wire.messages import MapAnswered, encode_message

ANSWER_BYTES = 1 << 20
"""Partial results are sent when there is so much of them."""

SIGN_S = 0.5
"""After a silence of that length an empty message says that work goes on."""


class Outbox:
    """What one call is answered with. Made on the loop that sends it.

    Attributes:
        sent_count: messages that were made because there was enough for one.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        sign_s: float = SIGN_S,
        answer_bytes: int = ANSWER_BYTES,
    ) -> None:
        self.sent_count = 0
        self._loop = loop
        self._sign_s = sign_s
        self._answer_bytes = answer_bytes
        self._messages: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._partials: list[Told] = []
        self._payload: list[Any] = []
        self._size = 0

    def take(self, partial: Partial) -> None:
        """Take a partial result; on any thread, one call at a time."""
        for header, pieces in encode_partial(partial):
            self._partials.append(header)
            self._payload += pieces
            self._size += sum(map(len, pieces))
            if self._size > self._answer_bytes:
                self.sent_count += 1
                message = self.last({})
                self._loop.call_soon_threadsafe(self._messages.put_nowait, message)

    def end(self, _work: "asyncio.Future[Any]") -> None:
        """Have `next` return None once it has returned what was there."""
        self._messages.put_nowait(None)

    async def next(self) -> bytes | None:
        """Return the next message, None at the end; soon, whatever the work takes."""
        try:
            return await asyncio.wait_for(self._messages.get(), self._sign_s)
        except TimeoutError:
            return encode_message(MapAnswered([]))

    def last(self, stats: dict[str, int]) -> bytes:
        """Return what was taken and is in no message yet."""
        message = encode_message(MapAnswered(self._partials, stats), self._payload)
        self._partials, self._payload, self._size = [], [], 0
        return message
