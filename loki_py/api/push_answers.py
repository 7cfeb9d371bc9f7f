"""What became of a push, told over HTTP: nothing where all went well."""

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from loki_py.api.context import ApiContext
from loki_py.api.errors import Failure
from loki_py.runtime.logs import Throttle, logger_of

Scope: TypeAlias = MutableMapping[str, Any]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

NO_CONTENT = {"type": "http.response.start", "status": 204, "headers": []}
EMPTY = {"type": "http.response.body", "body": b""}

_log = logger_of("push")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a protocol speaks of failures.

    Attributes:
        event: what our own log calls one.
        failure_of: the answer to an error.
        body_of: its body.
    """

    event: str
    failure_of: Callable[[Exception], Failure]
    body_of: Callable[[Failure], bytes]


async def answer_push(
    work: Awaitable[None],
    send: Send,
    context: ApiContext,
    *,
    dialect: Dialect,
    route: str,
    throttle: Throttle,
) -> None:
    """Wait for the work, send its answer, and count it."""
    started_ns = context.clock.monotonic_ns()
    status = 204
    try:
        with context.metrics.in_flight("POST", route):
            await work
    except Exception as error:  # noqa: BLE001  # every failure has an answer
        failure = dialect.failure_of(error)
        status = failure.status
        note_failure(failure, error, context, event=dialect.event, throttle=throttle)
        await _send_failure(failure, dialect.body_of(failure), send)
    else:
        await send(NO_CONTENT)
        await send(EMPTY)
    context.metrics.observe(
        method="POST",
        route=route,
        status=status,
        duration_ns=context.clock.monotonic_ns() - started_ns,
    )


def note_failure(
    failure: Failure,
    error: Exception,
    context: ApiContext,
    *,
    event: str,
    throttle: Throttle,
) -> None:
    """Count what nobody foresaw, and log what is our fault, once in a while."""
    context.metrics.panics.inc(failure.is_unforeseen)
    if not failure.is_ours:
        return
    dropped = throttle.take(context.clock.monotonic_ns())
    if dropped is not None:
        _log.error(event, status=failure.status, error=repr(error), not_told=dropped)


def text_of(failure: Failure) -> bytes:
    """Return a failure's text; it ends as Go's http.Error ends it."""
    return f"{failure.text}\n".encode()


async def _send_failure(failure: Failure, body: bytes, send: Send) -> None:
    headers = [(name.encode(), value.encode()) for name, value in failure.headers]
    headers.append((b"content-length", str(len(body)).encode()))
    start = {
        "type": "http.response.start",
        "status": failure.status,
        "headers": headers,
    }
    await send(start)
    await send({"type": "http.response.body", "body": body})
