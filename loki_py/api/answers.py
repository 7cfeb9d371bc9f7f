"""What a handler is given and what it gives back, free of any web framework."""

import asyncio
import gzip
import zlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from loki_py.api.errors import Failure, Headers
from loki_py.api.forms import Form

JSON_HEADERS: Headers = (("content-type", "application/json; charset=UTF-8"),)
PLAIN_HEADERS: Headers = (("content-type", "text/plain; charset=utf-8"),)

COMPRESS_BYTES_MIN = 1_400
"""Smaller answers fit one packet either way."""

THREAD_BYTES_MIN = 64 << 10
"""Answers from this size on are compressed on a thread."""

_GZIP_LEVEL = 1
_GZIP_WBITS = 16 + zlib.MAX_WBITS


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, as handlers see it.

    Attributes:
        tenant: "" on routes that are not about a tenant.
        headers: by lower-case name.
        path: the named parts of the path.
    """

    tenant: str = ""
    form: Form = field(default_factory=Form)
    headers: Mapping[str, str] = field(default_factory=dict)
    path: Mapping[str, str] = field(default_factory=dict)
    method: str = "GET"


@dataclass(frozen=True, slots=True)
class Answer:
    """One response.

    Attributes:
        pieces: the body, piece by piece, in the place of `body`; made on threads.
    """

    body: bytes = b""
    headers: Headers = JSON_HEADERS
    status: int = 200
    pieces: Iterator[bytes] | None = None


AnswerRequest: TypeAlias = Callable[[Asked], Awaitable[Answer]]

NO_CONTENT = Answer(status=204, headers=())


def answer_of(failure: Failure) -> Answer:
    """Return the answer to a request that failed.

    Loki's query errors end without a line end; the refusal of its
    authentication, which is not the query's, ends with one.
    """
    text = f"{failure.text}\n" if failure.status == 401 else failure.text
    return Answer(text.encode(), failure.headers, failure.status)


async def compressed(answer: Answer) -> Answer:
    """Return the answer gzipped where that is worth it."""
    pieces, body = answer.pieces, answer.body
    if pieces is not None:
        pieces = _compressed_pieces(pieces)
    elif len(body) < COMPRESS_BYTES_MIN:
        return answer
    elif len(body) < THREAD_BYTES_MIN:
        body = gzip.compress(body, _GZIP_LEVEL)
    else:
        body = await asyncio.to_thread(gzip.compress, body, _GZIP_LEVEL)
    headers = (
        *answer.headers,
        ("content-encoding", "gzip"),
        ("vary", "Accept-Encoding"),
    )
    return Answer(body, headers, answer.status, pieces)


def _compressed_pieces(pieces: Iterator[bytes]) -> Iterator[bytes]:
    compressor = zlib.compressobj(_GZIP_LEVEL, wbits=_GZIP_WBITS)
    for piece in pieces:
        made = compressor.compress(piece)
        if made:
            yield made
    yield compressor.flush()
