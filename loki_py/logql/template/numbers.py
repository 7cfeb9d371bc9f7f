"""Arithmetic of templates: loose conversions, 64-bit integers, exact decimals."""

import math
import re
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Context, Decimal, Overflow

from loki_py.logql.literals import LiteralInvalid, parse_float
from loki_py.logql.template.errors import CallFailed
from loki_py.logql.template.values import Value

_DECIMAL = Context(prec=400, rounding=ROUND_HALF_UP)
_DECIMAL_TEXT = re.compile(r"([-+]?[0-9]*)\.[0-9]*")
_INT_TEXT = re.compile(
    r"[-+]?(?:0[xX](?:_?[0-9a-fA-F])+|0[bB](?:_?[01])+|0[oO]?(?:_?[0-7])+"
    r"|0|[1-9](?:_?[0-9])*)"
)
_OCTAL_TEXT = re.compile(r"[-+]?0(?:_?[0-7])+")
_INT_CHARS_MAX = 160
"""More than any integer that fits needs, were every bit a digit and apart."""

_QUOTIENT_STEP = Decimal(1).scaleb(-16)
"""Quotients have sixteen digits after the point."""


def wrapped(value: int) -> int:
    """Return the value as a signed 64-bit integer holds it."""
    return (value + 2**63) % 2**64 - 2**63


def to_int(value: Value) -> int:
    """Return a value as an integer; what is no number is 0."""
    match value:
        case bool() | int():
            return wrapped(int(value))
        case float():
            return int(value) if abs(value) < 2**63 else -(2**63)
        case str():
            return _int_of_text(value)
        case _:
            return 0


def _int_of_text(text: str) -> int:
    """Return the whole part of a decimal number, or a Go integer, or 0.

    As in Go's sources a leading zero makes it octal.
    """
    decimal = _DECIMAL_TEXT.fullmatch(text)
    digits = text if decimal is None else decimal[1]
    if _INT_TEXT.fullmatch(digits) is None or len(digits) > _INT_CHARS_MAX:
        return 0
    base = 8 if _OCTAL_TEXT.fullmatch(digits) else 0
    whole = int(digits.replace("_", ""), base)
    return whole if -(2**63) <= whole < 2**63 else 0


def to_float(value: Value) -> float:
    """Return a value as a float; what is no number is 0."""
    match value:
        case bool() | int() | float():
            return float(value)
        case str():
            try:
                return parse_float(value)
            except LiteralInvalid:
                return 0.0
        case _:
            return 0.0


def divided(left: int, right: int) -> int:
    """Return the quotient, rounded towards zero.

    Raises: CallFailed.
    """
    if right == 0:
        raise CallFailed("runtime error: integer divide by zero")
    quotient = abs(left) // abs(right)
    return wrapped(quotient if (left < 0) == (right < 0) else -quotient)


def remainder(left: int, right: int) -> int:
    """Return what `divided` leaves, with the sign of `left`.

    Raises: CallFailed.
    """
    return left - divided(left, right) * right


def decimal_fold(
    values: list[Value], step: Callable[[Decimal, Decimal], Decimal]
) -> float:
    """Return numbers combined from the left without binary rounding.

    Raises: CallFailed.
    """
    numbers = [to_float(value) for value in values]
    for number in numbers:
        if not math.isfinite(number):
            raise CallFailed(f"Cannot create a Decimal from {_special(number)}")
    total = Decimal(repr(numbers[0]))
    for number in numbers[1:]:
        total = step(total, Decimal(repr(number)))
    return float(total)


def decimal_add(left: Decimal, right: Decimal) -> Decimal:
    """Return the sum."""
    return _DECIMAL.add(left, right)


def decimal_subtract(left: Decimal, right: Decimal) -> Decimal:
    """Return the difference."""
    return _DECIMAL.subtract(left, right)


def decimal_multiply(left: Decimal, right: Decimal) -> Decimal:
    """Return the product."""
    try:
        return _DECIMAL.multiply(left, right)
    except Overflow:
        return Decimal(0)


def decimal_divide(left: Decimal, right: Decimal) -> Decimal:
    """Return the quotient.

    Raises: CallFailed.
    """
    if right == 0:
        raise CallFailed("decimal division by 0")
    quotient = _DECIMAL.divide(left, right)
    return _DECIMAL.quantize(quotient, _QUOTIENT_STEP)


def rounded(value: float, places: int, round_on: float = 0.5) -> float:
    """Return the value rounded up where its rest reaches `round_on`."""
    scale = math.pow(10, max(min(places, 300), -300))
    scaled = scale * value
    if not math.isfinite(scaled):
        return value
    rest = math.modf(scaled)[0]
    whole = math.ceil(scaled) if rest >= round_on else math.floor(scaled)
    return whole / scale


def _special(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "+Inf" if value > 0 else "-Inf"
