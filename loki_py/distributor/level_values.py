"""Level words as values and as text, compared eight bytes at a time."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from loki_py.distributor.level_words import (
    AFTER_WORD,
    BEFORE_WORD,
    CODE_OF_VALUE,
    CODE_OF_WORD,
    UNKNOWN,
)
from loki_py.distributor.line_bytes import (
    LineBytes,
    Mask,
    first_of_each,
    true_positions,
)
from loki_py.model.batch import Rows
from loki_py.model.words import MASKS, Bytes

Codes = npt.NDArray[np.uint8]

_QUOTE, _SPACE = ord('"'), ord(" ")
_ONE = np.uint64(1)
_ONES = np.uint64(0x0101010101010101)
_HIGHS = np.uint64(0x8080808080808080)
_SPACES = np.uint64(0x2121212121212121)
_QUOTES = np.uint64(0x2222222222222222)
_INFORMATION = b"information"


def _word(text: bytes) -> int:
    return int.from_bytes(text[:8], "little")


class _WordTable:
    """Words of at most eight bytes to codes, by one multiplication each."""

    _BITS = 6

    def __init__(self, codes: Mapping[int, int]) -> None:
        self._factor = np.uint64(self._perfect_factor(list(codes)))
        self._words = np.zeros(1 << self._BITS, np.uint64)
        self._codes = np.zeros(1 << self._BITS, np.uint8)
        words = np.array(list(codes), np.uint64)
        self._words[self._slots(words)] = words
        self._codes[self._slots(words)] = list(codes.values())

    def _perfect_factor(self, words: list[int]) -> int:
        factor = 0x9E3779B97F4A7C15
        while True:
            slots = {
                (word * factor & (1 << 64) - 1) >> 64 - self._BITS for word in words
            }
            if len(slots) == len(words) and 0 not in slots:
                return factor
            factor = (factor * 6364136223846793005 + 1442695040888963407) % (1 << 64)

    def _slots(self, words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        return (words * self._factor) >> np.uint64(64 - self._BITS)

    def codes_of(self, words: npt.NDArray[np.uint64]) -> Codes:
        """Return the code of each word, UNKNOWN where it is not in the table."""
        slots = self._slots(words)
        return np.where(self._words[slots] == words, self._codes[slots], UNKNOWN)


_VALUES = _WordTable(
    {_word(word): code for word, code in CODE_OF_VALUE.items() if len(word) <= 8}
)
_STEMS = _WordTable({_word(word[:3]): 1 for word in CODE_OF_WORD})


def value_codes(lines: LineBytes, at: Rows, end: Rows) -> Codes:
    """Return the level that the value at each position spells, in quotes or not.

    An unquoted value ends at the first byte up to a space.
    """
    quoted = (lines.raw[at] == _QUOTE) & (at < end)
    if quoted.any():
        at = at + quoted
        words = lines.raw_words[at]
        others = words ^ _QUOTES
        stops = np.where(quoted, (others - _ONES) & ~others, (words - _SPACES) & ~words)
    else:
        words = lines.raw_words[at]
        stops = (words - _SPACES) & ~words
    stops &= _HIGHS
    size = np.bitwise_count((stops & (~stops + _ONE)) - _ONE) >> 3
    left = end - at
    codes = _VALUES.codes_of(lines.low_words[at] & MASKS[np.minimum(size, left)])
    longer = ((stops == 0) & (left > 8)).nonzero()[0]
    if len(longer):
        codes[longer] = _long_codes(
            lines, at[longer], end[longer], codes[longer], quoted[longer]
        )
    return codes


def _long_codes(
    lines: LineBytes, at: Rows, end: Rows, codes: Codes, quoted: Mask
) -> Codes:
    """Return the codes of values that did not end within eight bytes."""
    codes = np.where(_ends_at(lines, at + 8, end, quoted), codes, UNKNOWN)
    size = len(_INFORMATION)
    fits = at + size <= end
    spelled = lines.spells(_INFORMATION, np.where(fits, at, 0), exact=False) & fits
    spelled &= _ends_at(lines, np.where(fits, at + size, 0), end, quoted)
    return np.where(spelled, CODE_OF_VALUE[_INFORMATION], codes)


def _ends_at(lines: LineBytes, at: Rows, end: Rows, quoted: Mask) -> Mask:
    following = lines.raw[at]
    stops: Mask = np.where(quoted, following == _QUOTE, following <= _SPACE)
    stops |= at == end
    return stops


def _byte_set(members: bytes) -> npt.NDArray[np.bool_]:
    table = np.zeros(256, np.bool_)
    table[list(members)] = True
    return table


_IS_BEFORE = _byte_set(BEFORE_WORD)
_IS_AFTER = _byte_set(AFTER_WORD)


def text_codes(lines: LineBytes) -> Codes:
    """Return the level of the first level word in the text of each line."""
    codes = np.zeros(len(lines), np.uint8)
    at = _stems(lines)
    if not len(at):
        return codes
    found_at, found_code = [], []
    for word, code in CODE_OF_WORD.items():
        hits = at[lines.spells(word, at, exact=False)]
        found_at.append(hits)
        found_code.append(np.full(len(hits), code + (len(word) << 8)))
    hits = np.concatenate(found_at)
    if not len(hits):
        return codes
    order = np.argsort(hits, kind="stable")
    hits, packed = hits[order], np.concatenate(found_code)[order]
    rows = lines.row_of(hits)
    after = hits + (packed >> 8)
    bounded = (hits == lines.start[rows]) | _IS_BEFORE[lines.raw[hits - 1]]
    ends = after == lines.end[rows]
    bounded &= ends | ((after < lines.end[rows]) & _IS_AFTER[lines.raw[after]])
    rows, packed = rows[bounded], packed[bounded]
    first = first_of_each(rows)
    codes[rows[first]] = packed[first] & 0xFF
    return codes


def _stems(lines: LineBytes) -> Rows:
    """Return, ascending, where the first three letters of a level word stand.

    Words begin with c to i or t to w, after a byte that is no letter or digit,
    or at a line's start.
    """
    low: Bytes = lines.low
    begins, other = lines.mask("first"), lines.mask("second")
    begins[0] = False
    np.less(low[:-1], np.uint8(ord("0")), out=begins[1:])
    begins[1:] |= np.equal(low[:-1], np.uint8(ord("=")), out=other[1:])
    begins[1:] |= np.greater(low[:-1], np.uint8(ord("z")), out=other[1:])
    begins[lines.start] = True
    letters = np.less(low - np.uint8(ord("c")), np.uint8(7), out=other)
    letters |= low - np.uint8(ord("t")) < np.uint8(4)
    begins &= letters
    at = true_positions(begins)
    return at[_STEMS.codes_of(lines.low_words[at] & MASKS[3]) > 0]
