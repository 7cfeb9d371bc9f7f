"""Digests: the copies of one entry have one number, other entries have others."""

from dataclasses import replace

import numpy as np
from fakes.ingesters import batch_of
from hypothesis import given, settings
from hypothesis import strategies as st

from loki_py.model.batch import METADATA_COLUMNS_MAX, concat, with_names_in_rest
from loki_py.wire.digests import Digests, digests_of, keys_of

A = {"app": "a"}


def test_keys_tell_entries_apart_by_all_that_they_are():
    rows = [(A, 1, "x"), (A, 2, "x"), ({"app": "b"}, 1, "x"), (A, 1, "y")]
    plain = keys_of(batch_of(rows))
    named = keys_of(batch_of(rows, metadata={"m": ["1", None, "1", "1"]}))

    assert len(np.unique(plain)) == 4
    assert (plain == named).tolist() == [False, True, False, False]
    assert keys_of(batch_of(rows)).tolist() == plain.tolist()


ROWS = [(A, n, f"line {n}") for n in range(4)]
CELL = st.sampled_from([None, "", "1", "2"])
TABLE = st.dictionaries(
    st.sampled_from("abcdef"), st.lists(CELL, min_size=4, max_size=4)
)


@settings(max_examples=60)
@given(TABLE, st.sets(st.sampled_from("abcdef")), st.integers(0, 3))
def test_number_says_nothing_of_which_names_have_columns(table, kept, start):
    """Replicas that saw names in another order have others of them in the map."""
    batch = batch_of(ROWS, metadata=table)
    split = with_names_in_rest(batch, keep=sorted(kept))

    assert keys_of(split).tolist() == keys_of(batch).tolist()
    assert keys_of(split.slice(start, 4)).tolist() == keys_of(batch)[start:].tolist()


@settings(max_examples=60)
@given(TABLE, TABLE)
def test_numbers_are_equal_where_metadata_is(first, second):
    """Names count, and which value is whose; a value that is empty is one."""
    keys = [keys_of(batch_of(ROWS, metadata=table)) for table in (first, second)]
    pairs = [
        [
            {n: c[row] for n, c in table.items() if c[row] is not None}
            for row in range(4)
        ]
        for table in (first, second)
    ]

    equal = [mine == theirs for mine, theirs in zip(*pairs, strict=True)]
    assert (keys[0] == keys[1]).tolist() == equal


def test_more_names_than_columns_have_equal_numbers_in_any_order():
    names = [f"n{n}" for n in range(METADATA_COLUMNS_MAX + 40)]
    batches = [batch_of([(A, 1, "x")], metadata={name: ["v"]}) for name in names]
    streams = batches[0].streams
    batches = [replace(batch, streams=streams) for batch in batches]
    there = keys_of(concat(batches))
    back = keys_of(concat(batches[::-1]))

    assert sorted(there.tolist()) == sorted(back.tolist())
    assert len(set(there.tolist())) == len(names)


def test_order_and_unused_streams_change_no_number():
    rows = [({"app": str(n % 7)}, n, f"line {n}") for n in range(50)]
    batch = batch_of(rows)

    assert sorted(keys_of(batch)) == sorted(keys_of(batch_of(rows[::-1])))
    assert keys_of(batch)[40:].tolist() == keys_of(batch.slice(40, 50)).tolist()


def test_entries_held_elsewhere_are_told():
    mine = digests_of(batch_of([(A, 1, "x"), (A, 2, "x"), (A, 3, "x")]))
    theirs = digests_of(batch_of([(A, 3, "x"), (A, 2, "y"), (A, 1, "x")]))
    nothing = Digests(np.zeros(0, np.uint64), np.zeros(0, np.int64))

    assert mine.held_in(theirs.by_key()).tolist() == [True, False, True]
    assert mine.held_in(nothing).tolist() == [False] * 3
    assert nothing.held_in(mine).tolist() == []


def test_equal_numbers_at_other_times_are_other_entries():
    key = np.array([7], np.uint64)

    assert not Digests(key, np.array([1])).held_in(Digests(key, np.array([2]))).any()
