"""Label values as numbers: plain, durations and sizes, by column.

The common spellings are converted as columns; the rest, each distinct text
once, by the exact parsers in `logql.literals`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from loki_py.logql.exec.frame import Mask
from loki_py.logql.literals import (
    LiteralInvalid,
    parse_float,
    parse_go_duration,
)
from loki_py.logql.stages.number_units import scaled_numbers
from loki_py.model.labels import quote
from loki_py.model.results import Floats

_BETWEEN_DIGITS = re.compile(r"(?<=[0-9])_(?=[0-9])")
_NUMBER_CHARS = "0123456789.+-eE"
_NS_PER = {
    "ns": 1.0,
    "us": 1e3,
    "µs": 1e3,
    "ms": 1e6,
    "s": 1e9,
    "m": 60e9,
    "h": 3600e9,
}
_SIZE_UNITS = {"": 1.0, "b": 1.0}
for _power, _letter in enumerate("kmgtpe", start=1):
    _SIZE_UNITS[_letter] = _SIZE_UNITS[f"{_letter}b"] = 1000.0**_power
    _SIZE_UNITS[f"{_letter}i"] = _SIZE_UNITS[f"{_letter}ib"] = 1024.0**_power


def _spelled(units: dict[str, float]) -> dict[str, float]:
    """Return the units as they are often written."""
    plain = {unit: size for unit, size in units.items() if unit}
    upper = {unit.upper(): size for unit, size in plain.items()}
    mixed = {f"{u[0].upper()}{u[1:-1]}B": s for u, s in plain.items() if u[-1] == "b"}
    return {"": 1.0, **plain, **upper, **mixed}


_SPELLED_SIZES = _spelled(_SIZE_UNITS)
_SIZE = re.compile(r"([0-9.,]*)(.*)", re.DOTALL)
_SIZE_MAX = 2.0**64
_DURATION_MAX = 2.0**43
"""Longer durations, in nanoseconds, need more digits than a product has."""

_NOISE_SHARE = 1e-15
"""What multiplying may add to a whole number, or take from it, as its share."""

_NO_NUMBER = pl.Series([None], dtype=pl.Float64)


@dataclass(frozen=True, slots=True)
class Converted:
    """A column of texts as numbers.

    Attributes:
        values: float64[n]; meaningless where bad or missing.
        bad: where a text is no number.
        details: why, per row; null elsewhere.
    """

    values: Floats
    bad: Mask
    details: pl.Series | None


def floats_of(texts: pl.Series) -> Converted:
    """Return Go's strconv.ParseFloat of each text."""
    return _converted(texts, _fast_floats, parse_value)


def parse_value(text: str) -> float:
    """Return the number that a label value is; `_` may stand between digits.

    Raises: LiteralInvalid.
    """
    plain = _BETWEEN_DIGITS.sub("", text) if "_" in text else text
    try:
        return parse_float(plain)
    except LiteralInvalid as error:
        raise LiteralInvalid(str(error).replace(quote(plain), quote(text))) from None


def durations_ns_of(texts: pl.Series) -> Converted:
    """Return Go's time.ParseDuration of each text, in nanoseconds."""
    return _all_plain(texts, _NS_PER, _rounded_ns, _DURATION_MAX) or _converted(
        texts, _fast_durations, parse_go_duration
    )


def sizes_of(texts: pl.Series) -> Converted:
    """Return the bytes that each text means: `5KB`, `1.5 MiB`, `42`."""
    return _all_plain(texts, _SPELLED_SIZES, np.floor, _SIZE_MAX) or _converted(
        texts, _fast_sizes, parse_size
    )


def _all_plain(
    texts: pl.Series,
    units: dict[str, float],
    rounded: Callable[[Floats], Floats],
    bound: float,
) -> Converted | None:
    """Return number times unit; None where some text is not plainly that.

    Args:
        bound: from here on numbers are too large.
    """
    short = scaled_numbers(texts, units)
    if short is None:
        return None
    values, plain = short
    plain &= values < bound
    if not plain.all():
        if not (plain | texts.is_null().to_numpy()).all():
            return None
        values = np.where(plain, values, np.nan)
    return Converted(rounded(values), np.zeros(len(texts), np.bool_), None)


