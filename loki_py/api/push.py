"""Pushes: the one route that is plain ASGI, because it is the hot one.

A push passes through no middleware, no router and no request object: headers
are read once, the body is collected under its cap, and the answer is two sends.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from loki_py.api.bodies import BytesInFlight, Holding, Receive, read_body
from loki_py.api.context import ApiContext
from loki_py.api.errors import failure_of
from loki_py.api.push_answers import Dialect, Scope, Send, answer_push, text_of
from loki_py.api.services import PushService
from loki_py.runtime.logs import Throttle
from loki_py.wire.push import DecodedPush, PushDecoder

PUSH_ROUTES = {
    "/loki/api/v1/push": "loki_api_v1_push",
    "/api/prom/push": "api_prom_push",
}
LEGACY_PATH = "/api/prom/push"


@dataclass(frozen=True, slots=True)
class PushCaps:
    """Bounds on one body and on all of them together."""

    body_bytes_max: int
    decoded_bytes_max: int
    inflight: BytesInFlight


class PushedBody(NamedTuple):
    """A body as it came, and what the client said of it."""

    body: bytes
    content_type: str
    content_encoding: str


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
        await answer_push(
            self._accept(scope, receive),
            send,
            self.context,
            dialect=_DIALECT,
            route=PUSH_ROUTES[scope["path"]],
            throttle=self.throttle,
        )

    async def _accept(self, scope: Scope, receive: Receive) -> None:
        self.context.check_running()
        headers = dict(scope["headers"])
        tenant = self.context.tenant_of_push(headers)
        with Holding(self.caps.inflight) as holding:
            decoded = await self._read(scope, receive, headers, holding)
            await self.pusher.push(tenant, decoded.batch, push_format=decoded.format)

    async def _read(
        self,
        scope: Scope,
        receive: Receive,
        headers: Mapping[bytes, bytes],
        holding: Holding,
    ) -> DecodedPush:
        """Return what was pushed; its body is not kept while it is stored."""
        pushed = await read_pushed(receive, headers, holding, self.caps)
        decoded = self.decoder.decode(
            pushed.body,
            content_type=pushed.content_type,
            content_encoding=pushed.content_encoding,
            decoded_bytes_max=self.caps.decoded_bytes_max,
            legacy=scope["path"] == LEGACY_PATH,
        )
        holding.add(decoded.body_bytes)
        return decoded


async def read_pushed(
    receive: Receive, headers: Mapping[bytes, bytes], holding: Holding, caps: PushCaps
) -> PushedBody:
    """Return the body of a push.

    Raises: as `read_body`.
    """
    body = await read_body(
        receive,
        holding,
        declared=_length_of(headers.get(b"content-length", b"")),
        bytes_max=caps.body_bytes_max,
    )
    return PushedBody(
        body,
        headers.get(b"content-type", b"").decode("latin-1"),
        headers.get(b"content-encoding", b"").decode("latin-1"),
    )


def _length_of(content_length: bytes) -> int:
    """Return the announced length of a body, -1 where there is none."""
    return int(content_length) if content_length.isdigit() else -1


_DIALECT = Dialect("push failed", failure_of, text_of)
