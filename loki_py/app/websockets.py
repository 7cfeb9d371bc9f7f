"""The websocket side of the HTTP server: its bounds, and an end for who hangs."""

import asyncio
import os
from collections.abc import MutableMapping
from typing import Any

REQUEST_LINE_BYTES_MAX = 1 << 20
"""As long as plain requests may be: the query stands in the line."""

os.environ.setdefault("WEBSOCKETS_MAX_LINE_LENGTH", str(REQUEST_LINE_BYTES_MAX))

# The library reads its bound when it is imported.
from uvicorn.protocols.websockets.websockets_sansio_impl import (  # noqa: E402
    WebSocketsSansIOProtocol,
)

MESSAGE_BYTES_MAX = 64 << 10
"""Nobody has to send us more than a pong."""

PING_S = 10.0
PONG_S_MAX = 30.0
LINGER_S = 10.0
"""How long a reader may take for what was sent before the end."""

_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"Connection: close\r\nContent-Length: 0\r\n\r\n"
)


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """A websocket whose end comes even where its reader takes nothing more."""

    def data_received(self, data: bytes) -> None:
        """Take bytes; a request over the library's bounds is refused, not left."""
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self.transport.write(_TOO_LARGE)
            self.transport.close()

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
