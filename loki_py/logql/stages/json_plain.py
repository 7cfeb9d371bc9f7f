"""Which lines are plain JSON objects, all of them looked at together.

Plain is an object of strings, numbers, true, false and null, with no white space
but a space behind colons and commas. That needs no stack: where strings lie
follows from counting quotes, and each byte outside of them is right or wrong by
what stands before it. So bytes are sorted into a few classes, a bit per byte and
class, and everything else is operations on words of bits (`json_bits`).
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
import pyarrow as pa

from loki_py.logql.exec.frame import Mask
from loki_py.logql.stages.json_bits import (
    WORD_BITS,
    Bits,
    Ranks,
    after,
    between,
    bits_at,
    bits_up_to,
    carried,
    escaped,
    places_of,
)
from loki_py.model.batch import Rows
from loki_py.model.words import Bytes

_BYTE, _SIGNED = pl.col("byte"), pl.col("signed")
_CLASSES = (
    _BYTE.eq(ord('"')),
    _BYTE.eq(ord("\\")),
    _BYTE.eq(ord(":")),
    _BYTE.eq(ord(",")),
    _BYTE.le(ord("9")),
    _SIGNED.ge(ord("0")),
)
"""What every text is sorted by; the last two together are digits."""

_LOST_IN_NAMES = (_SIGNED.le(ord(" ")),)
"""White space and parts of longer characters, which may be white space too."""

_SPACES = (_BYTE.eq(ord(" ")),)
_SIGNS = (_BYTE.eq(ord("-")), _BYTE.eq(ord(".")))
_LITERALS = (b"true", b"null", b"false")
_OPEN, _CLOSE, _ZERO, _NINE = b"{}09"


def plain_lines(raw: Bytes, start: Rows, end: Rows) -> Mask:
    """Return which lines are plain objects.

    The keys of those are neither escaped nor lose anything where they become
    label names; characters may be replaced.

    Args:
        raw: the lines, one behind the other, none of them empty, and at least
            WORD_BITS bytes behind them.
        start, end: where each lies.
    """
    words_count = int(end[-1]) // WORD_BITS + 1
    tokens = _Tokens(_Text(raw[: words_count * WORD_BITS]), start, end)
    plain: Mask = (raw[start] == _OPEN) & (raw[end - 1] == _CLOSE)
    wrong = tokens.wrong()
    if wrong.any():
        # Look closer: strings may not end with their line, there may be spaces,
        # and other scalars than plain numbers.
        plain &= tokens.end_strings()
        wrong = tokens.wrong(lenient=True)
        # What is missing at the end of a line is seen where the next begins.
        plain &= Ranks(wrong).between(start + 1, end + 1) == 0
    return plain


class _Text:
    """Bytes, sorted into classes when asked."""

    def __init__(self, raw: Bytes) -> None:
        self.raw = raw
        data = [None, pa.py_buffer(raw)]
        columns = {
            "byte": pa.Array.from_buffers(pa.uint8(), len(raw), data),
            "signed": pa.Array.from_buffers(pa.int8(), len(raw), data),
        }
        self._frame = pl.DataFrame(
            {name: pl.from_arrow(column) for name, column in columns.items()}
        )

    def bits(self, classes: Sequence[pl.Expr]) -> list[Bits]:
        """Return for each class where its bytes are."""
        found = self._frame.select_seq(
            one.alias(str(i)) for i, one in enumerate(classes)
        )
        return [
            np.frombuffer(column.to_arrow().buffers()[1], np.uint64)
            for column in found.get_columns()
        ]


class _Tokens:
    """What bytes of lines are, if the lines are plain objects."""

    def __init__(self, text: _Text, start: Rows, end: Rows) -> None:
        self._text, self._start, self._end = text, start, end
        self._inner = bits_up_to(int(end[-1]))
        quote, backslash, *others = text.bits(_CLASSES)
        self._colons, self._commas, self._low, self._high = others
        count = len(quote)
        self._backslash = backslash if backslash.any() else None
        if self._backslash is not None:
            quote = quote & ~escaped(backslash)
        self._quote = quote
        self._first = bits_at(np.append(start, end[-1]), count)
        self._known = self._first | bits_at(end - 1, count)
        self._sort(between(quote))

    def _sort(self, inside: Bits) -> None:
        """Take what tokens are made of, by where strings are."""
        self._string = inside | self._quote
        self._outside = ~self._string
        self._outside[-1] &= self._inner
        self._opening = np.bitwise_and(inside, self._quote, out=inside)
        self._colon = self._colons & self._outside
        self._comma = self._commas & self._outside
        self._scalar = self._low & self._high
        self._scalar &= self._outside

    def end_strings(self) -> Mask:
        """Let strings end with their line; return the lines where they do so anyway."""
        even: Mask = Ranks(self._quote).between(self._start, self._end) % 2 == 0
        if not even.all():
            turned = bits_at(self._end[~even], len(self._quote))
            self._sort(between(self._quote ^ turned))
        return even

    def wrong(self, *, lenient: bool = False) -> Bits:
        """Return bytes that should not be where they are; some in each bad line.

        Args:
            lenient: whether spaces, and scalars that are not digits, are right.
        """
        key_at, value_at = after(self._comma | self._first), after(self._colon)
        if lenient:
            key_at, value_at = self._behind_spaces(key_at, value_at)
            self._add_scalars(value_at)
        return self._wrong(key_at, value_at)

    def _wrong(self, key_at: Bits, value_at: Bits) -> Bits:
        known = self._scalar | self._colon
        known |= self._comma
        known |= self._known
        wrong: Bits = np.bitwise_xor(known, self._outside, out=known)
        key = key_at & self._opening
        wrong |= np.bitwise_xor(key_at, key, out=key_at)
        begin = after(self._scalar)
        np.invert(begin, out=begin)
        begin &= self._scalar
        begin |= self._opening ^ key
        begin ^= value_at
        wrong |= begin
        run = carried(self._string, key)
        # Of what is outside, colons and nothing else stand behind keys.
        behind = run & self._outside
        behind ^= self._colon
        wrong |= behind
        in_key = np.invert(run, out=run)
        in_key &= self._string
        if self._backslash is not None:
            wrong |= in_key & self._backslash
        low = self._high | self._quote
        np.invert(low, out=low)
        low &= in_key
        if low.any():
            (lost,) = self._text.bits(_LOST_IN_NAMES)
            wrong |= in_key & lost
        wrong[-1] &= self._inner
        return wrong

    def _behind_spaces(self, key_at: Bits, value_at: Bits) -> tuple[Bits, Bits]:
        """Return where keys and values begin, each behind one space at most."""
        (space,) = self._text.bits(_SPACES)
        space = space & self._outside
        before_key, before_value = space & key_at, space & value_at
        self._known = self._known | before_key | before_value
        return (
            (key_at ^ before_key) | after(before_key),
            (value_at ^ before_value) | after(before_value),
        )

    def _add_scalars(self, value_at: Bits) -> None:
        """Take numbers with a sign or a point, and words, for values too."""
        sign, point = self._text.bits(_SIGNS)
        self._scalar |= sign & value_at & self._outside
        self._scalar |= point & self._outside & after(self._scalar)
        raw = self._text.raw
        at = places_of(value_at & self._outside & ~self._scalar)
        for word in _LITERALS:
            here = at[at + len(word) < len(raw)]
            for i, byte in enumerate(word):
                here = here[raw[here + i] == byte]
            behind = raw[here + len(word)]
            here = here[(behind < _ZERO) | (behind > _NINE)]
            for i in range(len(word)):
                self._scalar |= bits_at(here + i, len(value_at))
