"""OTLP logs over HTTP: the same push, other bodies and other errors.

Errors are a protobuf google.rpc.Status that holds the text alone; the HTTP
status says the rest. What is our fault is 503, which exporters try again.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from loki_py.api.bodies import Holding, Receive
from loki_py.api.context import ApiContext
from loki_py.api.errors import Failure, failure_of
from loki_py.api.push import PushCaps, PushedBody, read_pushed
from loki_py.api.push_answers import Dialect, Scope, Send, answer_push, text_of
from loki_py.api.services import PushService
from loki_py.config.limits import Overrides
from loki_py.runtime.logs import Throttle
from loki_py.wire.otlp import OtlpDecoder
from loki_py.wire.otlp_answers import encode_status
from loki_py.wire.push import DecodedPush

OTLP_ROUTES = {"/otlp/v1/logs": "otlp_v1_logs", "/v1/logs": "v1_logs"}
UNAUTHORIZED = 401
_STATUS_HEADERS = (
    ("content-type", "application/octet-stream"),
    ("x-content-type-options", "nosniff"),
)


ReadPushed: TypeAlias = Callable[[Holding], Awaitable[PushedBody]]
"""Waits for the body of one request, whose bytes it holds."""


@dataclass(frozen=True, slots=True)
class OtlpAcceptor:
    """Takes exports, however they came."""

    decoder: OtlpDecoder
    pusher: PushService
    overrides: Overrides
    context: ApiContext
    caps: PushCaps

    async def take(self, tenant: str, read: ReadPushed) -> None:
        """Read the records of one request, and store them.

        Raises: as `read`, `OtlpDecoder.decode` and `PushService.push`.
        """
        with Holding(self.caps.inflight) as holding:
            decoded = await self._decoded(tenant, read, holding)
            await self.pusher.push(tenant, decoded.batch, push_format=decoded.format)

    async def _decoded(
        self, tenant: str, read: ReadPushed, holding: Holding
    ) -> DecodedPush:
        """Return what was pushed; its body is not kept while it is stored."""
        pushed = await read(holding)
        decoded = self.decoder.decode(
            pushed.body,
            content_type=pushed.content_type,
            content_encoding=pushed.content_encoding,
            decoded_bytes_max=self.caps.decoded_bytes_max,
            rules=self.overrides.limits_of(tenant).otlp_rules,
            now_ns=self.context.clock.now_ns(),
        )
        holding.add(decoded.body_bytes)
        return decoded


@dataclass(frozen=True, slots=True)
class OtlpRoute:
    """Answers `POST` on the paths of `OTLP_ROUTES`."""

    acceptor: OtlpAcceptor
    throttle: Throttle = field(default_factory=Throttle)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one export."""
        await answer_push(
            self._accept(scope, receive),
            send,
            self.acceptor.context,
            dialect=_DIALECT,
            route=OTLP_ROUTES[scope["path"]],
            throttle=self.throttle,
        )

    async def _accept(self, scope: Scope, receive: Receive) -> None:
        acceptor = self.acceptor
        acceptor.context.check_running()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        tenant = acceptor.context.tenant_of_push(headers)
        await acceptor.take(
            tenant,
            lambda holding: read_pushed(receive, headers, holding, acceptor.caps),
        )


def otlp_failure_of(error: Exception) -> Failure:
    """Return the answer to an export that raised `error`.

    A request without a tenant is refused before anyone knows it for OTLP.
    """
    failure = failure_of(error)
    if failure.status == UNAUTHORIZED:
        return failure
    extra = tuple(pair for pair in failure.headers if pair[0] == "retry-after")
    return replace(
        failure,
        status=503 if failure.status == 500 else failure.status,
        headers=(*_STATUS_HEADERS, *extra),
    )


def _body_of(failure: Failure) -> bytes:
    if failure.status == UNAUTHORIZED:
        return text_of(failure)
    return encode_status(failure.text)


_DIALECT = Dialect("export failed", otlp_failure_of, _body_of)
