"""Runs of neighbouring lines of a stored piece, and the rows of some of them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loki_py.chunks.row_selection import RowSelection
from loki_py.model.batch import StreamIndex, Timestamps, offsets_of
from loki_py.model.line_search import runs_of_spans

CUT_RUNS_MAX = 256
"""Streams whose lines are cut to a time before they are searched; more are read."""

_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class LineRuns:
    """Runs of adjoining lines that belong to the wanted rows of a piece.

    Attributes:
        lines: the lines of the whole piece.
        first, last: int64[k], each run's rows [first, last).
        start, length: int64[k], where its bytes lie in the file.
    """

    lines: "pa.LargeStringArray"
    first: _Ints
    last: _Ints
    start: _Ints
    length: _Ints

    @classmethod
    def of(
        cls,
        lines: "pa.LargeStringArray",
        root: "pa.Buffer",
        first: _Ints,
        last: _Ints,
    ) -> "LineRuns | None":
        """Return the runs; None where they are not worth searching.

        Args:
            lines: lie in `root`, the file.
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


def selection_of_rows(
    wanted: _Ints,
    stream: StreamIndex,
    row_first: _Ints,
    timestamp_ns: Timestamps,
    *,
    start_ns: int,
    end_ns: int,
) -> RowSelection:
    """Return those of the wanted rows whose time is in [start_ns, end_ns).

    Args:
        wanted: rows, ascending, each of one of the runs.
        stream, row_first: of the runs, ascending.
        timestamp_ns: of all rows of the piece.
    """
    times = timestamp_ns[wanted]
    inside = (times >= start_ns) & (times < end_ns)
    if not inside.all():
        wanted = wanted[inside]
    at = np.searchsorted(row_first, wanted, side="right") - 1
    return RowSelection(stream[at], 0, 0, wanted)
