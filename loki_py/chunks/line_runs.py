"""Runs of neighbouring lines of a stored piece, and the rows of some of them."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loki_py.chunks.block_parts import BlockPart
from loki_py.chunks.row_selection import RowSelection
from loki_py.model.batch import Timestamps, offsets_of
from loki_py.model.line_search import RUN_ROWS, SAMPLED_RUNS, runs_of_spans
from loki_py.model.scan import StreamRuns

CUT_RUNS_MAX = 256
"""Streams whose lines are cut to a time before they are searched; more are read."""

SAMPLED_PLACES = 4
"""Places of a block from which a sample is taken."""

_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class LineRuns:
    """Runs of adjoining lines that belong to the wanted rows of a piece.

    Attributes:
        lines, timestamp_ns: of the whole piece.
        first, last: int64[k], each run's rows [first, last).
        start, length: int64[k], where its bytes lie in the file.
    """

    lines: "pa.LargeStringArray"
    timestamp_ns: Timestamps
    first: _Ints
    last: _Ints
    start: _Ints
    length: _Ints

    @classmethod
    def of(
        cls,
        lines: "pa.LargeStringArray",
        timestamp_ns: Timestamps,
        root: "pa.Buffer",
        first: _Ints,
        last: _Ints,
    ) -> "LineRuns | None":
        """Return the runs; None where they are not worth searching.

        Args:
            lines: lie in `root`, the file.
            timestamp_ns: of the rows of the lines.
            first, last: where the wanted rows lie, spans [first, last), ascending.
        """
        apart = first[1:] != last[:-1]
        edge = np.ones(min(len(first), 1), np.bool_)
        spans = (
            first[np.concatenate((edge, apart))],
            last[np.concatenate((apart, edge))],
        )
        cut = runs_of_spans(*spans)
        if cut is None:
            return None
        first, last = cut
        offsets = offsets_of(lines)
        start = offsets[first]
        length = offsets[last] - start
        return cls(
            lines,
            timestamp_ns,
            first,
            last,
            start + (lines.buffers()[2].address - root.address),
            length,
        )

    def rows_of(self, runs: npt.NDArray[np.bool_]) -> _Ints:
        """Return the rows of some of the runs, ascending."""
        first, last = self.first[runs], self.last[runs]
        counts = last - first
        skipped = first - (np.cumsum(counts) - counts)
        rows: _Ints = np.arange(int(counts.sum())) + np.repeat(skipped, counts)
        return rows

    def selection(self, part: BlockPart, runs: npt.NDArray[np.bool_]) -> RowSelection:
        """Return the rows of some of the runs that are in the part's time.

        Args:
            part: whose runs these are.
        """
        rows = self.rows_of(runs)
        times = self.timestamp_ns[rows]
        inside = (times >= part.start_ns) & (times < part.end_ns)
        if not inside.all():
            rows = rows[inside]
        at = np.searchsorted(part.row_first, rows, side="right") - 1
        return RowSelection(part.runs.stream[at], 0, 0, rows)

    def sample(self) -> "LineRuns":
        """Return some of the runs, from all over them."""
        count = len(self.first)
        if count <= SAMPLED_RUNS:
            return self
        some = np.linspace(0, count - 1, SAMPLED_RUNS).astype(np.int64)
        return replace(
            self,
            first=self.first[some],
            last=self.last[some],
            start=self.start[some],
            length=self.length[some],
        )

    def by_line(self) -> "LineRuns":
        """Return the same lines, each a run of its own."""
        if not len(self.first):
            return self
        rows = self.rows_of(np.ones(len(self.first), np.bool_))
        offsets = offsets_of(self.lines)
        start = offsets[rows]
        moved = self.start[0] - offsets[self.first[0]]
        length = offsets[rows + 1] - start
        return replace(
            self, first=rows, last=rows + 1, start=start + moved, length=length
        )


def sampled(part: BlockPart) -> BlockPart:
    """Return some of the part's runs, from all over it."""
    count = len(part.rows)
    # So many neighbours have lines enough to be searched as one text.
    group = -(-RUN_ROWS * count // max(part.rows_max, 1))
    if count <= SAMPLED_PLACES * group:
        return part
    places = np.linspace(0, count - group, SAMPLED_PLACES).astype(np.int64)
    some = (places[:, None] + np.arange(group)).ravel()
    runs, rows = part.runs, part.rows[some]
    rows_max = int(rows.sum())
    return replace(
        part,
        runs=StreamRuns(runs.stream[some], runs.min_ns[some], runs.max_ns[some]),
        run=part.run[some],
        row_first=part.row_first[some],
        rows=rows,
        lines_crc=part.lines_crc[some],
        rows_max=rows_max,
        line_bytes=part.line_bytes * rows_max // part.rows_max,
    )
