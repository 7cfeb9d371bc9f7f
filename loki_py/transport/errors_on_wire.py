"""Errors of one process as errors of another: the same class, text and status.

Classes are named by `errors.py`. A class that this program does not know (a
newer peer's) becomes the nearest that keeps its meaning: a status below 500 is
the caller's fault, anything else is ours.
"""

from loki_py import errors
from loki_py.errors import CorruptData, LokiError, RequestRejected, Unavailable
from loki_py.wire.messages import Rejection

TEXT_CHARS_MAX = 4_096
"""Longer texts are cut: they travel in the trailers of a call."""

_OURS = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, LokiError)
}


def rejection_of(error: Exception, *, stream: int = -1) -> Rejection:
    """Return what a peer is told of an error.

    Damage of the bytes that a peer sent is told in full; of anything that is
    not a `LokiError` only that it happened.
    """
    if not isinstance(error, LokiError):
        return Rejection("Unavailable", "internal error; see the log", 503, stream)
    kind = next(k.__name__ for k in type(error).__mro__ if k.__name__ in _OURS)
    status = getattr(error, "status", 0)
    return Rejection(kind, str(error)[:TEXT_CHARS_MAX], status, stream)


def error_of(told: Rejection) -> LokiError:
    """Return the error that a peer told of."""
    kind = _OURS.get(told.kind)
    if kind is None:
        kind = RequestRejected if 400 <= told.status < 500 else Unavailable
    if issubclass(kind, RequestRejected):
        return kind(told.text, status=told.status or None)
    if issubclass(kind, CorruptData):
        return Unavailable(told.text)
    return kind(told.text)
