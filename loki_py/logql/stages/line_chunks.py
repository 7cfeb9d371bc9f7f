"""Neighbouring lines as one text, to see at once that none holds a text.

Lines of a block lie one behind the other. Searching them together costs no step
per line, and most needles are in few places: what is then searched line by line
is the neighbourhood of those.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

from loki_py.logql.exec.frame import Mask
from loki_py.model.batch import Rows, offsets_of
from loki_py.model.views import INLINE_BYTES, is_viewed, root_of, viewed_in, views_of

CHUNK_ROWS = 256
_ROWS_MIN = 8 * CHUNK_ROWS
"""Fewer lines are as well searched one by one."""


@dataclass(frozen=True, slots=True)
class LineChunks:
    """Runs of adjoining lines of a column.

    Attributes:
        texts: the lines of each run as one text; what is found in it may begin
            in one line and end in the next.
        first: int64, the row with which each run begins.
        rows_count: rows of the column.
    """

    texts: pl.Series
    first: Rows
    rows_count: int

    @classmethod
    def of(cls, lines: "pa.Array") -> "LineChunks | None":
        """Return the runs; None where the lines do not lie so, or are few."""
        if len(lines) < _ROWS_MIN or lines.null_count:
            return None
        if is_viewed(lines):
            return cls._of_views(lines)
        first = np.arange(0, len(lines), CHUNK_ROWS)
        offsets = offsets_of(lines)[np.append(first, len(lines))]
        texts = pa.Array.from_buffers(
            pa.large_string(),
            len(first),
            [None, pa.py_buffer(offsets), lines.buffers()[2]],
        )
        return cls(pl.Series(pl.from_arrow(texts)), first, len(lines))

    @classmethod
    def _of_views(cls, lines: "pa.StringViewArray") -> "LineChunks | None":
        root = root_of(lines)
        views = views_of(lines)
        if root is None or int(views[:, 0].min()) <= INLINE_BYTES:
            return None
        start = views[:, 3].astype(np.int64)
        end = start + views[:, 0]
        begins = np.zeros(len(lines), np.bool_)
        begins[::CHUNK_ROWS] = True
        begins[1:] |= start[1:] != end[:-1]
        first = np.flatnonzero(begins)
        if len(first) * CHUNK_ROWS > 4 * len(lines):
            return None
        size = end[np.append(first[1:], len(lines)) - 1] - start[first]
        texts = pl.Series(pl.from_arrow(viewed_in(root, start[first], size)))
        return cls(texts, first, len(lines))

    def holding(self, texts: Sequence[str]) -> list[Mask]:
        """Return for each text which runs may have a line that holds it."""
        column = pl.col("text").str
        found = pl.DataFrame({"text": self.texts}).select_seq(
            column.contains(text, literal=True).alias(str(i))
            for i, text in enumerate(texts)
        )
        return [found[str(i)].to_numpy() for i in range(len(texts))]

    def by_row(self, runs: Mask) -> Mask:
        """Return the same by row."""
        return np.repeat(runs, np.diff(self.first, append=self.rows_count))
