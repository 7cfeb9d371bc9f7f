"""A handler for `logging` that never makes the program wait."""

import logging
import os
import sys
from collections.abc import Callable, Mapping
from typing import TypeAlias

from loki_py.client.bodies import key_of
from loki_py.client.connection import Server
from loki_py.client.delivery import Bounds, Counts, Delivery

Metadata: TypeAlias = Callable[[logging.LogRecord], Mapping[str, str]]

TIMEOUT_S = 10.0
_RECORD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "taskName",
}


def metadata_of(record: logging.LogRecord) -> dict[str, str]:
    """Return level, logger and whatever the caller gave as `extra`, as text."""
    found = {"level": record.levelname.lower(), "logger": record.name}
    for name, value in vars(record).items():
        if name not in _RECORD_FIELDS and value is not None:
            found[name] = str(value)
    return found


class LokiHandler(logging.Handler):
    """Sends records to a store, in batches, from a thread of its own.

        logging.getLogger().addHandler(
            LokiHandler("http://127.0.0.1:3100", {"service_name": "shop"})
        )

    Logging never waits and never raises: records that do not fit into the bounded
    queue are left out, and `counts` says how many. Batches that the store did not
    take are sent again with growing pauses; one that it calls wrong is left out.
    `flush`, `close` and the end of the program wait for the store, for a bounded
    time. After a fork the child has a queue of its own.

    Every record is stored: of equal ones in the same microsecond each later one is
    a nanosecond younger.
    """

    def __init__(
        self,
        url: str,
        labels: Mapping[str, str],
        *,
        tenant: str | None = None,
        token: str | None = None,
        auth: tuple[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        ca_file: str | None = None,
        timeout_s: float = TIMEOUT_S,
        metadata: Metadata = metadata_of,
        bounds: Bounds = Bounds(),  # noqa: B008  # frozen
        level: int | str = logging.NOTSET,
    ) -> None:
        """Connect with the first record.

        Args:
            labels: of the stream; few and fixed, what varies is metadata.
            metadata: structured metadata of a record.

        The other arguments are those of `Client`.
        """
        super().__init__(level)
        if not labels:
            raise ValueError("a stream has one label at least")
        # A pair from a configuration file is a list.
        self._server = Server(
            url=url,
            tenant=tenant,
            token=token,
            auth=None if auth is None else (auth[0], auth[1]),
            headers=headers or {},
            ca_file=ca_file,
            timeout_s=timeout_s,
        )
        self._key = key_of(labels)
        self._metadata = metadata
        self._bounds = bounds
        self._newest_ns = 0
        self._start_delivery()

    def _start_delivery(self) -> None:
        self._pid = os.getpid()
        self._delivery = Delivery(self._server, self._bounds)
        self._has_told = False

    @property
    def counts(self) -> Counts:
        """What became of this process's records so far."""
        return self._delivery.counts

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record."""
        try:
            if os.getpid() != self._pid:
                # The thread stayed with the parent, and so did what it has to send.
                self._start_delivery()
            line = _storable(self.format(record))
            metadata = {
                name: _storable(value) for name, value in self._metadata(record).items()
            }
            stamp = str(self._timestamp_ns(record))
            self._delivery.offer((self._key, (stamp, line, metadata)))
            self._tell_once()
        except Exception:  # noqa: BLE001  # a program does not fail for its log
            self.handleError(record)

    def flush(self) -> None:
        """Send what is queued; return after a bounded time."""
        if os.getpid() == self._pid:
            self._delivery.flush()

    def close(self) -> None:
        """Flush and stop; records that come later are dropped and counted."""
        if os.getpid() == self._pid:
            self._delivery.close()
            self._tell_once()
        super().close()

    def _timestamp_ns(self, record: logging.LogRecord) -> int:
        created_ns = round(record.created * 1_000_000) * 1000
        self._newest_ns = max(created_ns, self._newest_ns + 1)
        return self._newest_ns

    def _tell_once(self) -> None:
        """Say on standard error, once, that records are lost, and why."""
        counts = self._delivery.counts
        lost = counts.dropped + counts.refused + counts.undelivered
        if not lost or self._has_told or not logging.raiseExceptions:
            return
        self._has_told = True
        why = self._delivery.last_error or "they come faster than they are sent"
        if sys.stderr is not None:
            sys.stderr.write(f"loki_py: log records are lost: {why}\n")


def _storable(text: str) -> str:
    """Return text that UTF-8 has: half characters become question marks."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text
