"""Columns of lines as bytes, read where they lie.

The lines of a block lie in one buffer, and a column is views into it. What a
stage found in many lines can then be read eight bytes at a time, for all lines
at once, without copying a line.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

from loki_py.logql.exec.frame import Mask
from loki_py.logql.stages.key_values import first_byte, texts_copied
from loki_py.model.batch import Rows
from loki_py.model.views import INLINE_BYTES
from loki_py.model.words import WORD_BYTES, Bytes, Words, words_of

NEAR_BYTES = 2 * WORD_BYTES
"""What is read of a text at once."""

_ONE_BUFFER = 3
"""Buffers of a column whose long values lie in one: validity, views, bytes."""


@dataclass(frozen=True, slots=True)
class LineViews:
    """Where the lines of a column lie.

    Attributes:
        lines: the column, without null.
        raw: the bytes that long lines lie in, and maybe others.
        words: uint64 by position in `raw`, the eight bytes from there on.
        start, end: int64[n], the range of each line in `raw`.
        outside: bool[n], lines so short that they do not lie in `raw`.
    """

    lines: pl.Series
    raw: Bytes
    words: Words
    start: Rows
    end: Rows
    outside: Mask

    @classmethod
    def of(cls, lines: pl.Series) -> "LineViews | None":
        """Return the views; None where the lines lie in several buffers or none."""
        column = lines.rechunk().to_arrow(compat_level=pl.CompatLevel.newest())
        buffers = column.buffers()
        if column.type != pa.string_view() or len(buffers) != _ONE_BUFFER:
            return None
        raw: Bytes = np.frombuffer(buffers[2], np.uint8)
        if len(raw) < WORD_BYTES:
            return None
        views = np.frombuffer(buffers[1], "<u4").reshape(-1, 4)
        views = views[column.offset : column.offset + len(column)]
        length = views[:, 0].astype(np.int64)
        start = views[:, 3].astype(np.int64)
        end = start + length
        return cls(lines, raw, words_of(raw), start, end, length <= INLINE_BYTES)

    @classmethod
    def copied(cls, lines: pl.Series) -> "LineViews":
        """Return the views of copies of lines; see `texts_copied`."""
        raw, start, end = texts_copied(lines)
        nowhere = np.zeros(len(lines), np.bool_)
        return cls(lines, raw, words_of(raw), start, end, nowhere)

    def stops(
        self, start: Rows, wanted: Mask, stops_of: Callable[[Words], Words]
    ) -> tuple[Rows, Mask]:
        """Return where the first stop byte is from `start` on, the line's end if none.

        Args:
            start: int64[n], a position in each line.
            wanted: bool[n], lines to look at.
            stops_of: words to words whose lowest set bit is in the first stop byte.

        The mask is false where the bytes could not be looked at, and where not
        wanted.
        """
        end = self.end.copy()
        readable = wanted & ~self.outside & (start < len(self.words))
        active = np.flatnonzero(readable)
        at = start[active]
        while len(active):
            hits = stops_of(self.words[at])
            found = hits != 0
            place = at[found] + first_byte(hits[found])
            end[active[found]] = np.minimum(place, end[active[found]])
            at, active = at[~found] + WORD_BYTES, active[~found]
            within = at < self.end[active]
            at, active = at[within], active[within]
            beyond = at >= len(self.words)
            readable[active[beyond]] = False
            at, active = at[~beyond], active[~beyond]
        return end, readable


def numbers_of(places: pl.Series, missing: int) -> Rows:
    """Return positions that polars found, as int64."""
    if places.null_count():
        places = places.fill_null(missing)
    return places.to_numpy().astype(np.int64)
