"""Why an ingester refuses entries, in Loki's words."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from loki_py.errors import LimitExceeded, LokiError, ValidationFailed
from loki_py.model.labels import LabelSet

RETURNED_ERRORS_MAX = 10
"""Refused entries named in one answer; the rest is only counted."""

STREAM_LIMIT = "stream_limit"
PER_STREAM_RATE_LIMIT = "per_stream_rate_limit"
TOO_FAR_BEHIND = "too_far_behind"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def stream_limit_reached(tenant: str, labels: LabelSet) -> LimitExceeded:
    """Return the error of a stream that would be one too many."""
    return LimitExceeded(
        "maximum active stream limit exceeded when trying to create stream "
        f"{labels.text}, reduce the number of active streams (reduce labels or "
        "reduce label values), or contact your Loki administrator to see if the "
        f"limit can be increased, user: '{tenant}'"
    )


def too_far_behind(timestamp_ns: int, oldest_ns: int) -> str:
    """Return the reason for an entry older than its stream's window."""
    return (
        f"entry too far behind, entry timestamp is: {rfc3339_of(timestamp_ns)}, "
        f"oldest acceptable timestamp is: {rfc3339_of(oldest_ns)}"
    )


def per_stream_rate(labels: LabelSet, *, limit_bytes: int, entry_bytes: int) -> str:
    """Return the reason for entries over their stream's rate."""
    return (
        f"Per stream rate limit exceeded (limit: {flagext_bytes(limit_bytes)}/sec) "
        f"while attempting to ingest for stream '{labels.text}' totaling "
        f"{flagext_bytes(entry_bytes)}, consider splitting a stream via additional "
        "labels or contact your Loki administrator to see if the limit can be "
        "increased"
    )


def entries_refused(
    tenant: str,
    labels: LabelSet,
    refused: Sequence[tuple[int, str]],
    *,
    entries_count: int,
    refused_count: int,
    rate_limited: bool,
) -> LokiError:
    """Return the one error for all refused entries of a stream in a push.

    Args:
        tenant: whose push it was.
        labels: the stream.
        refused: (timestamp_ns, reason), at most the first RETURNED_ERRORS_MAX count.
        entries_count: entries of the stream in the push.
        refused_count: how many of them were refused.
        rate_limited: whether the last one was refused for its rate: status 429.
    """
    named = "".join(
        f"entry with timestamp {go_time_of(timestamp_ns)} ignored, "
        f"reason: '{reason}',\n"
        for timestamp_ns, reason in refused[:RETURNED_ERRORS_MAX]
    )
    message = (
        f"{named}user '{tenant}', total ignored: {refused_count} out of "
        f"{entries_count} for stream: {labels.text}"
    )
    return LimitExceeded(message) if rate_limited else ValidationFailed(message)


def rfc3339_of(timestamp_ns: int) -> str:
    """Return `2026-11-20T20:45:43Z`, whole seconds, rounded down."""
    return _at_second(timestamp_ns).strftime("%Y-%m-%dT%H:%M:%SZ")


def go_time_of(timestamp_ns: int) -> str:
    """Return Go's `2026-11-20 21:45:53.696042101 +0000 UTC`."""
    fraction = f"{timestamp_ns % 10**9:09d}".rstrip("0")
    seconds = _at_second(timestamp_ns).strftime("%Y-%m-%d %H:%M:%S")
    return f"{seconds}{'.' + fraction if fraction else ''} +0000 UTC"


def _at_second(timestamp_ns: int) -> datetime:
    return _EPOCH + timedelta(seconds=timestamp_ns // 10**9)


def flagext_bytes(count: int) -> str:
    """Return a byte count as Loki prints limits: `100B`, `3MB`, `1536KB`.

    The largest power of 1,024 that divides the count, named without the i.
    Source: the byte size type of Loki's flags.
    """
    for power, unit in ((40, "TB"), (30, "GB"), (20, "MB"), (10, "KB")):
        if count and count % (1 << power) == 0:
            return f"{count >> power}{unit}"
    return f"{count}B"
