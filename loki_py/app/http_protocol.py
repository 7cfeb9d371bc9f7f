"""The HTTP side of a connection, with an end for who sends nothing more."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class HttpProtocol(HttpToolsProtocol):
    """A connection that is closed where a request does not come to its end.

    A head must be whole within the idle time, from its first byte on; of a body
    something must come as often.
    """

    _silence: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Wait for the first request."""
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._unwatch()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Wait for the rest of a head."""
        self._watch()
        super().on_message_begin()

    def on_body(self, body: bytes) -> None:
        """Wait for the rest of a body."""
        self._watch()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Wait for nothing: the client waits for us."""
        self._unwatch()
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """Leave the connection to who speaks websocket."""
        self._unwatch()
        super().handle_websocket_upgrade()

    def _watch(self) -> None:
        self._unwatch()
        self._silence = self.loop.call_later(
            self.timeout_keep_alive, self.transport.abort
        )

    def _unwatch(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None
