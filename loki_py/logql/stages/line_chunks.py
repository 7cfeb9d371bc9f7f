"""Neighbouring lines as one text, to see at once that none holds a text."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

from loki_py.logql.exec.frame import Mask
from loki_py.model.batch import Rows, offsets_of
from loki_py.model.line_search import SEARCHED_ROWS_MIN, runs_of_spans
from loki_py.model.views import INLINE_BYTES, is_viewed, root_of, viewed_in, views_of

NEAR_MAX = 0.25
"""Above this share of the runs, choosing some is not worth it."""


class LiteralSearch:
    """Searches runs of lines for texts that every line of interest holds.

    Args:
        literals: the texts.
        picks_lines: whether to choose lines where runs are not worth choosing.

    Attributes:
        is_dense: whether too many runs had all texts; a hint that threads share.
        is_tried: whether anything was searched.
        picks_lines: whether not too many lines had all texts, as far as is known.
    """

    def __init__(self, literals: Sequence[str], *, picks_lines: bool = False) -> None:
        self.is_dense = False
        self.is_tried = False
        self.picks_lines = picks_lines
        self._literals = literals

    @classmethod
    def of(
        cls, literals: Sequence[str], *, picks_lines: bool
    ) -> "LiteralSearch | None":
        """Return the search; None where nothing is sought."""
        return cls(literals, picks_lines=picks_lines) if literals else None

    def holding(self, texts: "pa.Array") -> Mask | None:
        """Return which runs may have a line with the texts; see `LineSearch`."""
        if not len(texts):
            return np.zeros(0, np.bool_)
        found = self._held_by(texts)
        self.is_tried = True
        if found.mean() > NEAR_MAX:
            self.is_dense = True
            return None
        return found

    def lines_holding(self, lines: "pa.Array") -> Mask | None:
        """Return which lines have the texts; see `LineSearch`."""
        if not len(lines):
            return np.zeros(0, np.bool_)
        found = self._held_by(lines)
        if found.mean() > NEAR_MAX:
            self.picks_lines = False
            return None
        return found

    def learn(self, lines: "pa.Array", first: Rows) -> None:
        """Look at some runs of lines; see `LineSearch`."""
        if not len(lines):
            return
        found = self._held_by(lines)
        self.is_tried = True
        self.is_dense |= bool(np.logical_or.reduceat(found, first).mean() > NEAR_MAX)
        self.picks_lines &= bool(found.mean() <= NEAR_MAX)

    def _held_by(self, texts: "pa.Array") -> Mask:
        hits = runs_holding(pl.Series(pl.from_arrow(texts)), self._literals)
        found: Mask = np.logical_and.reduce(hits)
        return found


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
        if len(lines) < SEARCHED_ROWS_MIN or lines.null_count:
            return None
        if is_viewed(lines):
            return cls._of_views(lines)
        cut = runs_of_spans(np.array([0]), np.array([len(lines)]))
        if cut is None:
            return None
        first = cut[0]
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
        apart = np.flatnonzero(start[1:] != end[:-1]) + 1
        cut = runs_of_spans(np.concatenate(([0], apart)), np.append(apart, len(lines)))
        if cut is None:
            return None
        first, last = cut
        texts = viewed_in(root, start[first], end[last - 1] - start[first])
        return cls(pl.Series(pl.from_arrow(texts)), first, len(lines))

    def holding(self, texts: Sequence[str]) -> list[Mask]:
        """Return for each text which runs may have a line that holds it."""
        return runs_holding(self.texts, texts)

    def by_row(self, runs: Mask) -> Mask:
        """Return the same by row."""
        return np.repeat(runs, np.diff(self.first, append=self.rows_count))


def runs_holding(runs: pl.Series, texts: Sequence[str]) -> list[Mask]:
    """Return for each text which runs hold it."""
    column = pl.col("text").str
    found = pl.DataFrame({"text": runs}).select_seq(
        column.contains(text, literal=True).alias(str(i))
        for i, text in enumerate(texts)
    )
    return [found[str(i)].to_numpy() for i in range(len(texts))]
