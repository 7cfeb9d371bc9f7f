"""Texts as numbers, durations, sizes and addresses; one at a time."""

import ipaddress
import math
import re
from fractions import Fraction

import re2

FLOAT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
HEX_FLOAT = re.compile(r"[+-]?0[xX][0-9a-fA-F]+\.?[0-9a-fA-F]*[pP][+-]?[0-9]{1,2}")
NAMED_FLOATS = {"inf": math.inf, "infinity": math.inf, "nan": math.nan}
DURATION_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
NS = {
    "ns": 1, "us": 1_000, "µs": 1_000, "μs": 1_000, "ms": 1_000_000, "s": 10**9,
    "m": 60 * 10**9, "h": 3600 * 10**9,
}  # fmt: skip
SIZE = re.compile(r"([0-9.,]+)\s*([kmgtpe]i?b?|b|)\s*", re.IGNORECASE)
ADDRESS = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")


def number(text):
    """Return the float that the text is, None where it is none."""
    text = re.sub(r"(?<=[0-9])_(?=[0-9])", "", text)
    if FLOAT.fullmatch(text):
        return None if math.isinf(float(text)) else float(text)  # out of range
    if HEX_FLOAT.fullmatch(text):
        return float.fromhex(text)
    sign = -1 if text.startswith("-") else 1
    named = NAMED_FLOATS.get(text.lstrip("+-").lower())
    return None if named is None else sign * named


def duration_ns(text):
    """Return the nanoseconds of `1h2m3.5s`, None where it is no duration."""
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text.lstrip("+"))
    if rest == "0":
        return 0
    if not rest or DURATION_PART.sub("", rest):
        return None
    parts = DURATION_PART.findall(rest)
    size = sum(int(Fraction(count) * NS[unit]) for count, unit in parts)
    return sign * size if size < 2**63 else None


def size_bytes(text):
    """Return the bytes of `5KB` or `1.5 MiB`, None where it is no size."""
    found = SIZE.fullmatch(text)
    if found is None or number(found[1].replace(",", "")) is None:
        return None
    unit = found[2].lower().rstrip("b")
    base = 1024 if unit.endswith("i") else 1000
    power = "kmgtpe".index(unit[0]) + 1 if unit else 0
    size = int(number(found[1].replace(",", "")) * base**power)
    return size if size < 2**64 else None


def address_set(pattern):
    """Return the test of one address for a single one, a network or a range."""
    if "-" in pattern:
        low, high = (ipaddress.ip_address(part) for part in pattern.split("-"))
        return lambda one: one.version == low.version and low <= one <= high
    network = ipaddress.ip_network(pattern, strict=False)
    return lambda one: one in network


def has_address(pattern, text):
    """Return whether an IPv4 address of the set stands in the text."""
    wanted = address_set(pattern)
    for found in ADDRESS.findall(text):
        try:
            if wanted(ipaddress.ip_address(found)):
                return True
        except ValueError:
            continue
    return False


def covers(pattern, text):
    """Return whether an RE2 pattern matches the whole text, line breaks too."""
    return re2.search(f"(?s)^(?:{pattern})$", text) is not None


def matches(matcher, value):
    """Return whether a matcher takes the value; a missing one counts as empty."""
    value = value or ""
    match matcher.type.value:
        case "=":
            return value == matcher.value
        case "!=":
            return value != matcher.value
        case "=~":
            return covers(matcher.value, value)
        case "!~":
            return not covers(matcher.value, value)
