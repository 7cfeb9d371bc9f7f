"""The values of one key in a column of logfmt lines, found on bytes.

All lines of a column lie in one buffer. The key's places are found by
comparing whole buffers, everything else is decided for all places at once.
What is not plainly decidable is left to a reader of single lines: lines with
escaped or stray quotes, values that are empty or have escapes, `=` or quotes
inside.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

from loki_py.logql.exec.frame import Mask
from loki_py.model.batch import Rows, offsets_of
from loki_py.model.views import INLINE_BYTES
from loki_py.model.words import MASKS, Bytes, Words, words_of

PADDING_BYTES = 128
"""What lies behind copied texts, so that words can be read of the last."""

_PADDING = pl.Series(["\0" * PADDING_BYTES])
_QUOTE, _EQUALS, _BACKSLASH, _SPACE = (ord(char) for char in '"=\\ ')
_WILD, _NOT_ASCII = ord("_"), 0x80
_EVERY_BYTE = 0x0101010101010101
_HIGH_BITS = np.uint64(0x80 * _EVERY_BYTE)
_HALF_BITS = np.uint64(32)
_REPLACEMENT = np.frombuffer("\ufffd".encode(), np.uint8)


@dataclass(frozen=True, slots=True)
class LineBuffer:
    """The bytes of a column of lines, with zeros behind.

    Attributes:
        raw: uint8, all bytes.
        words: uint64 by position, the eight bytes from there on.
        start, end: int64[n], the range of each line.
        quotes: int64, where double quotes stand.
        unclear: bool[n], lines whose quotes do not simply open and close values.
    """

    raw: Bytes
    words: Words
    start: Rows
    end: Rows
    quotes: Rows
    unclear: Mask

    @classmethod
    def of(cls, lines: pl.Series) -> "LineBuffer":
        """Return the buffer of lines without null."""
        raw, start, end = texts_copied(lines)
        quotes = np.flatnonzero(raw == _QUOTE)
        unclear = _unclear_lines(raw, start, end, quotes)
        return cls(raw, words_of(raw), start, end, quotes, unclear)

    def line_of(self, at: Rows) -> Rows:
        """Return the line of each position, positions in ascending order."""
        return _line_of(self.start, at)


def texts_copied(texts: pl.Series) -> tuple[Bytes, Rows, Rows]:
    """Return texts without null one behind the other, and where each begins and ends.

    PADDING_BYTES zeros are behind them.
    """
    column = pl.concat([texts, _PADDING]).to_arrow(compat_level=pl.CompatLevel.oldest())
    offsets = offsets_of(column)
    raw = np.frombuffer(column.buffers()[2], np.uint8)
    return raw, offsets[:-2], offsets[1:-1]


def _line_of(start: Rows, at: Rows) -> Rows:
    lines: Rows = np.searchsorted(start, at, side="right")
    return lines - 1


def _unclear_lines(raw: Bytes, start: Rows, end: Rows, quotes: Rows) -> Mask:
    unclear = np.zeros(len(start), np.bool_)
    if len(quotes):
        line = _line_of(start, quotes)
        before = np.searchsorted(quotes, start)
        is_opening = (np.arange(len(quotes)) - before[line]) % 2 == 0
        prior = np.where(quotes > start[line], raw[quotes - 1], 0)
        following = np.where(quotes + 1 < end[line], raw[quotes + 1], _SPACE)
        good = np.where(is_opening, prior == _EQUALS, following <= _SPACE)
        good &= prior != _BACKSLASH
        unclear[line[~good]] = True
        count = np.bincount(line, minlength=len(start))
        unclear |= count % 2 == 1
    if len(raw) and raw.max() >= _REPLACEMENT[0]:
        places = np.flatnonzero(raw[:-2] == _REPLACEMENT[0])
        spelled = (raw[places + 1] == _REPLACEMENT[1]) & (
            raw[places + 2] == _REPLACEMENT[2]
        )
        unclear[_line_of(start, places[spelled])] = True
    return unclear


def values_of_key(lines: LineBuffer, name: str) -> tuple[pl.Series, Mask]:
    """Return a key's first value per line, null where missing, and where it is sure.

    Lines without the key are sure too, unless another key could become this
    name by having its characters replaced.
    """
    key = name.encode()
    at, line, exact = _places_of(lines, key)
    start = at + len(key) + 1
    end, plain = _ends_of(lines, start, line)
    quoted = (lines.raw[start] == _QUOTE) & (start < lines.end[line])
    start = start + quoted
    count = len(lines.start)
    sure = ~lines.unclear
    if _WILD in key:
        sure &= ~_may_be_longer(lines, key)
    sure[line[~exact | ~plain | (end <= start)]] = False
    first, last = np.zeros(count, np.int64), np.zeros(count, np.int64)
    has = np.zeros(count, np.bool_)
    first[line], last[line], has[line] = start, end, True
    return texts_of_spans(lines.raw, lines.words, first, last, has & sure), sure


def _places_of(lines: LineBuffer, key: bytes) -> tuple[Rows, Rows, Mask]:
    """Return where a key first stands in each line that has it, and the lines.

    A `_` stands for any character, which a label name has replaced; the mask
    tells whether the place spells the key itself.
    """
    raw = lines.raw
    found = raw[1:] == _EQUALS
    if key[-1] != _WILD:
        found &= raw[:-1] == key[-1]
    at = np.flatnonzero(found) + 1 - len(key)
    at = at[at >= 0]
    for begin, part in _parts(key):
        mask = bytes(0 if byte == _WILD else 0xFF for byte in part)
        spelled = bytes(0 if byte == _WILD else byte for byte in part)
        at = at[lines.words[at + begin] & _number(mask) == _number(spelled)]
    line = lines.line_of(at)
    line_start = lines.start[line]
    good = (at + len(key) < lines.end[line]) & (
        (at == line_start) | (raw[at - 1] <= _SPACE)
    )
    if len(lines.quotes):
        before = np.searchsorted(lines.quotes, at)
        before -= np.searchsorted(lines.quotes, line_start)
        good &= before % 2 == 0
    at, line = at[good], line[good]
    is_first = np.ones(len(line), np.bool_)
    np.not_equal(line[1:], line[:-1], out=is_first[1:])
    at, line = at[is_first], line[is_first]
    exact = np.ones(len(at), np.bool_)
    for begin, part in _parts(key):
        exact &= lines.words[at + begin] & MASKS[len(part)] == _number(part)
    return at, line, exact


def _parts(key: bytes) -> list[tuple[int, bytes]]:
    return [(begin, key[begin : begin + 8]) for begin in range(0, len(key), 8)]


def _number(part: bytes) -> np.uint64:
    return np.uint64(int.from_bytes(part, "little"))


def _may_be_longer(lines: LineBuffer, key: bytes) -> Mask:
    """Return where a key of other length could become this name.

    A character of several bytes becomes one `_`; a key that begins with a digit
    gets one before it.
    """
    may_be = np.zeros(len(lines.start), np.bool_)
    if key[:1] == b"_" and key[1:2].isdigit():
        may_be[:] = True
    elif len(lines.raw) and lines.raw.max() >= _NOT_ASCII:
        may_be[lines.line_of(np.flatnonzero(lines.raw >= _NOT_ASCII))] = True
    return may_be


def _ends_of(lines: LineBuffer, start: Rows, line: Rows) -> tuple[Rows, Mask]:
    """Return where the values end, and where they hold nothing that is unclear."""
    line_end = lines.end[line]
    end = line_end.copy()
    plain = np.ones(len(start), np.bool_)
    quoted = lines.raw[start] == _QUOTE
    if quoted.any():
        following = np.searchsorted(lines.quotes, start[quoted], side="right")
        closing = np.append(lines.quotes, len(lines.raw))[following]
        end[quoted] = np.minimum(closing, line_end[quoted])
        escapes = np.flatnonzero(lines.raw == _BACKSLASH)
        escaped = np.searchsorted(escapes, start[quoted]) < np.searchsorted(
            escapes, end[quoted]
        )
        plain[quoted] = (closing < line_end[quoted]) & ~escaped
    active = np.flatnonzero(~quoted & (start < line_end))
    at = start[active]
    while len(active):
        hit = stops_of(lines.words[at])
        found = hit != 0
        place = at[found] + first_byte(hit[found])
        ended = active[found]
        inside = place < line_end[ended]
        end[ended[inside]] = place[inside]
        plain[ended[inside]] = lines.raw[place[inside]] <= _SPACE
        at, active = at[~found] + 8, active[~found]
        within = at < line_end[active]
        at, active = at[within], active[within]
    return end, plain


def stops_of(words: Words) -> Words:
    """Return words whose lowest set bit is in the first byte that ends a value.

    Those are bytes up to a space, `=` and `"`.
    """
    return bytes_below(words, _SPACE + 1) | bytes_equal(words, b'="')


def bytes_equal(words: Words, wanted: bytes) -> Words:
    """Return words whose lowest set bit is in the first byte that is one wanted."""
    stops = np.zeros(len(words), np.uint64)
    for byte in wanted:
        stops |= bytes_below(words ^ np.uint64(byte * _EVERY_BYTE), 1)
    return stops


def bytes_below(words: Words, bound: int) -> Words:
    """Return words whose lowest set bit is in the first byte below the bound."""
    # The usual trick: exact for the lowest such byte, which is the one asked for.
    return (words - np.uint64(bound * _EVERY_BYTE)) & ~words & _HIGH_BITS


def bytes_until(hits: Words) -> Words:
    """Return masks of the bytes below the one that each word's first bit is in.

    Of a word without hits all bytes are.
    """
    lowest = hits & (~hits + np.uint64(1))
    return (lowest >> np.uint64(7)) - np.uint64(1)


def first_byte(hits: Words) -> Rows:
    """Return in which byte, counted from the lowest, each word's first bit is set."""
    lowest = hits & (~hits + np.uint64(1))
    return (np.bitwise_count(lowest - np.uint64(1)) >> 3).astype(np.int64)


