"""Going on where a broken tail ended: nothing missing, nothing twice. Pure."""

from collections import Counter, deque
from collections.abc import Iterable

from loki_py.app.moments import NS_PER_S
from loki_py.app.paging import Row

OVERLAP_NS = 30 * NS_PER_S
"""How far back is asked again: entries may come this much behind others."""

OVERLAP_ROWS_MAX = 20_000


class Shown:
    """The rows of the last moments that were shown.

    Args:
        start_ns: where to go on while nothing was shown.
    """

    def __init__(self, start_ns: int) -> None:
        self._start_ns = start_ns
        self._newest_ns = 0
        self._rows: deque[Row] = deque()
        self._again: Counter[Row] = Counter()

    def __len__(self) -> int:
        return len(self._rows)

    def interrupt(self) -> int:
        """Expect what was shown to come again; return from where to ask."""
        self._again = Counter(self._rows)
        return min((row.timestamp_ns for row in self._rows), default=self._start_ns)

    def fresh(self, rows: Iterable[Row]) -> list[Row]:
        """Return the rows that were not shown before; they count as shown now."""
        found = []
        for row in rows:
            if self._again[row] > 0:
                self._again[row] -= 1
                continue
            found.append(row)
            self._rows.append(row)
            self._newest_ns = max(self._newest_ns, row.timestamp_ns)
        self._forget()
        return found

    def _forget(self) -> None:
        rows, oldest_ns = self._rows, self._newest_ns - OVERLAP_NS
        while rows and (
            len(rows) > OVERLAP_ROWS_MAX or rows[0].timestamp_ns < oldest_ns
        ):
            rows.popleft()
