"""The HTTP side of a connection, with an end for who sends nothing more."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from loki_py.config.units import NS_PER_S
from loki_py.runtime.logs import Throttle, logger_of

_log = logger_of("server")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the connections of one server wait for a request to be whole.

    Attributes:
        read_s_max: from its first byte to the last of its body.
    """

    read_s_max: float
    throttle: Throttle = field(default_factory=Throttle)


class HttpProtocol(HttpToolsProtocol):
    """A connection that is closed where a request does not come to its end.

    A request must be whole within the read time, however steadily it drips; a
    connection without one is closed after the idle time. While we take nothing
    from the connection ourselves, its client is not to blame.
    """

    _ending: asyncio.TimerHandle | None = None

    def __init__(self, patience: Patience, **settings: Any) -> None:
        super().__init__(**settings)
        self._patience = patience

    def connection_made(self, transport: Any) -> None:
        """Wait for the first request."""
        super().connection_made(transport)
        self._end_after(self.timeout_keep_alive, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._end_never()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Wait for the rest of a request."""
        self._end_after(self._patience.read_s_max, self._give_up)
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """Wait for nothing: the client waits for us."""
        self._end_never()
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """Leave the connection to who speaks websocket."""
        self._end_never()
        super().handle_websocket_upgrade()

    def _give_up(self) -> None:
        """Close without an answer: who resends what broke off loses nothing."""
        patience = self._patience
        if self.flow.read_paused:
            self._end_after(patience.read_s_max, self._give_up)
            return
        not_told = patience.throttle.take(int(self.loop.time() * NS_PER_S))
        if not_told is not None:
            _log.info(
                "request given up: not whole in time",
                client=self.client[0] if self.client else "",
                seconds_max=patience.read_s_max,
                not_told=not_told,
            )
        self.transport.abort()

    def _end_after(self, seconds: float, end: Callable[[], None]) -> None:
        self._end_never()
        self._ending = self.loop.call_later(seconds, end)

    def _end_never(self) -> None:
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None
