"""Where sorted runs of times cross edges: in one run at a time, or in all at once.

Which is cheap depends on how many runs there are, and how many edges in each.
"""

import numpy as np

from loki_py.logql.exec.grid import Ints
from loki_py.model.scan import TimeRuns

RUN_ROWS = 300
EDGE_ROWS = 3
CELL_ROWS = 1
"""Rows that can be counted while one run is searched alone; for each edge in it, and
for each edge and series."""

ROUND_ROWS = 1500
EDGE_OF_ROUND_ROWS = 1
"""The same for halving what is left of all runs at once."""


class Crossings:
    """Runs and the edges in them.

    Attributes:
        runs: all of them.
        begun, ended: of each run, the last edges before its first row and before
            its last row, by position in `edges_ns`; the edges behind the one, up
            to the other, are in the run.
        crossed: how many those are.
        edges_ns: ascending.
        rows: of all runs.
    """

    def __init__(
        self, runs: TimeRuns, begun: Ints, ended: Ints, edges_ns: Ints
    ) -> None:
        self.runs = runs
        self.begun = begun
        self.ended = ended
        self.crossed = ended - begun
        self.edges_ns = edges_ns
        self._rows = runs.last - runs.first
        self.rows = int(self._rows.sum())
        self._edges = int(self.crossed.sum())
        self._rounds = int(self._rows.max() - 1).bit_length()

    def cost_alone(self, series_count: int) -> int:
        """Return what `ranks` costs, in rows that could be counted instead."""
        cells = series_count * len(self.edges_ns)
        runs = int(np.count_nonzero(self.crossed))
        return runs * RUN_ROWS + self._edges * EDGE_ROWS + cells * CELL_ROWS

    def cost_together(self) -> int:
        """Return what `rows_behind` costs, in rows that could be counted instead."""
        return self._rounds * (ROUND_ROWS + self._edges * EDGE_OF_ROUND_ROWS)

    def ranks(self, series: Ints, count: int) -> Ints:
        """Return how many rows each of some series has before each edge.

        Args:
            series: of each run.
            count: how many series there are.
        """
        times = self.runs.timestamp_ns
        ranks = np.zeros((count, len(self.edges_ns)), np.int64)
        np.add.at(ranks, (series, self.ended + 1), self._rows)
        np.cumsum(ranks, axis=1, out=ranks)
        some = np.flatnonzero(self.crossed)
        spans = self.runs.first, self.runs.last, self.begun + 1, self.ended + 1, series
        for a, b, c, d, own in np.column_stack(spans)[some].tolist():
            ranks[own, c:d] += times[a:b].searchsorted(self.edges_ns[c:d], "right")
        return ranks

    def rows_behind(self) -> Ints:
        """Return the first row behind each edge in each run."""
        crossed = self.crossed
        nth = np.arange(self._edges) - np.repeat(np.cumsum(crossed) - crossed, crossed)
        edge_ns = self.edges_ns[np.repeat(self.begun + 1, crossed) + nth]
        # The row `low` is before the edge and `high` behind it, all the time.
        low = np.repeat(self.runs.first, crossed)
        high = np.repeat(self.runs.last - 1, crossed)
        for _ in range(self._rounds):
            middle = (low + high) >> 1
            is_behind = self.runs.timestamp_ns[middle] > edge_ns
            low = np.where(is_behind, low, middle)
            high = np.where(is_behind, middle, high)
        return high
