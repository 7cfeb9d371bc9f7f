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
from loki_py.model.batch import Rows
from loki_py.model.results import Floats
from loki_py.model.views import INLINE_BYTES
from loki_py.model.words import Words

_WORD_DIGITS = np.uint64(8)
"""Digits that are read at once, and the most before a dot."""

_EVERY_BYTE = 0x0101010101010101
_HIGH_BITS = np.uint64(0x80 * _EVERY_BYTE)
_LOW_BITS = np.uint64(0x7F * _EVERY_BYTE)
_ZEROS = np.uint64(ord("0") * _EVERY_BYTE)
_ABOVE_NINE = np.uint64((0x7F - 9) * _EVERY_BYTE)
_GATHERED = np.uint64(0x0102040810204080)
"""Factor that brings the lowest bits of a word's bytes together in its highest byte."""

_DOT, _BYTE = np.uint64(ord(".")), np.uint64(0xFF)
_BITS_SHIFT, _SEVEN_BITS, _BYTE_BITS, _HALF_BITS, _HIGHEST, _WORD_BITS = (
    np.uint64(bits) for bits in (3, 7, 8, 32, 56, 64)
)
_SIZE = np.uint64(0xFFFFFFFF)
_POWERS = 10.0 ** np.arange(INLINE_BYTES + 1)
_WHOLE_POWERS = 10 ** np.arange(INLINE_BYTES + 1, dtype=np.int64)
_PAIRS = (
    (np.uint64(0x0F * _EVERY_BYTE), np.uint64(10 * 2**8 + 1), np.uint64(8)),
    (np.uint64(0x00FF00FF00FF00FF), np.uint64(100 * 2**16 + 1), np.uint64(16)),
    (np.uint64(0x0000FFFF0000FFFF), np.uint64(10_000 * 2**32 + 1), np.uint64(32)),
)
"""Mask, factor and shift by which neighbouring digits become one number."""


def scaled_numbers(
    texts: pl.Series, units: Mapping[str, float]
) -> tuple[Floats, Mask] | None:
    """Return number times unit per text, and where the text is plainly that.

    Plain is `digits` or `digits.digits`, at most eight digits before the dot, and
    a unit of `units`, in at most twelve bytes. Where it is not, the number means
    nothing. None where the column is not of views.
    """
    column = texts.rechunk().to_arrow(compat_level=pl.CompatLevel.newest())
    if column.type != pa.string_view():
        return None
    views: Words = np.frombuffer(column.buffers()[1], "<u8").reshape(-1, 2)
    views = views[column.offset : column.offset + len(column)]
    first, second = views[:, 0], views[:, 1]
    size = first & _SIZE
    low, high = first >> _HALF_BITS | second << _HALF_BITS, second >> _HALF_BITS
    plain = (size > 0) & (size <= INLINE_BYTES)
    if column.null_count:
        plain &= texts.is_not_null().to_numpy()
    if not plain.all():
        low, high = np.where(plain, low, 0), np.where(plain, high, 0)
    # Behind twelve bytes are zeros, which are no digits: there is always a next one.
    others = _no_digits(low) | _no_digits(high) << _BYTE_BITS
    whole = _lowest_bit(others)
    is_dotted = (low >> (whole << _BITS_SHIFT) & _BYTE) == _DOT
    end = np.where(is_dotted, _lowest_bit(others & (others - np.uint64(1))), whole)
    fraction = end - whole - is_dotted
    plain &= (whole > 0) & (whole <= _WORD_DIGITS) & (is_dotted <= (fraction > 0))
    number = _numbers(low, high, whole, fraction)
    scale, known = _scales_of(_from(low, high, end), units)
    return number / _POWERS.take(fraction.view(np.int64)) * scale, plain & known


def _no_digits(words: Words) -> Words:
    """Return words whose bit i tells whether their byte i is no digit."""
    differ = words ^ _ZEROS
    found = ((differ & _LOW_BITS) + _ABOVE_NINE | differ) & _HIGH_BITS
    return (found >> _SEVEN_BITS) * _GATHERED >> _HIGHEST


def _lowest_bit(words: Words) -> Words:
    """Return which bit is the lowest that is set."""
    below = (words & (~words + np.uint64(1))) - np.uint64(1)
    places: Words = np.bitwise_count(below).astype(np.uint64)
    return places


def _numbers(low: Words, high: Words, whole: Words, fraction: Words) -> Rows:
    """Return what all digits say, those before the dot and those behind it."""
    digits = whole + fraction
    before = (np.uint64(1) << (whole << _BITS_SHIFT)) - np.uint64(1)
    behind = low >> _BYTE_BITS | high << _HIGHEST
    # Where no dot is, what follows the digits before it does not count.
    first = low & before | behind & ~before
    if int(digits.max(initial=0)) <= _WORD_DIGITS:
        return _number_of(first, digits)
    number = _number_of(first, np.minimum(digits, _WORD_DIGITS))
    more = np.clip(digits, _WORD_DIGITS, INLINE_BYTES) - _WORD_DIGITS
    number *= _WHOLE_POWERS.take(more.view(np.int64))
    return number + _number_of(high >> _BYTE_BITS, more)


def _from(low: Words, high: Words, start: Words) -> Words:
    """Return the eight bytes from `start` on, as far as the text has them."""
    bits: Words = start << _BITS_SHIFT
    # A shift by more than a word's bits, below zero too, leaves nothing.
    word: Words = low >> bits | high << (_WORD_BITS - bits)
    return word | high >> (bits - _WORD_BITS)


def _number_of(words: Words, count: Words) -> Rows:
    """Return what the first `count` bytes, all digits, say."""
    number = words << (_WORD_BITS - (count << _BITS_SHIFT))
    for mask, factor, shift in _PAIRS:
        number = (number & mask) * factor >> shift
    return number.view(np.int64)


def _scales_of(
    spelled: Words, units: Mapping[str, float]
) -> tuple[Floats | float, Mask]:
    """Return the size of the unit that each word spells, and where it is one."""
    known = np.zeros(len(spelled), np.bool_)
    scale = np.zeros(len(spelled))
    for unit, factor in units.items():
        is_this = spelled == np.uint64(int.from_bytes(unit.encode(), "little"))
        if is_this.all():
            return factor, is_this
        if is_this.any():
            scale[is_this] = factor
            known |= is_this
            if known.all():
                break
    return scale, known
