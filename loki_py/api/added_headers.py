"""Headers that go with every answer of a server, whoever gives it."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from loki_py.api.bodies import Receive
from loki_py.api.errors import Headers
from loki_py.api.push_answers import Scope, Send

AsgiApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

_STARTS = {"http.response.start", "websocket.http.response.start"}


def with_headers(app: AsgiApp, headers: Headers) -> AsgiApp:
    """Return the same application, with headers where its answers have none such.

    Answers to requests for a websocket are meant too.
    """
    if not headers:
        return app
    added = [(name.encode(), value.encode()) for name, value in headers]

    async def entry(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with(message: MutableMapping[str, Any]) -> None:
            if message["type"] in _STARTS:
                own = list(message["headers"])
                names = {name.lower() for name, _ in own}
                more = [pair for pair in added if pair[0] not in names]
                # A new message: some are the same for every answer.
                message = {**message, "headers": own + more}
            await send(message)

        await app(scope, receive, send_with)

    return entry
