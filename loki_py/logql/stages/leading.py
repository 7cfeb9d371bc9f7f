"""The lines that survive what comes first in a pipeline: filters on lines alone."""

from collections.abc import Sequence

import numpy as np
import polars as pl
import pyarrow as pa

from loki_py.logql.exec.frame import Mask, Rows
from loki_py.logql.stages.line_chunks import NEAR_MAX, LineChunks
from loki_py.logql.stages.line_filter import Test
from loki_py.logql.stages.regex import contains
from loki_py.model.views import is_viewed, taken

_ODD = ("\\", "\ufffd")
"""A line with one of these may spell a text in another way."""


class SurvivingLines:
    """The lines of a batch, fewer with each test.

    Args:
        column: the batch's lines.
        literals: texts that every surviving line holds.
        needles: texts that a surviving line holds, unless it has odd characters.
        coarse: whether to search neighbouring lines together first.

    Attributes:
        lines: what survives.
        rows: which lines of the batch those are; None for all.
        is_dense: whether searching neighbouring lines together left too many.
    """

    def __init__(
        self,
        column: "pa.Array",
        literals: Sequence[str],
        needles: Sequence[str],
        *,
        coarse: bool,
    ) -> None:
        self.rows: Rows | None = None
        self.is_dense = False
        self._needles = needles
        self._odd: Mask | None = None
        chunks = LineChunks.of(column) if needles or (coarse and literals) else None
        if chunks is not None and coarse:
            column = self._near(column, chunks, literals)
        elif chunks is not None:
            self._note_odd(chunks, chunks.holding(_ODD))
        self.lines = pl.Series(pl.from_arrow(column))

    def _near(
        self, column: "pa.Array", chunks: LineChunks, literals: Sequence[str]
    ) -> "pa.Array":
        """Return the lines in whose neighbourhood the texts are."""
        sought = [*literals, *self._needles]
        found = chunks.holding([*sought, *(_ODD if self._needles else ())])
        keep = np.ones(len(chunks.first), np.bool_)
        for runs in found[: len(literals)]:
            keep &= runs
        if self._needles:
            odd = found[-1] | found[-2]
            for runs in found[len(literals) : len(sought)]:
                keep &= runs | odd
            self._note_odd(chunks, found[-2:])
        if keep.mean() > NEAR_MAX:
            self.is_dense = True
            return column
        self.rows = np.flatnonzero(chunks.by_row(keep))
        if self._odd is not None:
            self._odd = self._odd[self.rows]
        if is_viewed(column):
            return taken(column, self.rows)
        return column.take(pa.array(self.rows))

    def _note_odd(self, chunks: LineChunks, found: Sequence[Mask]) -> None:
        """Note which lines are near odd characters, where those are not all over."""
        odd = np.logical_or.reduce(found)
        if odd.mean() <= NEAR_MAX:
            self._odd = chunks.by_row(odd)

    def test(self, tests: Sequence[Test], *, lines_read: bool) -> None:
        """Keep what passes the tests and may hold the needles.

        Args:
            lines_read: whether `lines` is used behind this.
        """
        if not len(self.lines):
            return
        for i, test in enumerate(tests, start=1):
            more = i < len(tests) or bool(self._needles)
            self._keep(test(self.lines), lines_read=lines_read or more)
        for text in self._needles:
            keep = contains(self.lines, text)
            if self._odd is not None:
                keep |= self._odd
            else:
                for char in _ODD:
                    keep |= contains(self.lines, char)
            self._keep(keep, lines_read=True)

    def _keep(self, keep: Mask, *, lines_read: bool) -> None:
        if keep.all():
            return
        self.rows = np.flatnonzero(keep) if self.rows is None else self.rows[keep]
        if self._odd is not None:
            self._odd = self._odd[keep]
        if lines_read:
            self.lines = self.lines.filter(pl.Series(keep))
