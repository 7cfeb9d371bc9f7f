"""Which rows of a stored piece are wanted, and taking them from its columns."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loki_py.model.batch import Rows, StreamIndex, Timestamps, offsets_of
from loki_py.model.views import viewed_in

_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RowSelection:
    """Rows of a piece: a span, taken without copying, or single rows.

    Attributes:
        stream: uint32, the stream of each selected row.
        start, end: the span [start, end), where `rows` is None.
        rows: the selected rows, ascending.
    """

    stream: StreamIndex
    start: int
    end: int
    rows: Rows | None = None

    def of_numbers(self, values: Timestamps) -> Timestamps:
        """Return the selected rows of a numpy column."""
        return values[self.start : self.end] if self.rows is None else values[self.rows]

    def of_column(self, values: "pa.Array") -> "pa.Array":
        """Return the selected rows of an Arrow column."""
        if self.rows is None:
            return values.slice(self.start, self.end - self.start)
        return values.take(pa.array(self.rows))

    def in_place(self, values: "pa.LargeStringArray", root: "pa.Buffer") -> "pa.Array":
        """Return the selected rows of a column as views of `root`, which holds it."""
        offsets = offsets_of(values)
        offsets = offsets + (values.buffers()[2].address - root.address)
        if self.rows is None:
            offsets = offsets[self.start : self.end + 1]
            start, end = offsets[:-1], offsets[1:]
        else:
            start, end = offsets[self.rows], offsets[self.rows + 1]
        return viewed_in(root, start, end - start)


def select_rows(
    stream: StreamIndex,
    row_first: _Ints,
    rows: _Ints,
    timestamp_ns: Timestamps,
    *,
    start_ns: int,
    end_ns: int,
) -> RowSelection:
    """Return the rows of these runs whose time is in [start_ns, end_ns).

    Args:
        stream, row_first, rows: the runs, ascending, one row or more each.
        timestamp_ns: of all rows of the piece, ascending within a run.
    """
    row_end = row_first + rows
    adjoin = bool((row_first[1:] == row_end[:-1]).all())
    if len(stream) == 1:
        first, last = int(row_first[0]), int(row_end[0])
        times = timestamp_ns[first:last]
        # The last wanted time, not end_ns, which may be beyond int64.
        start = first + int(np.searchsorted(times, start_ns, side="left"))
        end = first + int(np.searchsorted(times, end_ns - 1, side="right"))
        return RowSelection(np.repeat(stream, end - start), start, end)
    stream_of_row = np.repeat(stream, rows)
    if adjoin:
        index = None
        first, last = int(row_first[0]), int(row_end[-1])
        times = timestamp_ns[first:last]
    else:
        skipped = row_first - (np.cumsum(rows) - rows)
        index = np.arange(len(stream_of_row)) + np.repeat(skipped, rows)
        first, last = 0, 0
        times = timestamp_ns[index]
    wanted = (times >= start_ns) & (times < end_ns)
    if wanted.all():
        return RowSelection(stream_of_row, first, last, index)
    kept = np.flatnonzero(wanted)
    index = kept + first if index is None else index[kept]
    return RowSelection(stream_of_row[kept], 0, 0, index)


def cut_runs(
    stream: StreamIndex,
    first: _Ints,
    last: _Ints,
    timestamp_ns: Timestamps,
    start_ns: int,
    end_ns: int,
) -> tuple[StreamIndex, _Ints, _Ints]:
    """Return the runs, rows [first, last), cut to [start_ns, end_ns); none empty."""
    spans = np.empty((2, len(stream)), np.int64)
    for i, (a, b) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        times = timestamp_ns[a:b]
        spans[0, i] = a + times.searchsorted(start_ns, "left")
        spans[1, i] = a + times.searchsorted(end_ns - 1, "right")
    some = spans[0] < spans[1]
    return stream[some], spans[0, some], spans[1, some]
