"""The values of keys in a column of logfmt lines.

Where a key stands is found by searching each line for its text; what stands
behind it is read where the lines lie (`line_views`), sixteen bytes of all lines
at once. Lines with quotes before the key are looked at closer (`key_values`), and
what is still not plain is left to a reader of single lines.
"""

import itertools

import numpy as np
import polars as pl

from loki_py.logql.exec.frame import Mask
from loki_py.logql.stages.key_values import (
    LineBuffer,
    bytes_below,
    bytes_equal,
    bytes_until,
    stops_of,
    texts_of_spans,
    texts_of_words,
    values_of_key,
)
from loki_py.logql.stages.line_views import NEAR_BYTES, LineViews, numbers_of
from loki_py.model.batch import Rows
from loki_py.model.words import MASKS, WORD_BYTES, Words

_SPACE, _QUOTE = ord(" "), ord('"')
_BYTE, _BYTE_BITS = np.uint64(0xFF), np.uint64(8)
_REPLACEMENT = "\ufffd"
_NOT_ASCII = np.uint64(0x8080808080808080)
_TRIES = 4
"""Places that end as the key does and are another's, before a line is left."""

_COMMON = "0123456789etaoinsrhldcumfpgwybvkxjqz"
"""Characters of lines, about as often as they come; those not here are rare."""


def may_be_sought(name: str, views: LineViews) -> bool:
    """Return whether `KeySearch` reads keys of this name in these lines."""
    has_room = len(views.raw) > len(name) + WORD_BYTES + NEAR_BYTES
    return has_room and name.isascii() and name.isalnum()


class KeySearch:
    """Reads one key of lines.

    Args:
        views: where the lines lie.
        name: the key, of letters and digits; a `_` could stand for another character.
    """

    def __init__(self, views: LineViews, name: str) -> None:
        assert may_be_sought(name, views)
        self._views = views
        self._name = name
        self._key = f"{name}="
        skipped = max(range(len(name)), key=lambda i: _rareness(name[i]))
        self._skipped = skipped
        # The last place where words can be read of all of a key, and behind it.
        self._last = len(views.raw) - len(self._key) - WORD_BYTES
        key = self._key.encode()
        first = WORD_BYTES - 1
        cuts = [0, *range(first, len(key), WORD_BYTES), len(key)]
        self._parts = [key[a:b] for a, b in itertools.pairwise(cuts)]
        self._numbers = [np.uint64(int.from_bytes(p, "little")) for p in self._parts]
        # What comes first decides: the key, or a quote that it may stand behind.
        self._sought = f'"|{self._key[skipped:]}'

    def values(self) -> tuple[pl.Series, Mask]:
        """Return the key's first value per line, null where missing, and where sure."""
        views = self._views
        at, has, sure = self._places()
        wanted = has & sure
        start = np.where(wanted, at + len(self._key), 0)
        if int(start.max(initial=0)) + NEAR_BYTES > len(views.raw):
            wanted &= start + NEAR_BYTES <= len(views.raw)
            start = np.where(wanted, start, 0)
        values, read = _values(views, start, wanted)
        sure &= read | ~has
        closer = np.flatnonzero(~sure)
        if not len(closer):
            return values, sure
        lines = views.lines.gather(pl.Series(closer))
        near, near_sure = values_of_key(LineBuffer.of(lines), self._name)
        sure[closer] = near_sure
        return values.scatter(pl.Series(closer), near), sure

    def _places(self) -> tuple[Rows, Mask, Mask]:
        """Return where the key first stands, where it does, and where that is sure.

        It is not where a quote stands before the key.
        """
        views = self._views
        hit = numbers_of(views.lines.str.find(self._sought), -1)
        sure = ~views.outside
        has = sure & (hit >= 0)
        hit = np.where(has, views.start + hit, 0)
        at, is_key = self._keys(hit, slice(None))
        left = np.flatnonzero(has & ~is_key)
        for _ in range(_TRIES):
            if not len(left):
                break
            at_end = hit[left] - self._skipped > self._last
            sure[left[at_end]] = False
            left = left[~at_end]
            is_quote = views.raw[hit[left]] == _QUOTE
            quoted, left = left[is_quote], left[~is_quote]
            behind = self._found(quoted, hit[quoted], self._key)
            has[quoted[behind < 0]] = False
            sure[quoted[behind >= 0]] = False
            place = self._found(left, hit[left] + 1, self._sought)
            has[left[place < 0]] = False
            left, place = left[place >= 0], place[place >= 0]
            hit[left] = place
            at[left], is_key = self._keys(place, left)
            left = left[~is_key]
        sure[left] = False
        return at, has, sure

    def _keys(self, hit: Rows, rows: Rows | slice) -> tuple[Rows, Mask]:
        """Return where the key begins if it is what was found, and where it is."""
        views = self._views
        start = views.start[rows]
        at = hit - self._skipped
        is_key = (at >= start) & (at <= self._last)
        at = np.where(is_key, at, 0)
        # The byte before is read with the key, so there must be one.
        word = views.words[np.maximum(at, 1) - 1]
        is_key &= ((word & _BYTE) <= _SPACE) | (at == start)
        is_key &= word >> _BYTE_BITS & MASKS[len(self._parts[0])] == self._numbers[0]
        for i, part in enumerate(self._parts[1:], 1):
            word = views.words[at + (i * WORD_BYTES - 1)]
            is_key &= word & MASKS[len(part)] == self._numbers[i]
        if views.raw[: len(self._key)].tobytes() == self._key.encode():
            is_key |= (at == 0) & (start == 0)
        return at, is_key

    def _found(self, rows: Rows, start: Rows, sought: str) -> Rows:
        """Return where in some lines, from `start` on, a pattern is, -1 if nowhere."""
        if not len(rows):
            return start
        views = self._views
        every = np.ones(len(rows), np.bool_)
        rest = texts_of_spans(views.raw, views.words, start, views.end[rows], every)
        place = numbers_of(rest.str.find(sought), -1)
        return np.where(place < 0, -1, start + place)


