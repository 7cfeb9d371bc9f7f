"""Digests: the copies of one entry have one number, other entries have others."""

import numpy as np
from fakes.ingesters import batch_of

from loki_py.wire.digests import Digests, digests_of, keys_of

A = {"app": "a"}


def test_keys_tell_entries_apart_by_all_that_they_are():
    rows = [(A, 1, "x"), (A, 2, "x"), ({"app": "b"}, 1, "x"), (A, 1, "y")]
    plain = keys_of(batch_of(rows))
    named = keys_of(batch_of(rows, metadata={"m": ["1", None, "1", "1"]}))

    assert len(np.unique(plain)) == 4
    assert (plain == named).tolist() == [False, True, False, False]
    assert keys_of(batch_of(rows)).tolist() == plain.tolist()


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
