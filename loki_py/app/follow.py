"""Show a log query's entries as they come; a broken connection is made anew."""

import asyncio
import sys
from dataclasses import dataclass
from typing import Protocol

from loki_py.app.http_client import LokiClient
from loki_py.app.printing import Look, Row, lines_of, notes_of, print_labels, rows_of
from loki_py.client.answers import DroppedEntry
from loki_py.client.tail import TAIL, Tail


@dataclass(frozen=True, slots=True)
class FollowAsk:
    """What to follow.

    Attributes:
        limit: entries from before, at most.
        delay_s: how long the server holds entries back to put them in order.
    """

    query: str
    start_ns: int
    limit: int
    delay_s: int = 0


class Screen(Protocol):
    """Where entries and what is said beside them are shown."""

    def show(self, rows: list[Row]) -> None:
        """Show entries, in the order of the server."""
        ...

    def note(self, text: str) -> None:
        """Show what happened to the tail itself."""
        ...

    def drop(self, dropped: list[DroppedEntry]) -> None:
        """Show that the server left entries out."""
        ...


class Printer:
    """Entries line by line on standard output, the rest on standard error.

    Args:
        quiet: say nothing beside the entries.
    """

    def __init__(self, look: Look, *, quiet: bool) -> None:
        self._look = look
        self._quiet = quiet
        for note in notes_of(look, ()):
            self.note(note)

    def show(self, rows: list[Row]) -> None:
        """Print entries."""
        for line in lines_of(rows, self._look, ()):
            sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    def note(self, text: str) -> None:
        """Print, unless quiet."""
        if not self._quiet:
            print(text, file=sys.stderr)

    def drop(self, dropped: list[DroppedEntry]) -> None:
        """Tell each entry that is missing."""
        for entry in dropped:
            labels = print_labels(tuple(sorted(entry.labels.items())))
            self.note(f"dropped by the server, we are slow: {entry.timestamp} {labels}")


def follow(client: LokiClient, asked: FollowAsk, screen: Screen) -> None:
    """Show entries as they come, until interrupted.

    Raises: RequestFailed where the server refuses, or stays away.
    """
    asyncio.run(_follow(client, asked, screen))


async def _follow(client: LokiClient, asked: FollowAsk, screen: Screen) -> None:
    tail = Tail(
        client.server,
        asked.query,
        start_ns=asked.start_ns,
        delay_s=asked.delay_s,
        limit=asked.limit,
        told=screen.note,
    )
    screen.note(client.url_of(TAIL, tail.params()))
    async with tail:
        async for frame in tail.frames():
            screen.show(rows_of(frame.rows))
            if frame.dropped:
                screen.drop(frame.dropped)
