"""Sorting: file order is stable, and equal entries stay once, the first of them."""

import pytest
from fakes.entry_batches import batch_of, entry_rows, file_order, rows_of
from hypothesis import given

from loki_py.chunks.sorting import duplicate_rows, sort_and_deduplicate
from loki_py.model.batch import concat

A, B = {"app": "a"}, {"app": "b"}


def first_of_equals(rows):
    kept = []
    for row in rows:
        if row not in kept:
            kept.append(row)
    return kept


@given(entry_rows)
def test_any_batch_equals_a_stable_sort_of_its_distinct_entries(rows):
    """What the columns do is what Python's sort and `in` would do."""
    batch, dropped = sort_and_deduplicate(batch_of(rows))
    expected = first_of_equals(sorted(rows_of(batch_of(rows)), key=file_order))

    assert rows_of(batch) == expected
    assert dropped == len(rows) - len(expected)


def test_batch_in_order_without_ties_is_returned_as_it_is():
    batch = batch_of([(A, 1, "x"), (A, 2, "x")])

    assert sort_and_deduplicate(batch)[0] is batch


def test_duplicate_is_dropped_across_a_different_entry_of_the_same_time():
    """Equal entries need not be neighbours."""
    batch, dropped = sort_and_deduplicate(
        batch_of([(A, 1, "one"), (A, 1, "two"), (A, 1, "one")])
    )

    assert [row[2] for row in rows_of(batch)] == ["one", "two"]
    assert dropped == 1


def test_entries_of_one_time_keep_their_order_of_arrival():
    lines = ["z", "a", "m", "b"]
    batch, _ = sort_and_deduplicate(batch_of([(A, 1, line) for line in lines]))

    assert batch.line.to_pylist() == lines


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"trace": "1"}, {"trace": "2"}),
        ({"trace": ""}, {}),
        ({"trace": "1"}, {"span": "1"}),
    ],
)
def test_entries_that_differ_in_metadata_both_stay(one, other):
    _, dropped = sort_and_deduplicate(batch_of([(A, 1, "x", one), (A, 1, "x", other)]))

    assert dropped == 0


def test_entries_that_differ_in_the_map_both_stay_whatever_its_order():
    rows = [
        (A, 1, "x", {}, {"r1": "1", "r2": "2"}),
        (A, 1, "x", {}, {"r2": "2", "r1": "1"}),
        (A, 1, "x", {}, {"r1": "1"}),
        (A, 1, "x", {}, {}),
    ]

    batch, dropped = sort_and_deduplicate(batch_of(rows))

    assert dropped == 1
    assert len(batch) == 3


def test_keys_wider_than_64_bits_sort_too():
    """Times from end to end of int64 and a stream beside them need more bits."""
    rows = [(B, 2**63 - 1, "x"), (A, 2**63 - 1, "x"), (A, -(2**63), "x"), (B, 0, "x")]

    batch, _ = sort_and_deduplicate(batch_of(rows))

    assert rows_of(batch) == sorted(rows_of(batch_of(rows)), key=file_order)


@given(entry_rows, entry_rows, entry_rows)
def test_rows_of_earlier_batches_are_named_in_later_ones(first, second, third):
    """A row is named exactly if an earlier batch has an equal one."""
    parts = [first, second + first[:3], third + second[:3]]
    streams = batch_of([row for part in parts for row in part]).streams
    batches = [batch_of(part, streams=streams) for part in parts]

    found = duplicate_rows(batches)

    seen = []
    for batch, rows in zip(batches, found, strict=True):
        mine = rows_of(batch)
        assert rows.tolist() == [i for i, row in enumerate(mine) if row in seen]
        seen += mine


def test_no_duplicate_is_named_within_one_batch():
    batch = batch_of([(A, 1, "x"), (A, 1, "x")])
    other = batch_of([(A, 2, "x")])
    other = type(other)(batch.streams, *_columns(other))

    assert [rows.tolist() for rows in duplicate_rows([batch, other])] == [[], []]


def test_named_rows_removed_leave_each_entry_once():
    streams = batch_of([(A, 0, ""), (B, 0, "")]).streams
    batches = [
        batch_of(
            [(A, t, f"line {t}") for t in range(start, start + 6)], streams=streams
        )
        for start in (0, 3)
    ]

    dropped = duplicate_rows(batches)

    assert [len(rows) for rows in dropped] == [0, 3]
    assert len(sort_and_deduplicate(concat(batches))[0]) == 9


def _columns(batch):
    return batch.stream, batch.timestamp_ns, batch.line, batch.metadata
