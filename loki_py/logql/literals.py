"""Durations, sizes and numbers as LogQL, Prometheus and Go write them."""

import math
import re
from decimal import Decimal

from loki_py.model.labels import quote

NS_PER = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
DURATION_NS_MAX = 2**63 - 1
FLOAT_EXPONENT_MIN = 6
"""Powers of ten from here on are printed as `1e+06`."""
DURATION_TEXT_MAX = 128
"""Characters of a duration; longer text is not one."""

_PROMETHEUS_UNITS = (
    ("y", 365 * 24 * 3600 * 1000),
    ("w", 7 * 24 * 3600 * 1000),
    ("d", 24 * 3600 * 1000),
    ("h", 3600 * 1000),
    ("m", 60 * 1000),
    ("s", 1000),
    ("ms", 1),
)
_PROMETHEUS_UNIT_RANK = {unit: rank for rank, (unit, _) in enumerate(_PROMETHEUS_UNITS)}
_GO_TERM = re.compile(r"([0-9]*)(\.[0-9]*)?([^0-9.]*)")
_BYTES = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(B|[kKMGTP]B|[KMGTP]iB)")
_BYTES_PER = {"B": 1}
for _power, _prefix in enumerate("KMGTP", start=1):
    _BYTES_PER[f"{_prefix}B"] = 1000**_power
    _BYTES_PER[f"{_prefix}iB"] = 1024**_power
_BYTES_PER["kB"] = 1000
_SIZE = re.compile(r"([0-9.,]*)(.*)", re.DOTALL)
_SIZE_UNITS = {"": 1, "b": 1}
for _power, _prefix in enumerate("kmgtpe", start=1):
    _SIZE_UNITS[_prefix] = _SIZE_UNITS[f"{_prefix}b"] = 1000**_power
    _SIZE_UNITS[f"{_prefix}i"] = _SIZE_UNITS[f"{_prefix}ib"] = 1024**_power
_GO_FLOAT = re.compile(
    r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
    r"|0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)[pP][+-]?[0-9]+"
    r"|(?i:inf|infinity)|(?i:nan))"
)


class LiteralInvalid(ValueError):
    """Text that is not the literal it should be; the message is Go's."""


def parse_prometheus_duration(text: str) -> int:
    """Return the nanoseconds of `1h30m`: units y w d h m s ms, descending.

    Raises: LiteralInvalid with Prometheus's text.
    """
    if text == "0":
        return 0
    if text == "":
        raise LiteralInvalid("empty duration string")
    total_ms, last_rank, rest = 0, -1, text
    while rest:
        digits = re.match("[0-9]*", rest)
        assert digits is not None
        count = digits.group()
        if not count:
            raise LiteralInvalid(f'not a valid duration string: "{text}"')
        rest = rest[len(count) :]
        unit_match = re.match("[^0-9]*", rest)
        assert unit_match is not None
        unit = unit_match.group()
        rest = rest[len(unit) :]
        if not unit:
            raise LiteralInvalid(f'not a valid duration string: "{text}"')
        rank = _PROMETHEUS_UNIT_RANK.get(unit)
        if rank is None:
            raise LiteralInvalid(f'unknown unit "{unit}" in duration "{text}"')
        if rank <= last_rank:
            raise LiteralInvalid(f'not a valid duration string: "{text}"')
        last_rank = rank
        if len(count) > len(str(DURATION_NS_MAX)):
            raise LiteralInvalid("duration out of range")
        total_ms += int(count) * _PROMETHEUS_UNITS[rank][1]
        if total_ms * NS_PER["ms"] > DURATION_NS_MAX:
            raise LiteralInvalid("duration out of range")
    return total_ms * NS_PER["ms"]


def print_prometheus_duration(duration_ns: int) -> str:
    """Return `1h30m`; parts below a millisecond are dropped, as Prometheus does."""
    total = rest = duration_ns // NS_PER["ms"]
    if rest == 0:
        return "0s"
    parts = []
    for unit, size in _PROMETHEUS_UNITS:
        # Years and weeks are only used where nothing would remain.
        if unit in {"y", "w"} and total % size:
            continue
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def parse_go_duration(text: str) -> int:
    """Return the nanoseconds of Go's `-1.5h`, `1m30s`, `100us`.

    Raises: LiteralInvalid with Go's text.
    """
    invalid = LiteralInvalid(f"time: invalid duration {quote(text)}")
    sign, rest = (-1, text[1:]) if text[:1] == "-" else (1, text.removeprefix("+"))
    if rest == "0":
        return 0
    if not rest or len(rest) > DURATION_TEXT_MAX:
        raise invalid
    total = 0
    while rest:
        term = _GO_TERM.match(rest)
        assert term is not None
        whole, fraction, unit = term.group(1), term.group(2) or "", term.group(3)
        if not whole and fraction in {"", "."}:
            raise invalid
        if not unit:
            raise LiteralInvalid(f"time: missing unit in duration {quote(text)}")
        size = NS_PER.get(unit)
        if size is None:
            raise LiteralInvalid(
                f"time: unknown unit {quote(unit)} in duration {quote(text)}"
            )
        digits = fraction[1:]
        total += int(whole or "0") * size
        if digits:
            total += int(digits) * size // 10 ** len(digits)
        if total > DURATION_NS_MAX + (sign < 0):
            raise invalid
        rest = rest[term.end() :]
    return sign * total