def texts_of_spans(
    raw: Bytes, words: Words, start: Rows, end: Rows, present: Mask
) -> pl.Series:
    """Return `raw[start:end]` as text per row, null where not present.

    Longer texts share the buffer. Starts lie at least eight bytes before its end.
    """
    length = np.where(present, end - start, 0)
    low = words[start] & MASKS[np.minimum(length, 8)]
    # Where the next eight bytes are not all there, they are the last of the last.
    high_at = np.minimum(start + 8, len(words) - 1)
    beyond = np.minimum(start + 8 - high_at, 7)
    high = words[high_at] >> (8 * beyond).astype(np.uint64)
    high &= MASKS[np.clip(length - 8, 0, 8)]
    return texts_of_words(low, high, length, start, raw, present)


def texts_of_words(
    low: Words, high: Words, length: Rows, start: Rows, raw: Bytes, present: Mask
) -> pl.Series:
    """Return texts of which the first words are at hand, null where not present.

    Args:
        low, high: the first eight bytes, the next eight; 0 behind a text's end.
        start: where in `raw` each text is that is too long for its view.
    """
    views = np.empty((len(start), 2), "<u8")
    views[:, 0] = length.astype(np.uint64) | low << _HALF_BITS
    views[:, 1] = low >> _HALF_BITS | high << _HALF_BITS
    is_long = length > INLINE_BYTES
    if is_long.any():
        views[is_long, 1] = start[is_long].astype(np.uint64) << _HALF_BITS
    validity = None
    if not present.all():
        validity = pa.py_buffer(np.packbits(present, bitorder="little"))
    column = pa.Array.from_buffers(
        pa.string_view(),
        len(start),
        [validity, pa.py_buffer(views), pa.py_buffer(raw)],
    )
    texts = pl.from_arrow(column)
    assert isinstance(texts, pl.Series)
    return texts
