"""Ask for more entries than one answer may hold, page after page.

A page begins at the time where the one before ended, because more entries may
share it; those that were already given are left out.

Pure: the caller asks the store.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, replace

from loki_py.client.answers import Rows


@dataclass(frozen=True, slots=True)
class Page:
    """What one page asks for: entries of [start_ns, end_ns)."""

    start_ns: int
    end_ns: int
    limit: int
    forward: bool

    def params(self, query: str) -> list[tuple[str, str]]:
        """Return the parameters of `query_range` for this page of a log query."""
        return [
            ("query", query),
            ("start", str(self.start_ns)),
            ("end", str(self.end_ns)),
            ("limit", str(self.limit)),
            ("direction", "forward" if self.forward else "backward"),
        ]


def pages(
    fetch: Callable[[Page], Rows],
    page: Page,
    *,
    entries_max: int | None,
) -> Iterator[Rows]:
    """Yield rows in order until `entries_max` came, or there are no more.

    Args:
        page: the whole range; its limit is the new rows that one page may hold.
    """
    assert page.limit > 0
    size, given = page.limit, 0
    boundary: Counter[Hashable] = Counter()
    while page.start_ns < page.end_ns:
        wanted = size if entries_max is None else min(size, entries_max - given)
        if wanted <= 0:
            return
        page = replace(page, limit=wanted + boundary.total())
        rows = fetch(page)
        fresh = _without(rows, boundary)
        if fresh.lines or rows.warnings:
            yield fresh
        given += len(fresh.lines)
        if len(rows.lines) < page.limit:
            return
        edge_ns = rows.timestamp_ns[-1]
        at_edge = (i for i, at_ns in enumerate(rows.timestamp_ns) if at_ns == edge_ns)
        boundary = Counter(rows.identities(at_edge))
        if page.forward:
            page = replace(page, start_ns=edge_ns)
        else:
            page = replace(page, end_ns=edge_ns + 1)


def _without(rows: Rows, known: Counter[Hashable]) -> Rows:
    if not known:
        return rows
    left = known.copy()
    fresh = []
    for at, identity in enumerate(rows.identities(range(len(rows.lines)))):
        if left[identity] > 0:
            left[identity] -= 1
        else:
            fresh.append(at)
    return rows.taken(fresh)
