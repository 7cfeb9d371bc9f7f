"""Follow a log query over a websocket; a lost connection is taken up again.

After an interruption the last moments are asked for once more, and what was given
already is left out, so that entries that came late are not lost.
"""

import asyncio
import contextlib
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, AsyncIterator, Hashable, Iterator
from typing import TYPE_CHECKING, Self
from urllib.parse import urlencode

from loki_py.client.answers import CATEGORIZED, decode_tail_frame
from loki_py.client.bodies import key_of
from loki_py.client.connection import (
    BACKOFF_S_MAX,
    RequestFailed,
    Server,
    backoff_s,
)
from loki_py.client.entries import NS_PER_S, Entry
from loki_py.client.frames import Entries

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection
    from websockets.exceptions import ConnectionClosed

TAIL = "/loki/api/v1/tail"
OVERLAP_NS = 5 * NS_PER_S
OVERLAP_ENTRIES_MAX = 10_000
RESUME_LIMIT = 5000
"""Entries at most that are asked for again, with those that came meanwhile."""

FRAME_BYTES_MAX = 64 << 20
RECONNECTS_MAX = 8
"""Connections in a row that fail before the last failure is raised."""

_RESUMED = ("reached tail max duration limit", "slow reader")
_PROTOCOL_CLOSES = {1002, 1003, 1007, 1008, 1009, 1010, 1011}


class Overlap:
    """The entries of the last moments, so that none is given twice."""

    def __init__(self) -> None:
        self._held: deque[tuple[int, Hashable]] = deque()
        self._newest_ns = 0
        self._repeats: Counter[Hashable] = Counter()

    def is_new(self, entry: Entry) -> bool:
        """Note an entry; say whether it was not given before the interruption."""
        identity = (
            entry.timestamp_ns,
            key_of(entry.labels),
            entry.line,
            key_of(entry.metadata),
        )
        if self._repeats[identity] > 0:
            self._repeats[identity] -= 1
            return False
        self._held.append((entry.timestamp_ns, identity))
        self._newest_ns = max(self._newest_ns, entry.timestamp_ns)
        oldest_ns = self._newest_ns - OVERLAP_NS
        while self._held and (
            self._held[0][0] < oldest_ns or len(self._held) > OVERLAP_ENTRIES_MAX
        ):
            self._held.popleft()
        return True

    def interrupt(self) -> int | None:
        """Return where to go on; None where nothing was given yet."""
        self._repeats = Counter(identity for _, identity in self._held)
        return min((held_ns for held_ns, _ in self._held), default=None)


class Tail:
    """The entries of a log query as they come.

        async for entry in client.tail('{app="shop"}'):
            ...

    Iteration ends with `close`, or raises RequestFailed where the store refuses
    the query or cannot be reached for long. Who iterates slowly makes the store
    leave entries out; it says how many.

    Attributes:
        dropped_count: entries that the store left out.
    """

    def __init__(
        self, server: Server, query: str, *, start_ns: int, delay_s: int, limit: int
    ) -> None:
        self._server = server
        self._query = query
        self._start_ns = start_ns
        self._delay_s = delay_s
        self._limit = self._limit_asked = limit
        self._overlap = Overlap()
        self._connection: ClientConnection | None = None
        self._closed = asyncio.Event()
        self._entries = self._run()
        self.dropped_count = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __aiter__(self) -> AsyncIterator[Entry]:
        return self._entries

    async def close(self) -> None:
        """End the iteration."""
        self._closed.set()
        if self._connection is not None:
            await self._connection.close()
        # Where another task waits for the next entry, its iteration ends by itself.
        with contextlib.suppress(RuntimeError):
            await self._entries.aclose()

    async def _run(self) -> AsyncGenerator[Entry, None]:
        from websockets.exceptions import ConnectionClosed  # noqa: PLC0415

        failures = 0
        while not self._closed.is_set():
            failures += 1
            began_s = time.monotonic()
            try:
                self._connection = await self._connect()
                async with self._connection as connection:
                    async for frame in connection:
                        failures = 0
                        for entry in self._entries_of(frame):
                            yield entry
            except ConnectionClosed as closed:
                refusal = self._refusal_in(closed)
                if refusal is not None:
                    raise refusal from closed
            except RequestFailed as failed:
                if failed.status == 400 and self._limit != self._limit_asked:
                    self._limit = self._limit_asked  # this tenant may not have more
                    continue
                if not failed.is_worth_repeating or failures > RECONNECTS_MAX:
                    raise
            if time.monotonic() - began_s > BACKOFF_S_MAX:
                failures = 0  # it was of use, though nothing was logged
            self._resume()
            with contextlib.suppress(TimeoutError):
                pause_s = backoff_s(failures + 1)
                await asyncio.wait_for(self._closed.wait(), pause_s)

    async def _connect(self) -> "ClientConnection":
        from websockets.asyncio.client import connect  # noqa: PLC0415
        from websockets.exceptions import (  # noqa: PLC0415
            InvalidHandshake,
            InvalidStatus,
        )

        try:
            return await connect(
                self._url(),
                additional_headers=self._server.sent_headers() | CATEGORIZED,
                user_agent_header=None,
                ssl=self._server.tls(),
                max_size=FRAME_BYTES_MAX,
                open_timeout=self._server.timeout_s,
            )
        except InvalidStatus as refused:
            text = (refused.response.body or b"").decode("utf-8", "replace").strip()
            status = refused.response.status_code
            raise RequestFailed(
                f"{self._server.url} answered {status}: {text}", status=status
            ) from refused
        except (OSError, InvalidHandshake) as error:
            raise RequestFailed(
                f"no answer from {self._server.url}: {error or type(error).__name__}"
            ) from error

    def _url(self) -> str:
        params = {
            "query": self._query,
            "start": self._start_ns,
            "delay_for": self._delay_s,
            "limit": self._limit,
        }
        base = self._server.url.rstrip("/").replace("http", "ws", 1)
        return f"{base}{TAIL}?{urlencode(params)}"

    def _entries_of(self, frame: str | bytes) -> Iterator[Entry]:
        rows, dropped = decode_tail_frame(frame)
        self.dropped_count += dropped
        for entry in Entries(rows):
            if self._overlap.is_new(entry):
                yield entry

    def _resume(self) -> None:
        start_ns = self._overlap.interrupt()
        if start_ns is not None:
            self._start_ns = start_ns
            self._limit = max(self._limit, RESUME_LIMIT)

    def _refusal_in(self, closed: "ConnectionClosed") -> RequestFailed | None:
        """Return why asking again is of no use; None where it is."""
        told = closed.rcvd
        if told is None or told.code not in _PROTOCOL_CLOSES:
            return None
        if told.reason.startswith(_RESUMED):
            return None
        return RequestFailed(f"{self._server.url} closed: {told.reason}", status=400)
