"""Times and durations as the command line takes and shows them."""

import re
from datetime import UTC, datetime, tzinfo

from loki_py.config.units import NS_PER_S, parse_duration_ns

_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)"
    r"(?:[T ](\d\d:\d\d(?::\d\d)?)(?:(?<=:\d\d:\d\d)[.,](\d{1,9})\d*)?"
    r"(Z|[+-]\d\d:?\d\d)?)?",
    re.ASCII,
)
_EPOCH_UNITS_NS = {10: NS_PER_S, 13: 1_000_000, 16: 1_000, 19: 1}


def parse_moment(text: str, *, zone: tzinfo | None = UTC) -> int:
    """Return unix nanoseconds of an RFC 3339 time or a unix time.

    A unix time is seconds, milli-, micro- or nanoseconds by its 10, 13, 16 or
    19 digits; a time without an offset is in `zone`, None for the local one. A date
    alone is its midnight.

    Raises: ValueError.
    """
    if text.isdecimal() and text.isascii():
        unit_ns = _EPOCH_UNITS_NS.get(len(text))
        if unit_ns is None:
            raise ValueError(f"not a time of 10, 13, 16 or 19 digits: {text!r}")
        return int(text) * unit_ns
    found = _RFC3339.fullmatch(text)
    if found is None:
        raise ValueError(f"not an RFC 3339 or unix time: {text!r}")
    day, clock, fraction, offset = found.groups(default="")
    moment = datetime.fromisoformat(f"{day}T{clock or '00:00'}{offset}")
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone) if zone else moment.astimezone()
    return unix_ns_of(moment) + int((fraction or "0").ljust(9, "0"))


def unix_ns_of(moment: datetime) -> int:
    """Return unix nanoseconds of a time that has a zone."""
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    whole_s = since.days * 86_400 + since.seconds
    return whole_s * NS_PER_S + since.microseconds * 1_000


def parse_since(text: str) -> int:
    """Return the nanoseconds of a duration such as `1h30m`.

    Raises: ValueError.
    """
    return parse_duration_ns(text)


def print_clock(time_ns: int, zone: tzinfo | None) -> str:
    """Return the time of day in `zone`, None for the local one, to milliseconds."""
    seconds, fraction_ns = divmod(time_ns, NS_PER_S)
    moment = datetime.fromtimestamp(seconds, tz=zone or UTC)
    if zone is None:
        moment = moment.astimezone()
    return f"{moment:%H:%M:%S}.{fraction_ns // 1_000_000:03}"


def print_moment(time_ns: int, zone: tzinfo | None, *, digits: bool = False) -> str:
    """Return RFC 3339 in `zone`, None for the local one.

    Args:
        digits: show the fraction of the second, without trailing zeros.
    """
    seconds, fraction_ns = divmod(time_ns, NS_PER_S)
    moment = datetime.fromtimestamp(seconds, tz=zone or UTC)
    if zone is None:
        moment = moment.astimezone()
    offset = moment.strftime("%z")
    shown_offset = "Z" if offset in {"+0000", ""} else f"{offset[:3]}:{offset[3:5]}"
    fraction = ""
    if digits and fraction_ns:
        fraction = "." + f"{fraction_ns:09d}".rstrip("0")
    return f"{moment:%Y-%m-%dT%H:%M:%S}{fraction}{shown_offset}"
