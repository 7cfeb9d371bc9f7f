"""Paging: every entry once, whatever shares a timestamp where a page ends."""

import pytest

from loki_py.client.answers import Rows
from loki_py.client.paging import Page, pages


class FakeStore:
    """Entries of two streams, answered as a server would."""

    def __init__(self, timestamps):
        self.entries = [
            (timestamp, number % 2, f"line {number}")
            for number, timestamp in enumerate(timestamps)
        ]
        self.asked = []

    def fetch(self, page):
        self.asked.append(page)
        inside = [e for e in self.entries if page.start_ns <= e[0] < page.end_ns]
        inside.sort(key=lambda entry: entry[0], reverse=not page.forward)
        return rows_of(inside[: page.limit])

    def rows(self, *, limit=None, batch=3, forward=False):
        whole = Page(0, 1_000, batch, forward)
        found = list(pages(self.fetch, whole, entries_max=limit))
        return [
            row
            for page in found
            for row in zip(page.timestamp_ns, page.lines, strict=True)
        ]


def rows_of(entries):
    return Rows(
        streams=[{"name": "0"}, {"name": "1"}],
        stream=[stream for _, stream, _ in entries],
        timestamp_ns=[timestamp for timestamp, _, _ in entries],
        lines=[line for _, _, line in entries],
    )


@pytest.mark.parametrize("forward", [True, False])
@pytest.mark.parametrize("batch", [1, 2, 3, 7, 100])
@pytest.mark.parametrize(
    "timestamps",
    [
        [],
        [5],
        list(range(20)),
        [1, 1, 1, 2, 2, 3, 3, 3, 3, 3, 4],
        [7] * 12,
    ],
)
def test_every_entry_comes_once_and_in_order(timestamps, batch, forward):
    store = FakeStore(timestamps)

    rows = store.rows(batch=batch, forward=forward)

    assert sorted(line for _, line in rows) == sorted(e[2] for e in store.entries)
    times = [timestamp for timestamp, _ in rows]
    assert times == sorted(times, reverse=not forward)


@pytest.mark.parametrize("limit", [1, 3, 4, 10])
def test_no_more_than_the_limit_comes(limit):
    rows = FakeStore(range(20)).rows(limit=limit)

    assert [timestamp for timestamp, _ in rows] == list(range(19, 19 - limit, -1))


def test_equal_entries_of_one_moment_are_not_mistaken_for_those_before():
    """Two entries that are equal in all but their stream are two."""
    answers = [
        rows_of([(5, 0, "x")]),
        rows_of([(5, 0, "x"), (5, 1, "x")]),
        rows_of([]),
    ]
    whole = Page(0, 10, 1, forward=True)

    found = list(pages(lambda _: answers.pop(0), whole, entries_max=None))

    assert [page.stream for page in found] == [[0], [1]]


def test_one_request_is_enough_where_the_page_is_not_full():
    store = FakeStore(range(5))

    store.rows(batch=100)

    assert len(store.asked) == 1