def _rounded_ns(values: Floats) -> Floats:
    """Return whole nanoseconds; what is clearly between two of them is cut off."""
    whole = np.rint(values)
    noise = _NOISE_SHARE * values
    return np.where(np.abs(values - whole) <= noise, whole, np.floor(values))


def _converted(
    texts: pl.Series,
    fast: Callable[[pl.Series], pl.Series],
    slow: Callable[[str], float],
) -> Converted:
    numbers = fast(texts)
    left = (numbers.is_null() & texts.is_not_null()).to_numpy()
    values = numbers.fill_null(np.nan).to_numpy()
    bad = np.zeros(len(texts), dtype=np.bool_)
    if not left.any():
        return Converted(values, bad, None)
    values = values.copy()
    rest = texts.filter(pl.Series(left))
    known: dict[str, float | str] = {}
    for text in rest.unique().to_list():
        try:
            known[text] = float(slow(text))
        except LiteralInvalid as error:
            known[text] = str(error)
    found = [known[text] for text in rest.to_list()]
    values[left] = [np.nan if isinstance(one, str) else one for one in found]
    bad[left] = [isinstance(one, str) for one in found]
    details = np.full(len(texts), None, dtype=object)
    details[left] = [one if isinstance(one, str) else None for one in found]
    return Converted(values, bad, pl.Series(details.tolist(), dtype=pl.String))


def _fast_floats(texts: pl.Series) -> pl.Series:
    numbers = texts.cast(pl.Float64, strict=False)
    plain = (texts.str.strip_chars(_NUMBER_CHARS) == "") & numbers.is_finite()
    return numbers.zip_with(plain.fill_null(value=False), _NO_NUMBER)


def _fast_durations(texts: pl.Series) -> pl.Series:
    numbers = _with_units(texts, _NS_PER, "nuµmsh", _DURATION_MAX)
    return pl.Series(_rounded_ns(numbers.to_numpy()), nan_to_null=True)


def _fast_sizes(texts: pl.Series) -> pl.Series:
    return _with_units(texts, _SPELLED_SIZES, "bBiIkKmMgGtTpPeE", _SIZE_MAX).floor()


def _with_units(
    texts: pl.Series, units: dict[str, float], letters: str, bound: float
) -> pl.Series:
    """Return number times unit, null where that is not below the bound.

    Null, too, where the text is not a number and a unit.
    """
    digits = texts.str.strip_chars_end(letters)
    unit = texts.str.strip_chars_start("0123456789.")
    scale = unit.replace_strict(
        list(units), list(units.values()), default=None, return_dtype=pl.Float64
    )
    numbers = digits.cast(pl.Float64, strict=False)
    plain = digits.str.contains(r"^[0-9]+(?:\.[0-9]+)?$")
    numbers = numbers.zip_with(plain.fill_null(value=False), _NO_NUMBER) * scale
    return numbers.zip_with((numbers < bound).fill_null(value=False), _NO_NUMBER)


def parse_size(text: str) -> float:
    """Return the bytes of a size in the lenient spelling that values may have.

    Raises: LiteralInvalid.
    """
    match = _SIZE.fullmatch(text)
    assert match is not None
    number, unit = match[1].replace(",", ""), match[2].strip().lower()
    try:
        value = parse_float(number)
    except LiteralInvalid:
        raise LiteralInvalid(
            f"strconv.ParseFloat: parsing {quote(number)}: invalid syntax"
        ) from None
    if unit not in _SIZE_UNITS:
        raise LiteralInvalid(f"unhandled size name: {unit}")
    size = value * _SIZE_UNITS[unit]
    if size >= _SIZE_MAX:
        raise LiteralInvalid(f"too large: {text}")
    return float(int(size))
