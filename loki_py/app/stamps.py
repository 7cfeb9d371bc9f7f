"""Lines to entries: when a line was written, and into which push it goes.

Pure: the caller tells the time.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from loki_py.app.moments import parse_moment, unix_ns_of

KNOWN_MOMENTS_MAX = 1_000_000
"""Timestamps whose use is remembered; then the oldest half is forgotten."""

YEAR_WITHOUT = 1900
"""The year that strptime gives where the format has none."""


@dataclass(slots=True)
class LineClock:
    """Gives each line a timestamp that no other line of the stream has.

    Lines without a time of their own follow the line before by 1 ns. Lines of
    one time are 1 ns apart, in order: equal lines at one time would be one
    entry.

    Attributes:
        pattern: finds the time in a line, its first group or the whole match;
            None gives every line the time of pushing.
        time_format: of strptime; "" means RFC 3339 or unix time.
    """

    pattern: re.Pattern[str] | None = None
    time_format: str = ""
    _last_ns: int = 0
    _used: dict[int, int] = field(default_factory=dict)

    def stamp(self, lines: Sequence[str], *, now_ns: int) -> list[int]:
        """Return a timestamp for each line, in order.

        Raises: ValueError where a time that was found cannot be read.
        """
        if self.pattern is None:
            first_ns = max(now_ns, self._last_ns + 1)
            self._last_ns = first_ns + len(lines) - 1
            return list(range(first_ns, first_ns + len(lines)))
        return [self._stamp_one(line, self.pattern, now_ns) for line in lines]

    def _stamp_one(self, line: str, pattern: "re.Pattern[str]", now_ns: int) -> int:
        found = pattern.search(line)
        if found is None:
            moment_ns = self._last_ns or now_ns
        else:
            text = found[1] if pattern.groups else found[0]
            moment_ns = self._parse(text, now_ns)
        self._last_ns = moment_ns
        count = self._used.get(moment_ns, 0)
        self._used[moment_ns] = count + 1
        if len(self._used) > KNOWN_MOMENTS_MAX:
            for moment in list(self._used)[: KNOWN_MOMENTS_MAX // 2]:
                del self._used[moment]
        return moment_ns + count

    def _parse(self, text: str, now_ns: int) -> int:
        if not self.time_format:
            return parse_moment(text)
        moment = datetime.strptime(text, self.time_format)  # noqa: DTZ007  # set below
        if moment.year == YEAR_WITHOUT:
            now = datetime.fromtimestamp(now_ns // 1_000_000_000, tz=UTC)
            moment = moment.replace(year=now.year)
        return unix_ns_of(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class BatchSize:
    """How much goes into one push."""

    bytes_max: int = 1 << 20
    lines_max: int = 5_000


def cut(lines: Sequence[bytes], size: BatchSize) -> Iterator[Sequence[bytes]]:
    """Yield runs of lines that fit one push; a line that is too long goes alone."""
    start = held = 0
    for position, line in enumerate(lines):
        full = held + len(line) > size.bytes_max or position - start >= size.lines_max
        if full and position > start:
            yield lines[start:position]
            start, held = position, 0
        held += len(line)
    if start < len(lines):
        yield lines[start:]