def print_go_duration(duration_ns: int) -> str:
    """Return Go's `1h30m0s`, `250ms`, `1.5µs`."""
    if duration_ns == 0:
        return "0s"
    sign = "-" if duration_ns < 0 else ""
    size = abs(duration_ns)
    for unit in ("ns", "µs", "ms"):
        if size < NS_PER[unit] * 1000:
            return f"{sign}{_fraction(size, NS_PER[unit])}{unit}"
    minutes, rest = divmod(size, NS_PER["m"])
    seconds = _fraction(rest, NS_PER["s"])
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{sign}{hours}h{minutes}m{seconds}s"
    return f"{sign}{minutes}m{seconds}s" if minutes else f"{sign}{seconds}s"


def _fraction(size: int, unit: int) -> str:
    whole, rest = divmod(size, unit)
    if not rest:
        return str(whole)
    digits = str(rest).zfill(len(str(unit)) - 1).rstrip("0")
    return f"{whole}.{digits}"


def parse_duration(text: str) -> int:
    """Return the nanoseconds of a Prometheus or else a Go duration.

    Raises: LiteralInvalid with Go's text.
    """
    try:
        return parse_prometheus_duration(text)
    except LiteralInvalid:
        return parse_go_duration(text)


def parse_bytes(text: str) -> int:
    """Return the bytes of a size literal such as `5KB`, `1.5MiB`.

    Raises: LiteralInvalid.
    """
    match = _BYTES.fullmatch(text)
    if match is None or len(text) > DURATION_TEXT_MAX:
        raise LiteralInvalid(f"strconv.ParseFloat: parsing {quote(text)}")
    size = int(float(match.group(1)) * _BYTES_PER[match.group(2)])
    if size >= 2**64:
        raise LiteralInvalid(f"too large: {text}")
    return size


def print_bytes(size: int) -> str:
    """Return a size with SI units and at most one decimal: `5.0kB`, `15MB`; lossy."""
    if size < 10:
        return f"{size}B"
    power = min(int(math.log(size) / math.log(1000)), 6)
    value = math.floor(size / 1000**power * 10 + 0.5) / 10
    unit = ("B", "kB", "MB", "GB", "TB", "PB", "EB")[power]
    return f"{value:.1f}{unit}" if value < 10 else f"{value:.0f}{unit}"


def parse_float(text: str) -> float:
    """Return the number that Go's strconv.ParseFloat reads.

    Raises: LiteralInvalid with Go's text.
    """
    quoted = quote(text)
    if not _GO_FLOAT.fullmatch(text):
        raise LiteralInvalid(f"strconv.ParseFloat: parsing {quoted}: invalid syntax")
    if text.lstrip("+-")[:2] in {"0x", "0X"}:
        try:
            return float.fromhex(text)
        except OverflowError:
            value = math.inf
    else:
        value = float(text)
    if math.isinf(value) and "n" not in text.lower():
        raise LiteralInvalid(
            f"strconv.ParseFloat: parsing {quoted}: value out of range"
        )
    return value


def print_float(value: float, *, exponent: bool = True) -> str:
    """Return a number as Go's %v prints it, or without exponent as 'f' does."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    sign, digits, power = Decimal(repr(value)).normalize().as_tuple()
    assert isinstance(power, int)
    minus = "-" if sign else ""
    text = "".join(map(str, digits))
    point = len(text) + power
    if text == "0":
        return minus + "0"
    if exponent and not -4 <= point - 1 < FLOAT_EXPONENT_MIN:
        return minus + _scientific(text, point - 1)
    if point <= 0:
        return f"{minus}0.{'0' * -point}{text}"
    if point >= len(text):
        return minus + text + "0" * (point - len(text))
    return f"{minus}{text[:point]}.{text[point:]}"


def _scientific(digits: str, exponent: int) -> str:
    tail = f".{digits[1:]}" if len(digits) > 1 else ""
    sign = "-" if exponent < 0 else "+"
    return f"{digits[0]}{tail}e{sign}{abs(exponent):02d}"


def parse_size(text: str) -> float:
    """Return the bytes of a size as people write it: `5`, `1.5 kb`, `2 MiB`.

    Raises: LiteralInvalid with Loki's text.
    """
    split = _SIZE.fullmatch(text)
    assert split is not None
    value = parse_float(split.group(1).replace(",", ""))
    unit = split.group(2).strip().lower()
    if unit not in _SIZE_UNITS:
        raise LiteralInvalid(f"unhandled size name: {unit}")
    size = value * _SIZE_UNITS[unit]
    if size >= 2**64:
        raise LiteralInvalid(f"too large: {text}")
    return float(int(size))
