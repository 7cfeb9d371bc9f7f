"""Where sorted runs of times cross edges, found the cheapest way.

What is cheap depends on how many runs there are, and how many edges in each: a
search for all edges of one run at a time, or for all edges of all runs at once,
halving what is left of each.
"""

import numpy as np

from loki_py.logql.exec.grid import Ints
from loki_py.model.scan import TimeRuns

RUN_ROWS = 200
EDGE_ROWS = 3
"""Rows that can be counted while one run is searched alone, and for each edge."""

ROUND_ROWS = 1500
EDGE_OF_ROUND_ROWS = 1
"""The same for halving what is left of all runs at once."""


def rows_behind_edges(
    runs: TimeRuns, begun: Ints, ended: Ints, edges_ns: Ints
) -> Ints | None:
    """Return the first row behind each edge in each run; None where that is dear.

    It is dear where to look at every row would cost less.

    Args:
        begun, ended: of each run, the last edges before its first row and before
            its last row, by position in `edges_ns`.
    """
    crossed = ended - begun
    some = np.flatnonzero(crossed)
    first, last, crossed = runs.first[some], runs.last[some], crossed[some]
    edges = int(crossed.sum())
    rounds = int((last - first).max(initial=1) - 1).bit_length()
    alone = len(some) * RUN_ROWS + edges * EDGE_ROWS
    together = rounds * (ROUND_ROWS + edges * EDGE_OF_ROUND_ROWS)
    if min(alone, together) > int((runs.last - runs.first).sum()):
        return None
    if alone < together:
        spans = np.column_stack((first, last, begun[some] + 1, ended[some] + 1))
        found = [
            runs.timestamp_ns[a:b].searchsorted(edges_ns[c:d], "right")
            for a, b, c, d in spans.tolist()
        ]
        return np.concatenate(found) + np.repeat(first, crossed)
    nth = np.arange(edges) - np.repeat(np.cumsum(crossed) - crossed, crossed)
    edge_ns = edges_ns[np.repeat(begun[some] + 1, crossed) + nth]
    # The row `low` is before the edge and `high` behind it, all the time.
    low, high = np.repeat(first, crossed), np.repeat(last - 1, crossed)
    for _ in range(rounds):
        middle = (low + high) >> 1
        is_behind = runs.timestamp_ns[middle] > edge_ns
        low, high = np.where(is_behind, low, middle), np.where(is_behind, middle, high)
    return high
