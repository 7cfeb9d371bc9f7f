"""Every exception loki_py raises on purpose.

    LokiError
    ├── RequestRejected            the caller is wrong; never retried      -> HTTP 4xx
    │   ├── ValidationFailed           line too long, too old, bad labels  -> 400
    │   ├── QueryInvalid               LogQL that does not parse           -> 400
    │   ├── LimitExceeded              rate, stream or query limit         -> 429
    │   │   └── IngestionRateExceeded      a tenant's rate of pushing          -> 429
    │   ├── BodyTooLarge               more bytes than the limit           -> 413
    │   ├── TenantInvalid              no tenant, or one that may not be   -> 401, 400
    │   └── AccessDenied               no token, or not for this           -> 401, 403
    ├── Unavailable                we are wrong or busy; safe to retry     -> HTTP 5xx
    │   ├── QuorumNotReached           too few replicas answered           -> 500
    │   ├── NotReady                   starting, leaving, ring not loaded  -> 503
    │   ├── Overloaded                 a bound of ours is reached          -> 503
    │   ├── DurabilityFailed           the disk did not take the bytes     -> 500
    │   ├── DataUnreadable             stored data is damaged or gone      -> 500
    │   ├── TransferRefused            chunks that nobody takes over:
    │   │   ├── NotOwner                   not by who does not own the stream  -> 409
    │   │   ├── ReceiverLocked             not by who leaves, or is not there  -> 423
    │   │   └── ReceiverBusy               not now; later                      -> 429
    │   └── QueryTimeout               the query ran out of its time       -> 504
    ├── CorruptData                bytes on disk or wire broke the format  -> hidden
    │   ├── BadChecksum
    │   ├── BadMagic
    │   ├── UnknownVersion
    │   └── TruncatedData
    ├── ObjectNotFound             no object has this key                  -> hidden
    ├── ClientGone                 nobody waits for the answer any more    -> 499
    └── ConfigInvalid              settings that can not be used           -> exit 2

`api.errors` is the only module that turns these into HTTP answers.
"""


class LokiError(Exception):
    """Base of every exception that loki_py raises on purpose."""


class RequestRejected(LokiError):
    """The caller is wrong; the same request will never succeed.

    Attributes:
        status: the HTTP status that Loki's clients know for this case.
        entries_refused, entries_stored: of a push, where they were counted.
    """

    status = 400
    entries_refused = 0
    entries_stored = 0

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        if status is not None:
            self.status = status


class ValidationFailed(RequestRejected):
    """A push or a parameter breaks a rule."""


class QueryInvalid(RequestRejected):
    """LogQL that does not parse, or that the language forbids."""


class LimitExceeded(RequestRejected):
    """A tenant's rate, stream or query limit is reached."""

    status = 429


class IngestionRateExceeded(LimitExceeded):
    """A push is over its tenant's rate.

    Attributes:
        retry_after_ns: when the same push would pass, None for never.
    """

    def __init__(self, message: str, *, retry_after_ns: int | None) -> None:
        super().__init__(message)
        self.retry_after_ns = retry_after_ns


class BodyTooLarge(RequestRejected):
    """A request body is larger than its limit, before or after decompression."""

    status = 413


class TenantInvalid(RequestRejected):
    """The tenant header is missing (401) or not a tenant id (400)."""


class AccessDenied(RequestRejected):
    """The caller did not say who it is (401), or may not do this (403)."""

    status = 403


class Unavailable(LokiError):
    """We are wrong or busy; the same request may succeed later."""

    status = 503


class QuorumNotReached(Unavailable):
    """Too few replicas of a stream answered."""

    status = 500


class NotReady(Unavailable):
    """The process is starting or leaving."""


class Overloaded(Unavailable):
    """A bound of ours (bytes in flight, disk, queue) is reached."""


class DurabilityFailed(Unavailable):
    """The disk did not take the bytes; nothing was acknowledged."""

    status = 500


class DataUnreadable(Unavailable):
    """Stored data that an answer needs is damaged or gone; says which."""

    status = 500


class TransferRefused(Unavailable):
    """An ingester does not take over a chunk; its holder keeps it."""


class NotOwner(TransferRefused):
    """The receiver does not own the chunk's stream, as it sees the ring."""

    status = 409


class ReceiverLocked(TransferRefused):
    """The receiver takes nothing over: it leaves, or does not serve yet."""

    status = 423


class ReceiverBusy(TransferRefused):
    """The receiver has enough to do; the same transfer may succeed later."""

    status = 429


class QueryTimeout(Unavailable):
    """A query ran out of its time."""

    status = 504


class CorruptData(LokiError):
    """Bytes on disk or wire broke their format."""


class BadChecksum(CorruptData):
    """A whole unit is present, but its bytes changed."""


class BadMagic(CorruptData):
    """The bytes are not of the format they are read as."""


class UnknownVersion(CorruptData):
    """The format is ours, its version is not; versions are never guessed."""


class TruncatedData(CorruptData):
    """The bytes end inside a unit."""


class ObjectNotFound(LokiError):
    """No object has this key."""


class ClientGone(LokiError):
    """The client closed its connection before the answer was ready."""


class ConfigInvalid(LokiError):
    """A configuration names unknown keys or values out of range."""
