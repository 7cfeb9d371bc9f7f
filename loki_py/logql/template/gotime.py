"""Go's time.Time as templates see it: layouts, zones, printing, parsing."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

NS = 1_000_000_000
ZERO_NS = -62_135_596_800 * NS
"""The first instant of the year 1, Go's zero time."""

_EPOCH_DAYS = datetime(1970, 1, 1, tzinfo=UTC).toordinal()
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August",
    "September", "October", "November", "December",
)  # fmt: skip
_DAYS = (
    "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday",
)  # fmt: skip
_LAYOUT = re.compile(
    r"January|Jan(?![a-z])|Monday|Mon(?![a-z])|MST|002|01|02|03|04|05|06|15|1"
    r"|_?2006|__2|_2|2|3|4|5|PM|pm|[-Z]07:00:00|[-Z]070000|[-Z]07:00|[-Z]0700"
    r"|[-Z]07|[.,](?:0+|9+)(?![0-9])"
)
_ZONE_TEXT = re.compile(
    r"[A-Z]{3,4}|[+-][0-9]{2}"
)  # names such as UTC, CEST; Go also takes GMT+3 and numeric names


class TimeInvalid(ValueError):
    """Text that does not fit its layout."""


@dataclass(frozen=True, slots=True)
class GoTime:
    """An instant and the zone it is shown in.

    Attributes:
        ns: since 1970 in UTC.
    """

    ns: int
    zone: tzinfo = UTC

    def __str__(self) -> str:
        return format_time(self, "2006-01-02 15:04:05.999999999 -0700 MST")


def zone_named(name: str) -> tzinfo:
    """Return the zone of an IANA name; UTC for "", "Local" and unknown names."""
    if name in {"", "UTC", "Local"}:
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        return UTC


@dataclass(frozen=True, slots=True)
class _Fields:
    """What a layout shows of an instant."""

    moment: datetime
    fraction_ns: int
    offset_seconds: int
    zone_name: str


def format_time(time: GoTime, layout: str) -> str:
    """Return the instant in a layout made of Go's reference time.

    Years outside 1 to 9999 are shown as the nearest of them.
    """
    seconds, fraction_ns = divmod(time.ns, NS)
    try:
        moment = datetime.fromtimestamp(0, UTC) + timedelta(seconds=seconds)
        moment = moment.astimezone(time.zone)
    except OverflowError:
        year, month, day = (9999, 12, 31) if seconds > 0 else (1, 1, 1)
        moment = datetime(year, month, day, tzinfo=UTC)
    offset = moment.utcoffset() or timedelta()
    fields = _Fields(
        moment, fraction_ns, int(offset.total_seconds()), moment.tzname() or ""
    )
    parts: list[str] = []
    at = 0
    for match in _LAYOUT.finditer(layout):
        parts += [layout[at : match.start()], _shown(match.group(), fields)]
        at = match.end()
    return "".join([*parts, layout[at:]])


def _shown(piece: str, fields: _Fields) -> str:
    moment = fields.moment
    simple: dict[str, Callable[[], str]] = {
        "January": lambda: _MONTHS[moment.month - 1],
        "Jan": lambda: _MONTHS[moment.month - 1][:3],
        "Monday": lambda: _DAYS[moment.weekday()],
        "Mon": lambda: _DAYS[moment.weekday()][:3],
        "MST": lambda: fields.zone_name,
        "002": lambda: f"{moment.timetuple().tm_yday:03d}",
        "__2": lambda: f"{moment.timetuple().tm_yday:3d}",
        "01": lambda: f"{moment.month:02d}",
        "1": lambda: str(moment.month),
        "02": lambda: f"{moment.day:02d}",
        "_2": lambda: f"{moment.day:2d}",
        "2": lambda: str(moment.day),
        "15": lambda: f"{moment.hour:02d}",
        "03": lambda: f"{(moment.hour - 1) % 12 + 1:02d}",
        "3": lambda: str((moment.hour - 1) % 12 + 1),
        "04": lambda: f"{moment.minute:02d}",
        "4": lambda: str(moment.minute),
        "05": lambda: f"{moment.second:02d}",
        "5": lambda: str(moment.second),
        "06": lambda: f"{moment.year % 100:02d}",
        "2006": lambda: f"{moment.year:04d}",
        "_2006": lambda: f"_{moment.year:04d}",
        "PM": lambda: "PM" if moment.hour >= 12 else "AM",
        "pm": lambda: "pm" if moment.hour >= 12 else "am",
    }
    show = simple.get(piece)
    if show is not None:
        return show()
    if piece[0] in "-Z":
        return _shown_offset(piece, fields.offset_seconds)
    digits = f"{fields.fraction_ns:09d}"[: len(piece) - 1]
    if piece[1] == "9":
        digits = digits.rstrip("0")
        return piece[0] + digits if digits else ""
    return piece[0] + digits.ljust(len(piece) - 1, "0")


def _shown_offset(piece: str, offset: int) -> str:
    if piece[0] == "Z" and offset == 0:
        return "Z"
    sign = "-" if offset < 0 else "+"
    minutes, seconds = divmod(abs(offset), 60)
    hours, minutes = divmod(minutes, 60)
    numbers = [hours, minutes, seconds][: len(re.findall("07|00", piece))]
    return sign + (":" if ":" in piece else "").join(f"{n:02d}" for n in numbers)


