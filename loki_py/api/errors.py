"""Exceptions to HTTP answers: the only module that knows both.

Texts of the caller's mistakes go out as they are. What went wrong inside goes
to the log; the caller learns only that it did.
"""

from dataclasses import dataclass
from typing import TypeAlias

from loki_py.config.units import NS_PER_S
from loki_py.errors import (
    AccessDenied,
    ClientGone,
    IngestionRateExceeded,
    LokiError,
    QueryTimeout,
    RequestRejected,
    Unavailable,
)

CLIENT_GONE_STATUS = 499
RETRY_LATER = {429, 503}
RETRY_AFTER_S = 1
"""When to try again what is refused for a moment, where nothing is known better."""

TIMEOUT_TEXT = (
    "request timed out, decrease the duration of the request or add more label"
    " matchers (prefer exact match over regex match) to reduce the amount of data"
    " processed"
)
INTERNAL_TEXT = "internal error; the server's log says more"

Headers: TypeAlias = tuple[tuple[str, str], ...]
TEXT_HEADERS: Headers = (
    ("content-type", "text/plain; charset=utf-8"),
    ("x-content-type-options", "nosniff"),
)


@dataclass(frozen=True, slots=True)
class Failure:
    """How a failed request is answered.

    Attributes:
        is_ours: whether the cause is worth a line in our log.
        is_unforeseen: whether nobody raised it on purpose.
    """

    status: int
    text: str
    is_ours: bool = False
    headers: Headers = TEXT_HEADERS
    is_unforeseen: bool = False


def failure_of(error: BaseException) -> Failure:
    """Return the answer to a request that raised `error`."""
    match error:
        case ClientGone():
            text = "the request was cancelled by the client"
            return Failure(CLIENT_GONE_STATUS, text)
        case QueryTimeout():
            return Failure(error.status, TIMEOUT_TEXT)
        case RequestRejected() | Unavailable():
            headers = (*TEXT_HEADERS, *_more_headers_of(error))
            return Failure(
                error.status,
                str(error),
                is_ours=isinstance(error, Unavailable),
                headers=headers,
            )
        case BaseExceptionGroup():
            return _failure_of_many([failure_of(one) for one in error.exceptions])
        case _:
            return Failure(500, INTERNAL_TEXT, is_ours=True, is_unforeseen=True)


def _more_headers_of(error: LokiError) -> Headers:
    """Return when to try again, or how to sign in."""
    match error:
        case AccessDenied(status=401):
            return (("www-authenticate", 'Basic realm="loki_py"'),)
        case IngestionRateExceeded():
            if error.retry_after_ns is None:
                return ()
            return (("retry-after", str(-(-error.retry_after_ns // NS_PER_S))),)
        case RequestRejected() | Unavailable() if error.status in RETRY_LATER:
            return (("retry-after", str(RETRY_AFTER_S)),)
        case _:
            return ()


def _failure_of_many(failures: list[Failure]) -> Failure:
    """Return the first that is the caller's fault, else the first."""
    for failure in failures:
        if failure.status < 500:
            return failure
    return failures[0]
