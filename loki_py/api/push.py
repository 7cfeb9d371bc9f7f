"""Pushes: the one route that is plain ASGI, because it is the hot one.

A push passes through no middleware, no router and no request object: headers
are read once, the body is collected under its cap, and the answer is two sends.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from loki_py.api.bodies import BytesInFlight, Holding, Receive, read_body
from loki_py.api.context import ApiContext
from loki_py.api.errors import Failure, failure_of
from loki_py.encoding.compression import decompress
from loki_py.errors import ValidationFailed
from loki_py.runtime.logs import logger_of

Scope: TypeAlias = MutableMapping[str, Any]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PUSH_ROUTES = {
    "/loki/api/v1/push": "loki_api_v1_push",
    "/api/prom/push": "api_prom_push",
}
LEGACY_PATH = "/api/prom/push"
THREAD_BYTES_MIN = 64 << 10
"""Compressed bodies from this size on are decompressed on a thread."""

_NO_CONTENT = {"type": "http.response.start", "status": 204, "headers": []}
_EMPTY = {"type": "http.response.body", "body": b""}

_log = logger_of("push")


@dataclass(frozen=True, slots=True)
class PushBody:
    """A decompressed push, and what its headers say of it.

    Attributes:
        is_json: else protobuf.
        is_legacy: whether it came to the old path, whose JSON differs.
        received_bytes: the size before decompression.
    """

    body: bytes
    is_json: bool
    is_legacy: bool
    received_bytes: int


class PushAcceptor(Protocol):
    """Takes a push once its bytes are here: decode, validate, store."""

    async def accept(self, tenant: str, push: PushBody) -> None:
        """Return when every valid entry is durable.

        Raises: RequestRejected (valid entries are stored all the same),
            Unavailable.
        """
        ...


@dataclass(frozen=True, slots=True)
class PushCaps:
    """Bounds on one body and on all of them together."""

    body_bytes_max: int
    decoded_bytes_max: int
    inflight: BytesInFlight


@dataclass(frozen=True, slots=True)
class PushRoute:
    """Answers `POST` on the paths of `PUSH_ROUTES`."""

    acceptor: PushAcceptor
    context: ApiContext
    caps: PushCaps

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
            if failure.is_ours:
                _log.error("push failed", status=status, error=repr(error))
            await _send_failure(failure, send)
        else:
            await send(_NO_CONTENT)
            await send(_EMPTY)
        context.metrics.observe(
            method="POST",
            route=PUSH_ROUTES[scope["path"]],
            status=status,
            duration_ns=context.clock.monotonic_ns() - started_ns,
        )

    async def _accept(self, scope: Scope, receive: Receive) -> None:
        self.context.check_running()
        headers = dict(scope["headers"])
        tenant = self.context.tenancy.tenant_of(
            headers.get(b"x-scope-orgid", b"").decode("latin-1")
        )
        is_json = _is_json(headers.get(b"content-type", b""))
        caps = self.caps
        encoding = _encoding_of(headers.get(b"content-encoding", b""), is_json=is_json)
        with Holding(caps.inflight) as holding:
            body = await read_body(
                receive,
                holding,
                declared=_length_of(headers.get(b"content-length", b"")),
                bytes_max=caps.body_bytes_max,
            )
            received_bytes = len(body)
            if encoding:
                body = await self._decompressed(body, encoding)
                holding.add(len(body))
            is_legacy = scope["path"] == LEGACY_PATH
            push = PushBody(body, is_json, is_legacy, received_bytes)
            await self.acceptor.accept(tenant, push)

    async def _decompressed(self, body: bytes, encoding: str) -> bytes:
        def decoded() -> bytes:
            return decompress(
                body,
                encoding=encoding,
                decoded_bytes_max=self.caps.decoded_bytes_max,
            )

        if len(body) < THREAD_BYTES_MIN:
            return decoded()
        return await asyncio.to_thread(decoded)


def _is_json(content_type: bytes) -> bool:
    """Return whether the body is JSON; every other type is protobuf.

    Raises: ValidationFailed where there is no media type.
    """
    if content_type == b"application/json":
        return True
    media_type = content_type.partition(b";")[0].strip().lower()
    if not media_type:
        raise ValidationFailed("mime: no media type")
    return media_type == b"application/json"


def _encoding_of(header: bytes, *, is_json: bool) -> str:
    """Return how the body is compressed, "" where it is not.

    Protobuf is snappy unless another encoding takes its place; JSON never is,
    whatever the header says, as in Loki.
    """
    encoding = header.decode("latin-1")
    if encoding in {"", "snappy"}:
        return "" if is_json else "snappy"
    return encoding


def _length_of(content_length: bytes) -> int:
    return int(content_length) if content_length.isdigit() else -1


async def _send_failure(failure: Failure, send: Send) -> None:
    """Answer as Go's http.Error does: the text and a line end."""
    body = f"{failure.text}\n".encode()
    headers = [(name.encode(), value.encode()) for name, value in failure.headers]
    headers.append((b"content-length", str(len(body)).encode()))
    start = {
        "type": "http.response.start",
        "status": failure.status,
        "headers": headers,
    }
    await send(start)
    await send({"type": "http.response.body", "body": body})
