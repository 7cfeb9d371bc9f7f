"""Durations, byte sizes and times as configuration files write them.

Texts are those of Loki's configuration: `1w`, `30d1h`, `90m`, `256KB`, `4MB`.
A bare number is accepted where Loki accepts it. Bytes are powers of 1,024.
"""

import re
from datetime import UTC, date, datetime

from loki_py.config.telling import WrongValue

NS_PER_S = 1_000_000_000
MIB = 1 << 20

_DURATION_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": NS_PER_S,
    "m": 60 * NS_PER_S,
    "h": 3_600 * NS_PER_S,
    "d": 86_400 * NS_PER_S,
    "w": 7 * 86_400 * NS_PER_S,
    "y": 365 * 86_400 * NS_PER_S,
}
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h|d|w|y)")
_PRINTED = ("w", "d", "h", "m", "s", "ms", "us", "ns")

_BYTES_PER = {"": 1, "B": 1}
for _power, _prefix in enumerate("KMGTPE", start=1):
    _BYTES_PER[_prefix] = _BYTES_PER[f"{_prefix}B"] = 1024**_power
_BYTES = re.compile(r"(\d+)\s*([A-Za-z]*)")


def parse_duration_ns(value: object) -> int:
    """Return the nanoseconds of `1w`, `30d1h`, `1.5h` or a bare 0.

    Raises: ValueError.
    """
    if value == 0 and not isinstance(value, bool):
        return 0
    if not isinstance(value, str):
        raise WrongValue("not a duration", value)
    text = value.strip()
    if text == "0":
        return 0
    total, position = 0, 0
    while position < len(text):
        part = _DURATION_PART.match(text, position)
        if part is None:
            break
        total += _scaled(part[1], _DURATION_NS[part[2]])
        position = part.end()
    if not text or position != len(text):
        raise WrongValue("not a duration", value)
    return total


def _scaled(number: str, unit_ns: int) -> int:
    whole, _, fraction = number.partition(".")
    scaled = int(whole) * unit_ns
    if fraction:
        scaled += int(fraction) * unit_ns // 10 ** len(fraction)
    return scaled


def print_duration(duration_ns: int) -> str:
    """Return the shortest text that `parse_duration_ns` reads back, `0s` for 0."""
    parts = []
    for unit in _PRINTED:
        count, duration_ns = divmod(duration_ns, _DURATION_NS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def parse_bytes(value: object) -> int:
    """Return the bytes of `256KB`, `4MB`, `4MiB` or a bare whole number.

    As in Loki all units are powers of 1,024; `MiB` only says so.

    Raises: ValueError.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str):
        found = _BYTES.fullmatch(value.strip())
        factor = _BYTES_PER.get(found[2].upper().replace("IB", "B")) if found else None
        if found is not None and factor is not None:
            return int(found[1]) * factor
    raise WrongValue("not a byte size", value)


def print_bytes(size_bytes: int) -> str:
    """Return the byte size with the largest unit that divides it."""
    for unit in ("EB", "PB", "TB", "GB", "MB", "KB"):
        count, rest = divmod(size_bytes, _BYTES_PER[unit])
        if count and not rest:
            return f"{count}{unit}"
    return f"{size_bytes}B"


def parse_time_ns(value: object) -> int:
    """Return the unix nanoseconds of an RFC 3339 time; 0 and "" mean never.

    Raises: ValueError.
    """
    if value in (0, "", "0") or value is None:
        return 0
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise WrongValue("not an RFC 3339 time", value) from None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if not isinstance(value, datetime):
        raise WrongValue("not an RFC 3339 time", value)
    if value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    since = value - datetime(1970, 1, 1, tzinfo=UTC)
    whole_s = since.days * 86_400 + since.seconds
    return whole_s * NS_PER_S + since.microseconds * 1_000


_YEAR_1_S = -62_135_596_800
_YEAR_10000_S = 253_402_300_800


def print_time(time_ns: int) -> str:
    """Return whole seconds of RFC 3339 in UTC, `2026-11-13T21:45:53Z`."""
    seconds = time_ns // NS_PER_S
    assert _YEAR_1_S <= seconds < _YEAR_10000_S
    moment = datetime.fromtimestamp(seconds, tz=UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