_PATTERNS = {
    "January": "|".join(_MONTHS),
    "Jan": "|".join(name[:3] for name in _MONTHS),
    "Monday": "|".join(_DAYS),
    "Mon": "|".join(name[:3] for name in _DAYS),
    "MST": _ZONE_TEXT.pattern,
    "002": "[0-9]{3}",
    "__2": " {0,2}[0-9]{1,3}",
    "01": "[0-9]{2}",
    "1": "[0-9]{1,2}",
    "02": "[0-9]{2}",
    "_2": " ?[0-9]{1,2}",
    "2": "[0-9]{1,2}",
    "15": "[0-9]{2}",
    "03": "[0-9]{2}",
    "3": "[0-9]{1,2}",
    "04": "[0-9]{2}",
    "4": "[0-9]{1,2}",
    "05": "[0-9]{2}",
    "5": "[0-9]{1,2}",
    "06": "[0-9]{2}",
    "2006": "[0-9]{4}",
    "_2006": "_[0-9]{4}",
    "PM": "AM|PM",
    "pm": "am|pm",
}
_ROLES = {
    "January": "month_name", "Jan": "month_name", "01": "month", "1": "month",
    "02": "day", "_2": "day", "2": "day", "002": "year_day", "__2": "year_day",
    "15": "hour", "03": "hour", "3": "hour", "04": "minute", "4": "minute",
    "05": "second", "5": "second", "06": "short_year", "2006": "year",
    "_2006": "year", "PM": "half", "pm": "half",
}  # fmt: skip


def parse_time(layout: str, text: str, zone: tzinfo = UTC) -> GoTime:
    """Return the instant that a text in a layout names.

    Args:
        zone: where the text has no offset of its own.

    Raises: TimeInvalid.
    """
    roles: list[str] = []
    parts: list[str] = []
    at = 0
    for match in _LAYOUT.finditer(layout):
        parts.append(re.escape(layout[at : match.start()]))
        at = match.end()
        piece = match.group()
        if piece[0] in ".,":
            roles.append("fraction")
            count = f"{{{len(piece) - 1}}}" if piece[1] == "0" else "+"
            optional = "" if piece[1] == "0" else "?"
            parts.append(f"((?:[.,][0-9]{count}){optional})")
            continue
        roles.append(_ROLES.get(piece, "offset" if piece[0] in "-Z" else ""))
        parts.append(f"({_PATTERNS.get(piece) or _offset_pattern(piece)})")
        # A fraction after seconds is taken even where the layout has none.
        if piece in {"05", "5"} and layout[at : at + 1] not in {".", ","}:
            roles.append("fraction")
            parts.append("((?:[.,][0-9]+)?)")
    found = re.fullmatch("".join([*parts, re.escape(layout[at:])]), text, re.IGNORECASE)
    if found is None:
        raise TimeInvalid(text)
    values = dict(zip(roles, found.groups(), strict=True))
    return _time_of(values, zone)


def _offset_pattern(piece: str) -> str:
    colon = ":" if ":" in piece else ""
    numbers = colon.join(["[0-9]{2}"] * len(re.findall("07|00", piece)))
    return f"[+-]{numbers}" + ("|Z" if piece[0] == "Z" else "")


def _time_of(values: dict[str, str], zone: tzinfo) -> GoTime:
    def number(role: str, default: int) -> int:
        return int(values[role].strip(" _")) if role in values else default

    year = number("year", 0)
    if "short_year" in values:
        short = number("short_year", 0)
        year = short + (1900 if short >= 69 else 2000)
    month = number("month", 1)
    if "month_name" in values:
        names = [name[:3].lower() for name in _MONTHS]
        month = names.index(values["month_name"][:3].lower()) + 1
    hour = number("hour", 0)
    if "half" in values:
        hour = hour % 12 + 12 * (values["half"].lower() == "pm")
    fraction = values.get("fraction", "")[1:10].ljust(9, "0")
    try:
        # Go's default is the year 0, which datetime does not have.
        day = datetime(year or 1, month, number("day", 1), tzinfo=UTC)
        clock = datetime(
            1, 1, 1, hour, number("minute", 0), number("second", 0), tzinfo=UTC
        )
        if "year_day" in values:
            day = datetime(year or 1, 1, 1, tzinfo=UTC)
            day += timedelta(days=number("year_day", 1) - 1)
        local = datetime.combine(day.date(), clock.time())
        shown_in = _zone_of(values.get("offset"), zone)
        offset = local.replace(tzinfo=shown_in).utcoffset() or timedelta()
    except (ValueError, OverflowError):
        raise TimeInvalid(str(values)) from None
    days = local.toordinal() - _EPOCH_DAYS - (366 if year == 0 else 0)
    seconds = days * 86400 + local.hour * 3600 + local.minute * 60 + local.second
    ns = (seconds - int(offset.total_seconds())) * NS
    return GoTime(ns + int(fraction), shown_in)


def _zone_of(offset: str | None, zone: tzinfo) -> tzinfo:
    if offset is None:
        return zone
    digits = offset.replace(":", "")
    if digits in {"Z", "z"}:
        return UTC
    sign = -1 if digits[0] == "-" else 1
    hours, minutes, seconds = (int(digits[i : i + 2] or 0) for i in (1, 3, 5))
    shift = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    return timezone(sign * shift) if shift else UTC
