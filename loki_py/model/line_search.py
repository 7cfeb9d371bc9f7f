"""Searching neighbouring lines together, before anything is done for each.

Lines of a block lie one behind the other, so a run of them is one text. Most
texts that people look for are in few lines, and what remains to be looked at
are the lines around those.
"""

from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

RUN_ROWS = 256
"""Lines that are searched as one text."""

SAMPLED_RUNS = 12
"""Runs of which it is learned whether what is sought is all over the lines."""

SEARCHED_ROWS_MIN = 8 * RUN_ROWS
"""Fewer lines are as well searched one by one."""

RUNS_SHARE_MAX = 4
"""More runs than this many times as many as needed, and lines that hardly adjoin
are as well searched one by one."""

_Ints = npt.NDArray[np.int64]


class LineSearch(Protocol):
    """What a reader may ask before it reads rows; shared by threads."""

    @property
    def is_dense(self) -> bool:
        """Whether searching is not worth it: what is sought is all over the lines."""
        ...

    @property
    def is_tried(self) -> bool:
        """Whether some lines were searched, so that `is_dense` is known."""
        ...

    @property
    def picks_lines(self) -> bool:
        """Whether single lines are worth choosing where `is_dense`."""
        ...

    def holding(self, texts: "pa.Array") -> "npt.NDArray[np.bool_] | None":
        """Return which runs of lines may have a line of interest; None for too many.

        Args:
            texts: the lines of each run as one text; what is found in it may
                begin in one line and end in the next.
        """
        ...

    def lines_holding(self, lines: "pa.Array") -> "npt.NDArray[np.bool_] | None":
        """Return which lines may be of interest; None for too many."""
        ...

    def learn(self, lines: "pa.Array", first: _Ints) -> None:
        """Look at some lines, to know what is not worth searching.

        Args:
            first: the line with which each run begins, of one line or more.
        """
        ...


def runs_of_spans(first: _Ints, last: _Ints) -> tuple[_Ints, _Ints] | None:
    """Return spans of rows cut into runs; None where they would be too many.

    Args:
        first, last: int64[k], rows [first, last) of each span, ascending.
    """
    counts = -(-(last - first) // RUN_ROWS)
    count = int(counts.sum())
    rows = int((last - first).sum())
    if (count - 1) * RUN_ROWS > RUNS_SHARE_MAX * rows:
        return None
    within = np.arange(count) - np.repeat(np.cumsum(counts) - counts, counts)
    begins = np.repeat(first, counts) + RUN_ROWS * within
    return begins, np.minimum(begins + RUN_ROWS, np.repeat(last, counts))
