"""Going on where a broken tail ended: nothing missing, nothing twice.

Pure.
"""

from collections import Counter, deque
from collections.abc import Hashable

from loki_py.client.answers import Rows
from loki_py.client.entries import NS_PER_S

OVERLAP_NS = 30 * NS_PER_S
"""How far back is asked again: entries may come this much behind others."""

OVERLAP_ENTRIES_MAX = 50_000


class Overlap:
    """The entries of the last moments, so that none is given twice."""

    def __init__(self) -> None:
        self._held: deque[tuple[int, int]] = deque()
        self._newest_ns = 0
        self._repeats: Counter[int] = Counter()

    def fresh(self, rows: Rows) -> Rows:
        """Return the rows that were not given before the interruption, and note them.

        Equal entries count each: what was given twice is left out twice.
        """
        new = []
        for at, identity in enumerate(rows.identities(range(len(rows.lines)))):
            mark = _mark_of(identity)
            if self._repeats[mark] > 0:
                self._repeats[mark] -= 1
                continue
            new.append(at)
            timestamp_ns = rows.timestamp_ns[at]
            self._held.append((timestamp_ns, mark))
            self._newest_ns = max(self._newest_ns, timestamp_ns)
        self._forget()
        return rows if len(new) == len(rows.lines) else rows.taken(new)

    def interrupt(self) -> int | None:
        """Expect what was given to come again; return from where to ask.

        None where nothing was given yet.
        """
        self._repeats = Counter(mark for _, mark in self._held)
        return min((held_ns for held_ns, _ in self._held), default=None)

    def _forget(self) -> None:
        held, oldest_ns = self._held, self._newest_ns - OVERLAP_NS
        while held and (held[0][0] < oldest_ns or len(held) > OVERLAP_ENTRIES_MAX):
            held.popleft()


def _mark_of(identity: Hashable) -> int:
    """Return 64 bits in the place of an entry: lines may be long, and many."""
    return hash(identity)
