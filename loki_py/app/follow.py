"""Show a log query's entries as they come; a broken connection is made anew."""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import msgspec

from loki_py.app.ask import QUERY_RANGE, LogAsk, now_ns
from loki_py.app.http_client import (
    BACKOFF_S_MAX,
    BACKOFF_S_MIN,
    TIMEOUT_S,
    LokiClient,
    RequestFailed,
    path_of,
    tls_of,
)
from loki_py.app.paging import Ask, Row, Stream, pages, rows_of
from loki_py.app.printing import Look, lines_of, notes_of, print_labels
from loki_py.app.resume import Shown

TAIL = "/loki/api/v1/tail"
FAILURES_MAX = 10
"""Connections in a row that may fail before we give up."""

RESUME_LIMIT = 5_000
RESUME_BATCH = 1_000
FRAME_BYTES_MAX = 64 << 20
ONLY_SELECTORS = "only log selector is supported"
REACHED_DURATION = "reached tail max duration limit"
_RETRIED = {0, 429, 500, 502, 503, 504}


class _Dropped(msgspec.Struct):
    timestamp: str
    labels: dict[str, str]


class _Frame(msgspec.Struct):
    streams: list[Stream] = []
    dropped_entries: list[_Dropped] = []


class _Answer(msgspec.Struct):
    class _Data(msgspec.Struct):
        result: list[Stream]

    data: _Data


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


class Follower:
    """Follows one query and prints what comes, until it is interrupted.

    Args:
        quiet: say nothing beside the entries.
    """

    def __init__(self, client: LokiClient, look: Look, *, quiet: bool) -> None:
        self._client = client
        self._look = look
        self._quiet = quiet

    def follow(self, asked: FollowAsk) -> None:
        """Print entries as they come.

        Raises: RequestFailed where the server refuses, or stays away.
        """
        shown = Shown(asked.start_ns)
        for note in notes_of(self._look, ()):
            self._note(note)
        failures = 0
        while True:
            began_s = time.monotonic()
            try:
                for frame in self._frames(asked):
                    self._show(shown.fresh(rows_in(frame)))
                    self._tell_dropped(frame)
            except RequestFailed as failed:
                if failed.status not in _RETRIED:
                    raise
                lasted = time.monotonic() - began_s > BACKOFF_S_MAX
                failures = 1 if lasted else failures + 1
                if failures > FAILURES_MAX:
                    raise
                self._note(f"{failed}; connecting again")
                time.sleep(min(BACKOFF_S_MIN * 2 ** (failures - 1), BACKOFF_S_MAX))
            asked = self._resumed(asked, shown)

    def _resumed(self, asked: FollowAsk, shown: Shown) -> FollowAsk:
        """Show what came in between, however much; return what to follow then."""
        if not len(shown):
            return asked
        start_ns = shown.interrupt()
        try:
            for rows in self._between(asked.query, start_ns):
                self._show(shown.fresh(rows))
        except RequestFailed as failed:
            if failed.status not in _RETRIED:
                raise
        return replace(asked, start_ns=shown.interrupt(), limit=RESUME_LIMIT)

    def _between(self, query: str, start_ns: int) -> Iterator[list[Row]]:
        end_ns = now_ns()
        asked = LogAsk(query, start_ns, end_ns, 0, RESUME_BATCH, forward=True)

        def fetch(ask: Ask) -> list[Stream]:
            body = self._client.get(QUERY_RANGE, asked.params(ask))
            return msgspec.json.decode(body, type=_Answer).data.result

        return pages(
            fetch,
            start_ns=start_ns,
            end_ns=end_ns,
            limit=0,
            batch=RESUME_BATCH,
            forward=True,
        )

    def _frames(self, asked: FollowAsk) -> Iterator[_Frame]:
        """Yield the frames of one connection.

        Raises: RequestFailed at its end, unless it had its full time.
        """
        from websockets.exceptions import ConnectionClosed  # noqa: PLC0415

        with self._connected(asked) as connection:
            while True:
                try:
                    yield msgspec.json.decode(connection.recv(), type=_Frame)
                except ConnectionClosed as closed:
                    reason = closed.rcvd.reason if closed.rcvd else "connection lost"
                    if reason == REACHED_DURATION:
                        return
                    status = 400 if reason == ONLY_SELECTORS else 0
                    raise RequestFailed(
                        f"closed by the server: {reason}", status=status
                    ) from None

    def _connected(self, asked: FollowAsk) -> Any:
        from websockets.exceptions import (  # noqa: PLC0415
            InvalidHandshake,
            InvalidStatus,
        )
        from websockets.sync.client import connect  # noqa: PLC0415

        target = self._client.target
        params = [
            ("query", asked.query),
            ("delay_for", str(asked.delay_s)),
            ("limit", str(asked.limit)),
            ("start", str(asked.start_ns)),
        ]
        address = urlsplit(target.address)
        if address.scheme not in {"http", "https"} or not address.hostname:
            raise RequestFailed(f"not an http address: {target.address}", status=400)
        self._note(self._client.url_of(TAIL, params))
        scheme = "wss" if address.scheme == "https" else "ws"
        place = f"{scheme}://{address.netloc}{address.path.rstrip('/')}"
        try:
            return connect(
                place + path_of(TAIL, params),
                additional_headers=target.headers(),
                user_agent_header=None,
                ssl=tls_of(target) if scheme == "wss" else None,
                max_size=FRAME_BYTES_MAX,
                open_timeout=TIMEOUT_S,
            )
        except InvalidStatus as refused:
            text = (refused.response.body or b"").decode("utf-8", "replace").strip()
            status = refused.response.status_code
            raise RequestFailed(
                f"error response from server: {text} ({status})", status=status
            ) from None
        except (OSError, InvalidHandshake) as error:
            raise RequestFailed(
                f"no answer from {target.address}: {error or type(error).__name__}"
            ) from None

    def _show(self, rows: list[Row]) -> None:
        for line in lines_of(rows, self._look, ()):
            sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    def _tell_dropped(self, frame: _Frame) -> None:
        for entry in frame.dropped_entries:
            labels = print_labels(tuple(sorted(entry.labels.items())))
            self._note(
                f"dropped by the server, we are slow: {entry.timestamp} {labels}"
            )

    def _note(self, text: str) -> None:
        if not self._quiet:
            print(text, file=sys.stderr)


def rows_in(frame: _Frame) -> list[Row]:
    """Return the entries of a frame in the order of the server."""
    return [row for stream in frame.streams for row in rows_of([stream], forward=True)]
