"""Paging: every entry once, whatever shares a timestamp where a page ends."""

import pytest

from loki_py.app.paging import Row, Stream, pages


class FakeStore:
    """Entries of two streams, answered as a server would."""

    def __init__(self, timestamps, *, limit_max=5_000):
        self.entries = [
            (timestamp, f"stream-{number % 2}", f"line {number}")
            for number, timestamp in enumerate(timestamps)
        ]
        self.limit_max = limit_max
        self.asked = []

    def fetch(self, ask, *, forward):
        self.asked.append(ask)
        assert ask.limit <= self.limit_max
        inside = [e for e in self.entries if ask.start_ns <= e[0] < ask.end_ns]
        inside.sort(key=lambda entry: entry[0], reverse=not forward)
        streams = {}
        for timestamp, name, line in inside[: ask.limit]:
            streams.setdefault(name, []).append((str(timestamp), line))
        return [Stream({"name": name}, values) for name, values in streams.items()]

    def rows(self, *, limit=0, batch=3, forward=False, end_ns=1_000):
        found = pages(
            lambda ask: self.fetch(ask, forward=forward),
            start_ns=0,
            end_ns=end_ns,
            limit=limit,
            batch=batch,
            forward=forward,
        )
        return [row for page in found for row in page]


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

    assert sorted(row.line for row in rows) == sorted(e[2] for e in store.entries)
    times = [row.timestamp_ns for row in rows]
    assert times == sorted(times, reverse=not forward)


@pytest.mark.parametrize("limit", [1, 3, 4, 10])
def test_no_more_than_the_limit_comes(limit):
    rows = FakeStore(range(20)).rows(limit=limit)

    assert [row.timestamp_ns for row in rows] == list(range(19, 19 - limit, -1))


def test_equal_entries_of_one_moment_are_not_mistaken_for_those_before():
    """Two entries that are equal in all but their stream are two."""
    streams = [
        [Stream({"a": "1"}, [("5", "x")])],
        [Stream({"a": "1"}, [("5", "x")]), Stream({"a": "2"}, [("5", "x")])],
        [],
    ]

    found = pages(
        lambda _: streams.pop(0),
        start_ns=0,
        end_ns=10,
        limit=0,
        batch=1,
        forward=True,
    )
    rows = [row for page in found for row in page]

    assert rows == [
        Row(5, (("a", "1"),), "x"),
        Row(5, (("a", "2"),), "x"),
    ]


def test_one_request_is_enough_where_the_page_is_not_full():
    store = FakeStore(range(5))

    store.rows(batch=100)

    assert len(store.asked) == 1
