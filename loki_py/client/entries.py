"""Entries, and the ways to say when."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

NS_PER_S = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Moment: TypeAlias = datetime | int
"""A `datetime` that knows its time zone, or nanoseconds since 1970."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One log line.

    Attributes:
        labels: of the stream it is in.
        timestamp_ns: nanoseconds since 1970; now, where it is left out.
        metadata: structured metadata; in answers also what the query's parsers
            found in the line.
    """

    labels: Mapping[str, str]
    line: str
    timestamp_ns: int = field(default_factory=time.time_ns)
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def time(self) -> datetime:
        """When it happened, in UTC, rounded down to microseconds."""
        return _EPOCH + self.timestamp_ns // 1000 * _MICROSECOND


def ns_of(moment: Moment) -> int:
    """Return nanoseconds since 1970.

    Raises: ValueError for a `datetime` without a time zone, which means another
        moment on every machine.
    """
    if not isinstance(moment, datetime):
        return moment
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone; try .astimezone()")
    return (moment - _EPOCH) // _MICROSECOND * 1000


def ns_of_span(span: timedelta | float) -> int:
    """Return the nanoseconds of a time span; a number is seconds."""
    if isinstance(span, timedelta):
        return span // _MICROSECOND * 1000
    return round(span * NS_PER_S)
