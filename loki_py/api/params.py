"""What a query asks for: times, durations, numbers and their defaults.

Pure: the caller supplies the clock. Texts and orders of checks are Loki's.
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone

from loki_py.api.forms import Form
from loki_py.config.units import NS_PER_S
from loki_py.errors import ValidationFailed
from loki_py.model.labels import quote
from loki_py.querier.requests import InstantRequest, MetadataRequest, RangeRequest

LIMIT_DEFAULT = 100
SINCE_DEFAULT_NS = 3_600 * NS_PER_S
POINTS_MAX = 11_000
SELECTORS_MAX = 200
"""Of one request for series: each is looked up by itself."""

INT64_MAX = (1 << 63) - 1
INT64_MIN = -(1 << 63)
UINT32_MAX = (1 << 32) - 1

_INTEGER = re.compile(r"[+-]?[0-9]+")
_FLOAT = re.compile(
    r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|inf(?:inity)?|nan)",
    re.IGNORECASE,
)
_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:[.,](\d+))?"
    r"(?:(Z)|([+-])(\d\d):(\d\d))",
    re.ASCII,
)
_DURATION = re.compile(
    "".join(rf"(?:(\d{{1,19}}){unit})?" for unit in ("y", *"wdhms", "ms")),
    re.ASCII,
)
_DURATION_UNITS_NS = (
    365 * 86_400 * NS_PER_S,
    7 * 86_400 * NS_PER_S,
    86_400 * NS_PER_S,
    3_600 * NS_PER_S,
    60 * NS_PER_S,
    NS_PER_S,
    1_000_000,
)
_DIRECTIONS = {"": True, "BACKWARD": True, "FORWARD": False}


def parse_range(
    form: Form, *, now_ns: int, categorized: bool, tags: Mapping[str, str]
) -> RangeRequest:
    """Return what a range query asks for; equal start and end are allowed.

    Raises: ValidationFailed.
    """
    start_ns, end_ns = parse_bounds(form, now_ns=now_ns)
    if end_ns < start_ns:
        raise ValidationFailed(
            "end timestamp must not be before or equal to start time"
        )
    limit = parse_limit(form.get("limit"))
    newest_first = parse_direction(form.get("direction"))
    step_ns = _step_of(form.get("step"), end_ns - start_ns)
    if step_ns <= 0:
        raise ValidationFailed(
            "zero or negative query resolution step widths are not accepted."
            " Try a positive integer"
        )
    if (end_ns - start_ns) // step_ns > POINTS_MAX:
        raise ValidationFailed(
            "exceeded maximum resolution of 11,000 points per time series."
            " Try increasing the value of the step parameter"
        )
    interval = form.get("interval")
    interval_ns = parse_seconds_or_duration(interval) if interval else 0
    if interval_ns < 0:
        raise ValidationFailed("interval must be >= 0")
    return RangeRequest(
        query=form.get("query"),
        start_ns=start_ns,
        end_ns=end_ns,
        step_ns=step_ns,
        interval_ns=interval_ns,
        limit=limit,
        newest_first=newest_first,
        categorized=categorized,
        tags=tags,
    )


def parse_instant(
    form: Form, *, now_ns: int, tags: Mapping[str, str]
) -> InstantRequest:
    """Return what an instant query asks for.

    Raises: ValidationFailed.
    """
    return InstantRequest(
        query=form.get("query"),
        limit=parse_limit(form.get("limit")),
        time_ns=parse_time(form.get("time"), default_ns=now_ns),
        newest_first=parse_direction(form.get("direction")),
        tags=tags,
    )


def parse_labels(form: Form, *, now_ns: int) -> MetadataRequest:
    """Return what a labels or label values request asks for.

    Raises: ValidationFailed.
    """
    start_ns, end_ns = parse_bounds(form, now_ns=now_ns)
    query = form.get("query")
    return MetadataRequest(start_ns, end_ns, (query,) if query else ())


def parse_series(form: Form, *, now_ns: int) -> MetadataRequest:
    """Return what a series request asks for.

    Raises: ValidationFailed.
    """
    start_ns, end_ns = parse_bounds(form, now_ns=now_ns)
    asked = (*form.all("match"), *form.all("match[]"))
    if len(asked) > SELECTORS_MAX:
        raise ValidationFailed(f"{len(asked)} selectors; limit is {SELECTORS_MAX}")
    return MetadataRequest(start_ns, end_ns, tuple(dict.fromkeys(asked)))


def parse_tags(header: str) -> dict[str, str]:
    """Return the tags of `X-Query-Tags: name=value,…`; what is no tag is left out."""
    pairs = (part.partition("=") for part in header.split(","))
    return {
        name.strip().lower(): value.strip()
        for name, equals, value in pairs
        if equals and name.strip()
    }


def parse_bounds(form: Form, *, now_ns: int) -> tuple[int, int]:
    """Return start and end; the default is the hour, or `since`, before the end.

    Raises: ValidationFailed.
    """
    since_ns = SINCE_DEFAULT_NS
    if form.get("since"):
        since_ns = _named("since", parse_duration, form.get("since"))
    end_ns = _named(
        "end", lambda text: parse_time(text, default_ns=now_ns), form.get("end")
    )
    start_default_ns = min(end_ns, now_ns) - since_ns
    start_ns = _named(
        "start",
        lambda text: parse_time(text, default_ns=start_default_ns),
        form.get("start"),
    )
    return start_ns, end_ns


def _named(name: str, parse, text: str) -> int:  # type: ignore[no-untyped-def] # noqa: ANN001
    try:
        parsed: int = parse(text)
    except ValidationFailed as error:
        raise ValidationFailed(f"could not parse '{name}' parameter: {error}") from None
    return parsed


def parse_time(text: str, *, default_ns: int) -> int:
    """Return unix nanoseconds of float seconds, an integer, or an RFC 3339 time.

    An integer of at most ten characters is seconds, a longer one nanoseconds.

    Raises: ValidationFailed.
    """
    if not text:
        return default_ns
    if "." in text and _FLOAT.fullmatch(text):
        seconds = float(text)
        if not math.isfinite(seconds):
            return INT64_MAX if seconds > 0 else INT64_MIN
        fraction, whole = math.modf(seconds)
        return _clamped(int(whole) * NS_PER_S + round(fraction * 1_000) * 1_000_000)
    if _INTEGER.fullmatch(text):
        number = _int64_of(text, "strconv.ParseInt")
        return _clamped(number * NS_PER_S) if len(text) <= 10 else number
    moment_ns = _parse_rfc3339(text)
    if moment_ns is None:
        raise ValidationFailed(
            f"strconv.ParseInt: parsing {quote(text)}: invalid syntax"
        )
    return moment_ns


def _int64_of(digits: str, parser: str) -> int:
    # Python refuses to convert thousands of digits, and so does 64 bits.
    number = int(digits) if len(digits) <= 40 else INT64_MAX + 1
    if INT64_MIN <= number <= INT64_MAX:
        return number
    raise ValidationFailed(f"{parser}: parsing {quote(digits)}: value out of range")


def _parse_rfc3339(text: str) -> int | None:
    found = _RFC3339.fullmatch(text)
    if found is None:
        return None
    offset = UTC
    if found[9]:
        ahead = timedelta(hours=int(found[10]), minutes=int(found[11]))
        if ahead >= timedelta(hours=24):
            return None
        offset = timezone(ahead if found[9] == "+" else -ahead)
    try:
        moment = datetime(*(int(found[i]) for i in range(1, 7)), tzinfo=offset)  # type: ignore[arg-type,misc]
        since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    whole_s = since.days * 86_400 + since.seconds
    return _clamped(whole_s * NS_PER_S + int((found[7] or "0")[:9].ljust(9, "0")))


def _clamped(time_ns: int) -> int:
    return max(INT64_MIN, min(INT64_MAX, time_ns))


def parse_duration(text: str) -> int:
    """Return the nanoseconds of a Prometheus duration: `5m`, `1h30m`, `0`.

    Raises: ValidationFailed.
    """
    if text == "0":
        return 0
    if not text:
        raise ValidationFailed("empty duration string")
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValidationFailed(f"not a valid duration string: {quote(text)}")
    total_ns = sum(
        int(count) * unit_ns
        for count, unit_ns in zip(found.groups(), _DURATION_UNITS_NS, strict=True)
        if count
    )
    if total_ns > INT64_MAX:
        raise ValidationFailed("duration out of range")
    return total_ns


def parse_seconds_or_duration(text: str) -> int:
    """Return the nanoseconds of float seconds or a Prometheus duration.

    Raises: ValidationFailed.
    """
    if _FLOAT.fullmatch(text):
        duration_ns = float(text) * NS_PER_S
        if math.isnan(duration_ns):
            return INT64_MIN
        if not INT64_MIN <= duration_ns <= INT64_MAX:
            raise ValidationFailed(
                f"cannot parse {quote(text)} to a valid duration. It overflows int64"
            )
        return min(int(duration_ns), INT64_MAX)
    try:
        return parse_duration(text)
    except ValidationFailed:
        raise ValidationFailed(
            f"cannot parse {quote(text)} to a valid duration"
        ) from None


def parse_limit(text: str, *, default: int = LIMIT_DEFAULT) -> int:
    """Return a positive number of entries.

    Raises: ValidationFailed.
    """
    if not text:
        return default
    limit = parse_integer(text)
    if limit <= 0:
        raise ValidationFailed("limit must be a positive value")
    return min(limit, UINT32_MAX)


def parse_integer(text: str) -> int:
    """Return a whole number.

    Raises: ValidationFailed.
    """
    if not _INTEGER.fullmatch(text):
        raise ValidationFailed(f"strconv.Atoi: parsing {quote(text)}: invalid syntax")
    return _int64_of(text, "strconv.Atoi")


def parse_direction(text: str) -> bool:
    """Return whether the newest entries come first.

    Raises: ValidationFailed.
    """
    newest_first = _DIRECTIONS.get(text.upper())
    if newest_first is None:
        raise ValidationFailed(f"invalid direction '{text}'")
    return newest_first


def _step_of(text: str, range_ns: int) -> int:
    if text:
        return parse_seconds_or_duration(text)
    return max(range_ns // NS_PER_S // 250, 1) * NS_PER_S