def _rareness(char: str) -> int:
    """Return how rare a character is in lines, roughly."""
    at = _COMMON.find(char)
    return len(_COMMON) if at < 0 else at


def _values(views: LineViews, start: Rows, wanted: Mask) -> tuple[pl.Series, Mask]:
    """Return the values that begin at `start`, null where not wanted, and where read.

    A value is not read where it is empty, where it ends in what ends none, or
    where it holds a character that values lose.
    """
    room = np.where(wanted, views.end - start, 0)
    low = views.words[start]
    kept = bytes_until(bytes_below(low, _SPACE + 1))
    size = np.bitwise_count(kept) >> 3
    low &= kept
    high = np.zeros(1, np.uint64)
    if int(size.max(initial=0)) == WORD_BYTES:
        high, more = _second_words(views, start, size == WORD_BYTES)
        size += more
    length = np.minimum(size, room)
    if (length != size).any():
        low &= MASKS[np.minimum(length, WORD_BYTES)]
        high = high & MASKS[np.maximum(length - WORD_BYTES, 0)]
    odd = bytes_equal(low, b'="') | bytes_equal(high, b'="')
    read = wanted & (length > 0) & (odd == 0)
    is_far = read & (size == NEAR_BYTES) & (room > NEAR_BYTES)
    any_far = bool(is_far.any())
    if any_far:
        end, ended = views.stops(start, is_far, stops_of)
        stop = views.raw[np.minimum(end, len(views.raw) - 1)]
        read &= ~is_far | (ended & ((end == views.end) | (stop <= _SPACE)))
        length = np.where(is_far, end - start, length)
    values = texts_of_words(low, high, length, start, views.raw, read)
    if any_far or ((low | high) & _NOT_ASCII).any():
        lost = values.str.contains(_REPLACEMENT, literal=True)
        read &= ~lost.fill_null(value=False).to_numpy()
    return values, read


def _second_words(views: LineViews, start: Rows, goes_on: Mask) -> tuple[Words, Rows]:
    """Return bytes nine to sixteen of the values that have them, and how many."""
    high = views.words[start + WORD_BYTES]
    kept = bytes_until(bytes_below(high, _SPACE + 1))
    kept = np.where(goes_on, kept, np.uint64(0))
    return high & kept, np.bitwise_count(kept) >> 3
