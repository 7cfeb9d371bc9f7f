"""Ask for more entries than one answer may hold, page after page.

A page begins at the timestamp where the one before ended, because more entries
may share it; those that were already given are left out.

Pure: the caller asks the server.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from msgspec import Struct

Labels: TypeAlias = tuple[tuple[str, str], ...]


class Stream(Struct):
    """One stream of an answer."""

    stream: dict[str, str]
    values: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Row:
    """One entry of an answer."""

    timestamp_ns: int
    labels: Labels
    line: str


@dataclass(frozen=True, slots=True)
class Ask:
    """What one page asks for: entries of [start_ns, end_ns)."""

    start_ns: int
    end_ns: int
    limit: int


def pages(
    fetch: Callable[[Ask], list[Stream]],
    *,
    start_ns: int,
    end_ns: int,
    limit: int,
    batch: int,
    forward: bool,
) -> Iterator[list[Row]]:
    """Yield rows in order until `limit` rows came, or there are no more.

    Args:
        limit: 0 means every row.
        batch: new rows that one page may hold.
    """
    assert batch > 0
    given = 0
    boundary: Counter[Row] = Counter()
    while start_ns < end_ns:
        wanted = min(batch, limit - given) if limit else batch
        asked = wanted + boundary.total()
        rows = rows_of(fetch(Ask(start_ns, end_ns, asked)), forward=forward)
        fresh = _without(rows, boundary)
        if fresh:
            yield fresh
        given += len(fresh)
        if len(rows) < asked or (limit and given >= limit):
            return
        edge_ns = rows[-1].timestamp_ns
        boundary = Counter(row for row in rows if row.timestamp_ns == edge_ns)
        if forward:
            start_ns = edge_ns
        else:
            end_ns = edge_ns + 1


def rows_of(streams: list[Stream], *, forward: bool) -> list[Row]:
    """Return the entries of all streams in time order; ties keep their order."""
    rows = [
        Row(int(timestamp), labels, line)
        for stream in streams
        for labels in [tuple(sorted(stream.stream.items()))]
        for timestamp, line in stream.values
    ]
    rows.sort(key=lambda row: row.timestamp_ns, reverse=not forward)
    return rows


def _without(rows: list[Row], known: Counter[Row]) -> list[Row]:
    if not known:
        return rows
    left = known.copy()
    fresh = []
    for row in rows:
        if left[row] > 0:
            left[row] -= 1
        else:
            fresh.append(row)
    return fresh
