"""Short texts of a number and a unit, such as `12.5ms`, as numbers, by column.

A text of at most twelve bytes lies in its view: two words. Where its number
ends, where its dot is and what its digits say is found for all bytes of a word
at once, and for all texts of a column together.
"""

from collections.abc import Mapping

import numpy as np
import polars as pl
import pyarrow as pa

from loki_py.logql.exec.frame import Mask
from loki_py.logql.stages.key_values import Words, first_byte
from loki_py.model.batch import Rows
from loki_py.model.results import Floats
from loki_py.model.views import INLINE_BYTES, views_of

_UNIT_BYTES_MAX = 3
_DIGITS_MAX = 8
"""Digits before the dot, and behind it, that are read at once."""

_EVERY_BYTE = 0x0101010101010101
_HIGH_BITS = np.uint64(0x80 * _EVERY_BYTE)
_LOW_BITS = np.uint64(0x7F * _EVERY_BYTE)
_DOTS, _SLASHES = (np.uint64(ord(char) * _EVERY_BYTE) for char in "./")
_ABOVE_NINE = np.uint64((0x7F - ord("9")) * _EVERY_BYTE)
_WORD_BITS, _HALF_BITS = np.uint64(64), np.uint64(32)
_POWERS = 10.0 ** np.arange(_DIGITS_MAX + 1)
_WHOLE_POWERS = 10 ** np.arange(_DIGITS_MAX + 1, dtype=np.int64)
_PAIRS = (
    (np.uint64(0x0F * _EVERY_BYTE), np.uint64(10 * 2**8 + 1), np.uint64(8)),
    (np.uint64(0x00FF00FF00FF00FF), np.uint64(100 * 2**16 + 1), np.uint64(16)),
    (np.uint64(0x0000FFFF0000FFFF), np.uint64(10_000 * 2**32 + 1), np.uint64(32)),
)
"""Mask, factor and shift by which neighbouring digits become one number."""

_NO_HITS: Words = np.zeros(1, np.uint64)


def scaled_numbers(
    texts: pl.Series, units: Mapping[str, float]
) -> tuple[Floats, Mask] | None:
    """Return number times unit per text, and where the text is plainly that.

    Plain is `digits` or `digits.digits`, of at most eight digits each, and a
    unit of `units`, in at most twelve bytes. Where it is not, the number means
    nothing. None where the column is not of views.
    """
    column = texts.rechunk().to_arrow(compat_level=pl.CompatLevel.newest())
    if column.type != pa.string_view():
        return None
    views = views_of(column)
    size = views[:, 0].astype(np.int64)
    plain = (size > 0) & (size <= INLINE_BYTES)
    if column.null_count:
        plain &= texts.is_not_null().to_numpy()
    low = views[:, 1] | views[:, 2].astype(np.uint64) << _HALF_BITS
    high = views[:, 3].astype(np.uint64)
    if not plain.all():
        low, high = np.where(plain, low, 0), np.where(plain, high, 0)
    count = _first_of(_stops_of(low), _stops_of(high))
    dot = np.minimum(_first_of(_equal(low, _DOTS), _equal(high, _DOTS)), count)
    begin = np.minimum(dot + 1, count)
    fraction = count - begin
    plain &= (dot > 0) & (dot <= _DIGITS_MAX) & (begin <= _DIGITS_MAX)
    # A dot has digits behind it, and no other dot.
    plain &= (dot == count) | ((fraction > 0) & (fraction <= _DIGITS_MAX))
    rest = _from(low, high, begin)
    plain &= _first_of(_equal(rest, _DOTS), _NO_HITS) >= fraction
    digits = np.clip(fraction, 0, _DIGITS_MAX)
    whole = _number_of(low, np.minimum(dot, _DIGITS_MAX)) * _WHOLE_POWERS[digits]
    whole += _number_of(rest, digits)
    scale, known = _scales_of(_from(low, high, count), size - count, units)
    return whole / _POWERS[digits] * scale, plain & known


def _stops_of(words: Words) -> Words:
    """Return words with a bit in each byte that is no digit and no dot."""
    low = words & _LOW_BITS
    inside = ((low | _HIGH_BITS) - _DOTS) & ~(low + _ABOVE_NINE) & ~words
    return (~inside & _HIGH_BITS) | _equal(words, _SLASHES)


def _equal(words: Words, wanted: np.uint64) -> Words:
    """Return words with a bit in each byte that is the wanted one."""
    differ = words ^ wanted
    return ~(((differ & _LOW_BITS) + _LOW_BITS) | differ) & _HIGH_BITS


def _first_of(low: Words, high: Words) -> Rows:
    """Return in which byte of a text the first bit is, 16 where nowhere."""
    return np.where(low != 0, first_byte(low), 8 + first_byte(high))


def _from(low: Words, high: Words, start: Rows) -> Words:
    """Return the eight bytes from `start` on, as far as the text has them."""
    bits = (start << 3).view(np.uint64)
    # A shift by more than a word's bits, below zero too, leaves nothing.
    word = low >> bits | high << (_WORD_BITS - bits)
    return word | np.where(start > _DIGITS_MAX, high >> (bits - _WORD_BITS), 0)


def _number_of(words: Words, count: Rows) -> Rows:
    """Return what the first `count` bytes, all digits, say."""
    number = words << (_WORD_BITS - (count << 3).view(np.uint64))
    for mask, factor, shift in _PAIRS:
        number = (number & mask) * factor >> shift
    return number.view(np.int64)


def _scales_of(
    spelled: Words, size: Rows, units: Mapping[str, float]
) -> tuple[Floats, Mask]:
    """Return the unit that the first `size` bytes of each word spell."""
    scale = np.zeros(len(spelled))
    known = np.zeros(len(spelled), np.bool_)
    bits = np.clip(size, 0, _UNIT_BYTES_MAX) << 3
    spelled = spelled & ((np.uint64(1) << bits.view(np.uint64)) - np.uint64(1))
    for unit, factor in units.items():
        text = unit.encode()
        if len(text) <= _UNIT_BYTES_MAX:
            is_this = spelled == np.uint64(int.from_bytes(text, "little"))
            if is_this.any():
                scale[is_this] = factor
                known |= is_this
                if known.all():
                    break
    return scale, known & (size <= _UNIT_BYTES_MAX)
