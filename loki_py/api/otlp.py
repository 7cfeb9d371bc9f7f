"""OTLP logs over HTTP: the same push, other bodies and other errors.

Errors are a protobuf google.rpc.Status that holds the text alone; the HTTP
status says the rest. What is our fault is 503, which exporters try again.
"""

from dataclasses import dataclass, field, replace

from loki_py.api.bodies import Holding, Receive, read_body
from loki_py.api.context import ApiContext
from loki_py.api.errors import Failure, failure_of
from loki_py.api.push import (
    EMPTY,
    NO_CONTENT,
    PushCaps,
    Scope,
    Send,
    length_of,
    send_failure,
)
from loki_py.api.services import PushService
from loki_py.config.limits import Overrides
from loki_py.runtime.logs import Throttle, logger_of
from loki_py.wire.otlp import OtlpDecoder

OTLP_ROUTES = {"/otlp/v1/logs": "otlp_v1_logs", "/v1/logs": "v1_logs"}
UNAUTHORIZED = 401
_STATUS_HEADERS = (
    ("content-type", "application/octet-stream"),
    ("x-content-type-options", "nosniff"),
)

_log = logger_of("otlp")


@dataclass(frozen=True, slots=True)
class OtlpRoute:
    """Answers `POST` on the paths of `OTLP_ROUTES`."""

    decoder: OtlpDecoder
    pusher: PushService
    overrides: Overrides
    context: ApiContext
    caps: PushCaps
    throttle: Throttle = field(default_factory=Throttle)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one export."""
        context = self.context
        started_ns = context.clock.monotonic_ns()
        status = 204
        try:
            await self._accept(scope, receive)
        except Exception as error:  # noqa: BLE001  # every failure has an answer
            failure = otlp_failure_of(error)
            status = failure.status
            context.metrics.panics.inc(failure.is_unforeseen)
            if failure.is_ours:
                self._tell(status, error)
            await send_failure(failure, _body_of(failure), send)
        else:
            await send(NO_CONTENT)
            await send(EMPTY)
        context.metrics.observe(
            method="POST",
            route=OTLP_ROUTES[scope["path"]],
            status=status,
            duration_ns=context.clock.monotonic_ns() - started_ns,
        )

    def _tell(self, status: int, error: Exception) -> None:
        dropped = self.throttle.take(self.context.clock.monotonic_ns())
        if dropped is not None:
            _log.error(
                "export failed", status=status, error=repr(error), not_told=dropped
            )

    async def _accept(self, scope: Scope, receive: Receive) -> None:
        self.context.check_running()
        headers = {
            name: value.decode("latin-1")
            for name, value in dict(scope["headers"]).items()
        }
        tenant = self.context.tenant_of_push(dict(scope["headers"]))
        caps = self.caps
        with Holding(caps.inflight) as holding:
            body = await read_body(
                receive,
                holding,
                declared=length_of(headers.get(b"content-length", "").encode()),
                bytes_max=caps.body_bytes_max,
            )
            decoded = self.decoder.decode(
                body,
                content_type=headers.get(b"content-type", ""),
                content_encoding=headers.get(b"content-encoding", ""),
                decoded_bytes_max=caps.decoded_bytes_max,
                rules=self.overrides.limits_of(tenant).otlp_rules,
                now_ns=self.context.clock.now_ns(),
            )
            del body
            holding.add(decoded.body_bytes)
            await self.pusher.push(tenant, decoded.batch, push_format=decoded.format)


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
        return f"{failure.text}\n".encode()
    return status_message(failure.text)


def status_message(text: str) -> bytes:
    """Return a google.rpc.Status with this message and no code."""
    encoded = text.encode()
    length, size = b"", len(encoded)
    while size > 0x7F:
        length += bytes([size & 0x7F | 0x80])
        size >>= 7
    return b"\x12" + length + bytes([size]) + encoded
