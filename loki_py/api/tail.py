"""Tails over a websocket: what is refused before it opens, frames, and its end.

Errors of the request are HTTP answers instead of the upgrade; what goes wrong
later closes the socket with code 1011 and a text.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from starlette.requests import HTTPConnection

from loki_py.api.access import NOBODY, is_cross_site
from loki_py.api.answers import Answer, Asked, answer_of
from loki_py.api.bodies import Receive
from loki_py.api.context import ApiContext
from loki_py.api.errors import TEXT_HEADERS, failure_of
from loki_py.api.forms import Form, parse_form
from loki_py.api.gate import admit, tell
from loki_py.api.params import parse_bounds, parse_integer, parse_limit
from loki_py.api.push_answers import Scope, Send
from loki_py.api.query import wants_categories
from loki_py.api.routes import GET_POST, Route
from loki_py.api.tail_encode import encode_frame, encode_legacy_frame
from loki_py.config.units import NS_PER_S
from loki_py.errors import AccessDenied, ClientGone, ValidationFailed
from loki_py.querier.tail import TailEnded, TailFrame, TailRequest
from loki_py.runtime.logs import logger_of

TAIL_ROUTES = {
    "/loki/api/v1/tail": "loki_api_v1_tail",
    "/api/prom/tail": "api_prom_tail",
}
LEGACY_PATH = "/api/prom/tail"
DELAY_S_MAX = 5
SEND_S_MAX = 15.0
"""How long a reader may let a frame wait."""

CLOSE_S_MAX = 1.0
REASON_BYTES_MAX = 123
"""What a close frame has room for."""

INTERNAL_ERROR = 1011
SLOW_READER = f"slow reader: a frame waited {SEND_S_MAX:.0f} s"

_log = logger_of("tail")


class _Tail(Protocol):
    def frames(self) -> AsyncGenerator[TailFrame, None]: ...


class TailService(Protocol):
    """Opens tails."""

    def check(self, tenant: str, request: TailRequest) -> None:
        """Check a request that opens nothing.

        Raises: RequestRejected.
        """
        ...

    def opened(
        self, tenant: str, request: TailRequest
    ) -> AbstractContextManager[_Tail]:
        """Return a tail, open until the end of the context.

        Raises: RequestRejected.
        """
        ...


def parse_tail(form: Form, *, now_ns: int, categorized: bool) -> TailRequest:
    """Return what a tail request asks for.

    Raises: ValidationFailed.
    """
    limit = parse_limit(form.get("limit"))
    start_ns, _ = parse_bounds(form, now_ns=now_ns)
    delay_s = parse_integer(form.get("delay_for") or "0")
    if delay_s > DELAY_S_MAX:
        raise ValidationFailed(f"delay_for can't be greater than {DELAY_S_MAX}")
    if delay_s < 0:
        raise ValidationFailed("delay_for can't be negative")
    return TailRequest(
        form.get("query"), start_ns, limit, delay_s * NS_PER_S, categorized
    )


@dataclass(frozen=True, slots=True)
class TailRoute:
    """Answers on the paths of `TAIL_ROUTES`."""

    tails: TailService
    context: ApiContext

    def routes(self) -> list[Route]:
        """Return the routes of requests that are no websockets."""
        return [
            Route(path, GET_POST, self.plain, name)
            for path, name in TAIL_ROUTES.items()
        ]

    async def plain(self, asked: Asked) -> Answer:
        """Follow a log query over a websocket; what asks for none is refused."""
        self.tails.check(asked.tenant, self._request_of(asked.form, asked.headers))
        return Answer(b"Bad Request\n", TEXT_HEADERS, 400)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one websocket, to its end."""
        context = self.context
        started_ns = context.clock.monotonic_ns()
        asked = HTTPConnection({**scope, "method": "GET"})
        route = Route(scope["path"], GET_POST, self.plain, TAIL_ROUTES[scope["path"]])
        caller, status = (NOBODY, ""), 101
        await receive()  # websocket.connect
        try:
            _check_same_site(asked.headers)
            caller = admit(route, "GET", asked.headers, context)
            context.check_running()
            form = parse_form(scope["query_string"].decode("latin-1"))
            request = self._request_of(form, asked.headers)
            with self.tails.opened(caller[1], request) as tail:
                await send({"type": "websocket.accept"})
                await _serve(tail, scope["path"], receive, send)
        except Exception as error:  # noqa: BLE001  # every failure has an answer
            answer = answer_of(failure_of(error))
            status = answer.status
            await refuse(answer, send)
        tell(route, asked, context, caller=caller, status=status)
        context.metrics.observe(
            method="GET",
            route=route.name,
            status=status,
            duration_ns=context.clock.monotonic_ns() - started_ns,
        )

    def _request_of(self, form: Form, headers: Mapping[str, str]) -> TailRequest:
        return parse_tail(
            form,
            now_ns=self.context.clock.now_ns(),
            categorized=wants_categories(headers),
        )


def _check_same_site(headers: Mapping[str, str]) -> None:
    """Refuse other sites: browsers let any page open a socket, and read from it."""
    if is_cross_site("GET", headers):
        raise AccessDenied("a page of another site may not ask for this")


async def _serve(tail: _Tail, path: str, receive: Receive, send: Send) -> None:
    """Send frames until the tail or its reader ends; close with the reason."""
    sending = asyncio.create_task(_send_frames(tail, path, send))
    leaving = asyncio.create_task(_disconnected(receive))
    try:
        await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if sending.done() and not leaving.done():
            await _close(sending.result(), send)
    finally:
        sending.cancel()
        leaving.cancel()
        await asyncio.wait({sending, leaving})


async def _send_frames(tail: _Tail, path: str, send: Send) -> str:
    """Send frames as they come; return why there are no more."""
    encode = encode_legacy_frame if path == LEGACY_PATH else encode_frame
    try:
        async with contextlib.aclosing(tail.frames()) as frames:
            async for frame in frames:
                await _send_text(encode(frame).decode(), send)
    except TailEnded as ended:
        return str(ended)
    except Exception as error:  # noqa: BLE001  # told to the reader
        failure = failure_of(error)
        if failure.is_ours:
            _log.exception("tail failed")
        return failure.text
    return ""


async def _send_text(text: str, send: Send) -> None:
    """Send a frame.

    Raises: TailEnded where the reader does not take it, ClientGone.
    """
    try:
        async with asyncio.timeout(SEND_S_MAX):
            await send({"type": "websocket.send", "text": text})
    except TimeoutError:
        _log.info("tail dropped", reason=SLOW_READER)
        raise TailEnded(SLOW_READER) from None
    except OSError:
        raise ClientGone("client closed the connection") from None


async def _close(reason: str, send: Send) -> None:
    text = reason.encode()[:REASON_BYTES_MAX].decode("utf-8", "ignore")
    with contextlib.suppress(OSError):  # gone, or too slow for this too
        async with asyncio.timeout(CLOSE_S_MAX):
            await send(
                {"type": "websocket.close", "code": INTERNAL_ERROR, "reason": text}
            )


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "websocket.disconnect":
        pass


async def refuse(answer: Answer, send: Send) -> None:
    """Answer a handshake as if it were a plain request."""
    headers = [(name.encode(), value.encode()) for name, value in answer.headers]
    await send(
        {
            "type": "websocket.http.response.start",
            "status": answer.status,
            "headers": headers,
        }
    )
    await send({"type": "websocket.http.response.body", "body": answer.body})
