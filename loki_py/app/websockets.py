"""The websocket side of the HTTP server: its bounds, and an end for who hangs."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import (
    WebSocketsSansIOProtocol,
)

MESSAGE_BYTES_MAX = 64 << 10
"""Nobody has to send us more than a pong."""

PING_S = 10.0
PONG_S_MAX = 30.0
LINGER_S = 10.0
"""How long a reader may take for what was sent before the end."""


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """A websocket whose end comes even where its reader takes nothing more."""

    async def send(self, message: Any) -> None:
        """Send; a close is not held up by what still waits to be read."""
        told: MutableMapping[str, Any] = message
        if told["type"] == "websocket.close":
            self.writable.set()
        await super().send(message)
        if told["type"] == "websocket.http.response.body":
            # uvicorn takes a refusal for an application that did not answer.
            self.handshake_complete = True

    async def run_asgi(self) -> None:
        """Serve the socket, and break what is left of it some time later."""
        await super().run_asgi()
        asyncio.get_running_loop().call_later(LINGER_S, self.transport.abort)
