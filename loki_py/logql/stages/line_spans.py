"""Parts of lines by where they begin and end, for all lines of a column at once."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from loki_py.logql.stages.key_values import bytes_equal, first_byte, texts_of_spans
from loki_py.logql.stages.line_views import LineViews, numbers_of
from loki_py.model.batch import Rows
from loki_py.model.words import WORD_BYTES, Bytes, Words

_NEAR_WORDS = 12
"""Steps of eight bytes, or to the next candidate, that are taken for all lines at
once; what lies farther is searched for line by line, in Rust."""


@dataclass(frozen=True, slots=True)
class LineSpans:
    """Where the lines of a column lie; eight bytes can be read from each place.

    Attributes:
        raw: the bytes that all lines lie in, and maybe others.
        words: uint64 by position in `raw`, the eight bytes from there on.
        start, end: int64[n], the range of each line in `raw`.
    """

    raw: Bytes
    words: Words
    start: Rows
    end: Rows

    @classmethod
    def of(cls, lines: pl.Series) -> "LineSpans":
        """Return the spans of lines without null; copies those it must."""
        views = LineViews.of(lines)
        if views is not None and not views.outside.any():
            last = int(views.end.max()) if len(lines) else 0
            if last + WORD_BYTES <= len(views.raw):
                return cls(views.raw, views.words, views.start, views.end)
        return cls.copied(lines)

    @classmethod
    def copied(cls, lines: pl.Series) -> "LineSpans":
        """Return the spans of copies of lines without null, one after the other."""
        views = LineViews.copied(lines)
        return cls(views.raw, views.words, views.start, views.end)

    def find(self, text: str, rows: Rows, at: Rows) -> Rows:
        """Return where the text first stands behind `at` in each row, -1 if nowhere.

        Args:
            text: not empty.
            rows: which lines to look at.
            at: int64[len(rows)], from where on.
        """
        wanted = text.encode()
        places = np.full(len(rows), -1, np.int64)
        left = np.arange(len(rows))
        if len(wanted) <= WORD_BYTES:
            left, at = self._near(wanted, self.end[rows] - len(wanted), at, places)
        if len(left):
            end = self.end[rows[left]]
            every = np.ones(len(left), np.bool_)
            rest = texts_of_spans(self.raw, self.words, at, end, every)
            found = numbers_of(rest.str.find(text, literal=True), -1)
            places[left] = np.where(found < 0, -1, at + found)
        return places

    def _near(
        self, wanted: bytes, last: Rows, at: Rows, places: Rows
    ) -> tuple[Rows, Rows]:
        """Set the places that lie near; return who is left, and to look from where.

        Args:
            last: the last place where it can stand in each row.
        """
        pivot = max(range(len(wanted)), key=lambda i: _rareness(wanted[i]))
        byte = wanted[pivot : pivot + 1]
        spelled = np.uint64(int.from_bytes(wanted, "little"))
        mask = np.uint64((1 << 8 * len(wanted)) - 1)
        left = np.flatnonzero(at <= last)
        at = at[left]
        for _ in range(_NEAR_WORDS):
            if not len(left):
                break
            hits = bytes_equal(self.words[at + pivot], byte)
            is_hit = hits != 0
            at = at + np.where(is_hit, first_byte(hits), WORD_BYTES)
            inside = at <= last[left]
            found = is_hit & inside
            if len(wanted) > 1:
                found &= self.words[at] & mask == spelled
            places[left[found]] = at[found]
            goes_on = inside & ~found
            left, at = left[goes_on], (at + is_hit)[goes_on]
        return left, at

    def texts(self, rows: Rows, start: Rows, end: Rows) -> pl.Series:
        """Return `raw[start:end]` of the rows, null for all others."""
        count = len(self.start)
        first, last = np.zeros(count, np.int64), np.zeros(count, np.int64)
        present = np.zeros(count, np.bool_)
        first[rows], last[rows], present[rows] = start, end, True
        return texts_of_spans(self.raw, self.words, first, last, present)


def _rareness(byte: int) -> int:
    """Return how rare a byte is in lines, roughly."""
    char = chr(byte)
    if char == " ":
        return 0
    return 1 if char.isalnum() else 2
