"""Pushes: the one route that is plain ASGI, because it is the hot one.

A push passes through no middleware, no router and no request object: headers
are read once, the body is collected under its cap, and the answer is two sends.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from loki_py.api.bodies import BytesInFlight, Holding, Receive, read_body
from loki_py.api.context import ApiContext
from loki_py.api.errors import Failure, failure_of
from loki_py.api.services import PushService
from loki_py.runtime.logs import Throttle, logger_of
from loki_py.wire.push import PushDecoder

Scope: TypeAlias = MutableMapping[str, Any]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PUSH_ROUTES = {
    "/loki/api/v1/push": "loki_api_v1_push",
    "/api/prom/push": "api_prom_push",
}
LEGACY_PATH = "/api/prom/push"
NO_CONTENT = {"type": "http.response.start", "status": 204, "headers": []}
EMPTY = {"type": "http.response.body", "body": b""}

_log = logger_of("push")


@dataclass(frozen=True, slots=True)
class PushCaps:
    """Bounds on one body and on all of them together."""

    body_bytes_max: int
    decoded_bytes_max: int
    inflight: BytesInFlight


@dataclass(frozen=True, slots=True)
class PushRoute:
    """Answers `POST` on the paths of `PUSH_ROUTES`."""

    decoder: PushDecoder
    pusher: PushService
    context: ApiContext
    caps: PushCaps
    throttle: Throttle = field(default_factory=Throttle)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one push."""
        context = self.context
        started_ns = context.clock.monotonic_ns()
        status = 204
        try:
            await self._accept(scope, receive)
        except Exception as error:  # noqa: BLE001  # every failure has an answer
            failure = failure_of(error)
            status = failure.status
            context.metrics.panics.inc(failure.is_unforeseen)
            if failure.is_ours:
                self._tell(status, error)
            await send_failure(failure, f"{failure.text}\n".encode(), send)
        else:
            await send(NO_CONTENT)
            await send(EMPTY)
        context.metrics.observe(
            method="POST",
            route=PUSH_ROUTES[scope["path"]],
            status=status,
            duration_ns=context.clock.monotonic_ns() - started_ns,
        )

    def _tell(self, status: int, error: Exception) -> None:
        dropped = self.throttle.take(self.context.clock.monotonic_ns())
        if dropped is not None:
            _log.error(
                "push failed", status=status, error=repr(error), not_told=dropped
            )

    async def _accept(self, scope: Scope, receive: Receive) -> None:
        self.context.check_running()
        headers = dict(scope["headers"])
        tenant = self.context.tenant_of_push(headers)
        caps = self.caps
        with Holding(caps.inflight) as holding:
            body = await read_body(
                receive,
                holding,
                declared=length_of(headers.get(b"content-length", b"")),
                bytes_max=caps.body_bytes_max,
            )
            decoded = self.decoder.decode(
                body,
                content_type=headers.get(b"content-type", b"").decode("latin-1"),
                content_encoding=headers.get(b"content-encoding", b"").decode(
                    "latin-1"
                ),
                decoded_bytes_max=caps.decoded_bytes_max,
                legacy=scope["path"] == LEGACY_PATH,
            )
            del body
            holding.add(decoded.body_bytes)
            await self.pusher.push(tenant, decoded.batch, push_format=decoded.format)


def length_of(content_length: bytes) -> int:
    """Return the announced length of a body, -1 where there is none."""
    return int(content_length) if content_length.isdigit() else -1


async def send_failure(failure: Failure, body: bytes, send: Send) -> None:
    """Answer a failed push; Loki's texts end as Go's http.Error ends them."""
    headers = [(name.encode(), value.encode()) for name, value in failure.headers]
    headers.append((b"content-length", str(len(body)).encode()))
    start = {
        "type": "http.response.start",
        "status": failure.status,
        "headers": headers,
    }
    await send(start)
    await send({"type": "http.response.body", "body": body})
