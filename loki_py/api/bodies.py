"""Request bodies: read while they come in, never beyond a cap."""

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

from loki_py.encoding.compression import check_body_bytes
from loki_py.errors import ClientGone, Overloaded

Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]


@dataclass(slots=True)
class BytesInFlight:
    """Bytes of all requests that are being worked on, and their bound."""

    bytes_max: int
    bytes_now: int = 0


@dataclass(slots=True)
class Holding:
    """The share of one request; gives it back when its block is left."""

    inflight: BytesInFlight
    bytes_held: int = 0

    def add(self, size_bytes: int) -> None:
        """Hold so many bytes more.

        Raises: Overloaded where they do not fit.
        """
        inflight = self.inflight
        if inflight.bytes_now + size_bytes > inflight.bytes_max:
            raise Overloaded("The server cannot accept more requests at this time.")
        inflight.bytes_now += size_bytes
        self.bytes_held += size_bytes

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_failure: object) -> None:
        self.inflight.bytes_now -= self.bytes_held


async def read_body(
    receive: Receive, holding: Holding, *, declared: int, bytes_max: int
) -> bytes:
    """Return the whole body, whose bytes are held.

    Args:
        declared: the length that the client announced; -1 where it did not.

    Raises:
        BodyTooLarge: as soon as more than `bytes_max` is announced or came.
        Overloaded: as soon as it does not fit beside all other requests.
        ClientGone: the connection closed first.
    """
    check_body_bytes(declared, bytes_max=bytes_max)
    message = await receive()
    if message["type"] != "http.request":
        raise ClientGone("client closed the connection")
    body: bytes = message.get("body", b"")
    size = len(body)
    check_body_bytes(size, bytes_max=bytes_max)
    holding.add(size)
    if not message.get("more_body"):
        return body
    chunks = [body]
    while message.get("more_body"):
        message = await receive()
        if message["type"] != "http.request":
            raise ClientGone("client closed the connection")
        chunk: bytes = message.get("body", b"")
        chunks.append(chunk)
        size += len(chunk)
        check_body_bytes(size, bytes_max=bytes_max)
        holding.add(len(chunk))
    return b"".join(chunks)
