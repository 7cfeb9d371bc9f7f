"""What of an answer has gone out to its client."""

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

from loki_py.api.push_answers import Send

_BODY = "http.response.body"


@dataclass(slots=True)
class Sent:
    """How much of one answer was given to its connection.

    Attributes:
        body_bytes: of the body, as it is sent: compressed where it is.
        is_whole: whether nothing more follows.
    """

    body_bytes: int = 0
    is_whole: bool = False

    def counted(self, send: Send) -> Send:
        """Return `send`, which counts here what goes through it."""

        async def send_counted(message: MutableMapping[str, Any]) -> None:
            await send(message)
            if message["type"] == _BODY:
                self.body_bytes += len(message.get("body", b""))
                self.is_whole = not message.get("more_body", False)

        return send_counted
