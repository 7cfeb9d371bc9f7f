"""Follow a log query over a websocket; a lost connection is taken up again.

After an interruption the new connection comes first; once it is known to follow,
all that came meanwhile is asked for, page after page, with the last moments before
it, and what was given already is left out. So nothing misses, however much it was,
and nothing comes twice.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self
from urllib.parse import urlencode

from loki_py.client.answers import (
    CATEGORIZED,
    DroppedEntry,
    Rows,
    decode_rows,
    decode_tail_frame,
)
from loki_py.client.connection import (
    BACKOFF_S_MAX,
    Connections,
    RequestFailed,
    Server,
    backoff_s,
    reason_of,
)
from loki_py.client.entries import NS_PER_S, Entry
from loki_py.client.frames import Entries
from loki_py.client.paging import Page, pages
from loki_py.client.resume import OVERLAP_NS, Overlap

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection
    from websockets.exceptions import ConnectionClosed

TAIL = "/loki/api/v1/tail"
QUERY_RANGE = "/loki/api/v1/query_range"
MISSED_PAGE_ENTRIES = 1000
AHEAD_NS = 600 * NS_PER_S
"""What was missed may have times so far ahead of ours, as stores take them."""

FRAME_BYTES_MAX = 64 << 20
RECONNECTS_MAX = 8
"""Connections in a row that fail before the last failure is raised."""

REACHED_DURATION = "reached tail max duration limit"
_REFUSALS = ("only log selector is supported",)
_REFUSING_CODES = {1002, 1003, 1007, 1008, 1009, 1010}
_TRY_AGAIN = 0


@dataclass(frozen=True, slots=True)
class Frame:
    """Some entries of a tail, and what the store left out before them."""

    rows: Rows
    dropped: list[DroppedEntry]


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
        self,
        server: Server,
        query: str,
        *,
        start_ns: int,
        delay_s: int,
        limit: int,
        told: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Connect when first iterated.

        Args:
            told: is told of interruptions.
        """
        self._server = server
        self._query = query
        self._start_ns = start_ns
        self._delay_s = delay_s
        self._limit = limit
        self._told = told
        self._overlap = Overlap()
        self._opened_ns: int | None = None
        self._missed_from_ns: int | None = None
        self._connection: ClientConnection | None = None
        self._closed = asyncio.Event()
        self._frames = self._run()
        self._entries = self._iterate()
        self.dropped_count = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __aiter__(self) -> AsyncIterator[Entry]:
        return self._entries

    def frames(self) -> AsyncIterator[Frame]:
        """Return the same, as it comes: many entries at once."""
        return self._frames

    async def close(self) -> None:
        """End the iteration."""
        self._closed.set()
        if self._connection is not None:
            await self._connection.close()
        # Where another task waits for the next entry, its iteration ends by itself.
        with contextlib.suppress(RuntimeError):
            await self._entries.aclose()
            await self._frames.aclose()

    async def _iterate(self) -> AsyncGenerator[Entry, None]:
        async for frame in self._frames:
            for entry in Entries(frame.rows):
                yield entry

    async def _run(self) -> AsyncGenerator[Frame, None]:
        from websockets.exceptions import ConnectionClosed  # noqa: PLC0415

        failures = 0
        while not self._closed.is_set():
            failures += 1
            began_s = time.monotonic()
            try:
                async with contextlib.aclosing(self._connected()) as frames:
                    async for frame in frames:
                        failures = 0
                        yield frame
                ended = RequestFailed(f"{self._server.url} closed the connection")
            except ConnectionClosed as closed:
                ended = self._failure_of(closed)
            except RequestFailed as failed:
                ended = failed
            if self._closed.is_set():
                return
            if not ended.is_worth_repeating or failures > RECONNECTS_MAX:
                raise ended
            if time.monotonic() - began_s > BACKOFF_S_MAX:
                failures = 0  # it was of use, though nothing was logged
            await self._interrupted(ended, failures)

    async def _interrupted(self, ended: RequestFailed, failures: int) -> None:
        """Say why the connection ended, and wait before the next."""
        given_ns = self._overlap.interrupt()
        if given_ns is not None:
            self._start_ns = self._missed_from_ns = given_ns
        elif self._opened_ns is not None:
            self._missed_from_ns = max(self._start_ns, self._opened_ns - OVERLAP_NS)
        if REACHED_DURATION in str(ended) and not failures:
            return
        self._told(f"{ended}; connecting again")
        pause_s = backoff_s(
            failures + 1, asked_s=ended.retry_after_s, backoff=self._server.backoff
        )
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closed.wait(), pause_s)

    async def _connected(self) -> AsyncGenerator[Frame, None]:
        """Yield the frames of one connection, before them what was missed."""
        self._connection = await self._connect()
        self._opened_ns = self._opened_ns or time.time_ns()
        async with self._connection as connection:
            async for told in connection:
                rows, dropped = decode_tail_frame(told)
                if self._missed_from_ns is not None:
                    # This frame has what was there before: the tail follows now.
                    async for missed in self._missed(self._missed_from_ns):
                        yield Frame(missed, [])
                    self._overlap.interrupt()
                    self._missed_from_ns = None
                self.dropped_count += len(dropped)
                yield Frame(self._overlap.fresh(rows), dropped)

    async def _missed(self, start_ns: int) -> AsyncIterator[Rows]:
        """Yield what came since then, without what was given.

        Raises: RequestFailed.
        """
        connections = Connections(self._server)

        def fetch(page: Page) -> Rows:
            path = f"{QUERY_RANGE}?{urlencode(page.params(self._query))}"
            body = connections.request("GET", path, headers=CATEGORIZED)
            return decode_rows(body, forward=True)

        end_ns = time.time_ns() + AHEAD_NS
        whole = Page(start_ns, end_ns, MISSED_PAGE_ENTRIES, forward=True)
        found = pages(fetch, whole, entries_max=None)
        with contextlib.closing(connections):
            try:
                rows = await asyncio.to_thread(next, found, None)
            except RequestFailed as failed:
                if failed.status != 400 or self._limit >= MISSED_PAGE_ENTRIES:
                    raise
                # This tenant may not have as many at once; so many it may.
                whole = replace(whole, limit=self._limit)
                found = pages(fetch, whole, entries_max=None)
                rows = await asyncio.to_thread(next, found, None)
            while rows is not None:
                yield self._overlap.fresh(rows)
                rows = await asyncio.to_thread(next, found, None)

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
                proxy=self._server.proxy,
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
                f"no answer from {self._server.url}: {reason_of(error)}"
            ) from error

    def params(self) -> list[tuple[str, str]]:
        """Return what the next connection asks for."""
        return [
            ("query", self._query),
            ("start", str(self._start_ns)),
            ("delay_for", str(self._delay_s)),
            ("limit", str(self._limit)),
        ]

    def _url(self) -> str:
        base = self._server.url.rstrip("/").replace("http", "ws", 1)
        return f"{base}{TAIL}?{urlencode(self.params())}"

    def _failure_of(self, closed: "ConnectionClosed") -> RequestFailed:
        """Return why the connection ended, and whether asking again may help.

        1011 says that something went wrong there, be it that we were slow or that a
        ping was not answered in time: all but what is known to be final.
        """
        told = closed.rcvd
        if told is None:
            return RequestFailed(f"the connection to {self._server.url} was lost")
        is_final = told.code in _REFUSING_CODES or told.reason in _REFUSALS
        return RequestFailed(
            f"{self._server.url} closed the connection: {told.reason or told.code}",
            status=400 if is_final else _TRY_AGAIN,
        )
