"""The HTTP side of a connection, with an end for who sends or takes nothing more."""

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
    """How long the connections of one server wait for their clients.

    Attributes:
        read_s_max: for a request to be whole, from its first byte to the last of
            its body.
        write_s_max: for what waits to be sent to be taken.
    """

    read_s_max: float
    write_s_max: float
    throttle: Throttle = field(default_factory=Throttle)


class HttpProtocol(HttpToolsProtocol):
    """A connection that is closed where a request or an answer does not go on.

    A request must be whole within the read time, however steadily it drips; a
    connection without one is closed after the idle time. While we take nothing
    from the connection ourselves, its client is not to blame.
    """

    _ending: asyncio.TimerHandle | None = None
    _stuck: asyncio.TimerHandle | None = None

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
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Go on waiting for a request where what came was no part of one.

        Line ends between requests are such, and the rest of a body whose answer
        is out already.
        """
        super().data_received(data)
        if self._ending is None and self._waits_for_a_request:
            self._end_after(self.timeout_keep_alive, self.transport.abort)

    def on_message_begin(self) -> None:
        """Wait for the rest of a request."""
        self._end_after(self._patience.read_s_max, self._request_is_late)
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """Wait for nothing: the client waits for us."""
        self._end_never()
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """Leave the connection to who speaks websocket."""
        self._end_never()
        super().handle_websocket_upgrade()

    def pause_writing(self) -> None:
        """Wait until the client has taken what it was sent."""
        super().pause_writing()
        seconds = self._patience.write_s_max
        self._stuck = self.loop.call_later(
            seconds, self._give_up, "answer given up: not taken in time", seconds
        )

    def resume_writing(self) -> None:
        """Go on: the client has taken enough."""
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None
        super().resume_writing()

    @property
    def _waits_for_a_request(self) -> bool:
        """Return whether none is at work, and the connection is still ours."""
        is_at_work = self.cycle is not None and not self.cycle.response_complete
        return self in self.connections and not is_at_work

    def _request_is_late(self) -> None:
        seconds = self._patience.read_s_max
        if self.flow.read_paused:
            self._end_after(seconds, self._request_is_late)
        else:
            self._give_up("request given up: not whole in time", seconds)

    def _give_up(self, event: str, seconds_max: float) -> None:
        """Close without an answer: who resends what broke off loses nothing."""
        not_told = self._patience.throttle.take(int(self.loop.time() * NS_PER_S))
        if not_told is not None:
            _log.info(
                event,
                client=self.client[0] if self.client else "",
                seconds_max=seconds_max,
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
