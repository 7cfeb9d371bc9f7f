"""Cells: what is held, in sums that tell replicas apart."""

import numpy as np
from fakes.ingesters import batch_of
from hypothesis import given
from hypothesis import strategies as st

from loki_py.wire.cells import SHIFT_MAX, SHIFT_MIN, added, at_most, cells_of

SLICE_NS = 1 << SHIFT_MIN
A, B = {"app": "a"}, {"app": "b"}
ROWS = [(A, 1, "one"), (B, 2, "two"), (A, 3, "three"), (A, SLICE_NS, "four")]


def told(cells):
    columns = (cells.stream, cells.slice, cells.count, cells.total)
    return [tuple(map(int, row)) for row in zip(*columns, strict=True)]


def test_entries_count_in_the_slice_of_their_time():
    found = told(cells_of(batch_of(ROWS)))

    assert [row[:3] for row in found] == [(0, 0, 2), (0, 1, 1), (1, 0, 1)]


def test_a_slice_before_1970_is_one_like_any_other():
    found = told(cells_of(batch_of([(A, -1, "a"), (A, -SLICE_NS, "b"), (A, 0, "c")])))

    assert [row[1:3] for row in found] == [(-1, 2), (0, 1)]


def test_order_and_pieces_make_no_difference():
    """Replicas that hold the same have equal cells, however they came to it."""
    whole = batch_of(ROWS)
    backwards = whole.take(np.arange(len(whole))[::-1].copy())
    pieces = [cells_of(whole.slice(0, 1)), cells_of(whole.slice(1, 4))]

    assert told(cells_of(backwards)) == told(cells_of(whole))
    assert told(added(pieces)) == told(cells_of(whole))


def test_any_difference_of_an_entry_makes_one_of_its_cell():
    other_line = batch_of([(A, 1, "one"), (A, 3, "thrice")])
    other_time = batch_of([(A, 1, "one"), (A, 4, "three")])
    swapped = batch_of([(A, 1, "three"), (A, 3, "one")])
    twice = batch_of([(A, 1, "one"), (A, 3, "three"), (A, 3, "three")])
    with_metadata = batch_of(
        [(A, 1, "one"), (A, 3, "three")], metadata={"m": [None, ""]}
    )
    same = batch_of([(A, 1, "one"), (A, 3, "three")])

    others = [other_line, other_time, swapped, twice, with_metadata]
    totals = [int(cells_of(batch).total[0]) for batch in [same, *others]]
    assert len(set(totals)) == len(totals)


@given(st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=30))
def test_longer_slices_hold_what_the_shorter_ones_in_them_hold(times):
    batch = batch_of([(A, ns * 4096, "x") for ns in times])
    fine = cells_of(batch)
    coarse = fine.coarser(SHIFT_MIN + 4)

    for slice_, total in zip(coarse.slice, coarse.total, strict=True):
        inside = fine.slice >> 4 == slice_
        assert fine.total[inside].sum(dtype=np.uint64) == total
    assert coarse.count.sum() == len(times)


def test_slices_grow_until_there_are_few_cells():
    batch = batch_of([(A, n * SLICE_NS, "x") for n in range(64)])

    assert len(at_most(cells_of(batch), 4)) == 4
    assert at_most(cells_of(batch), 0).shift == SHIFT_MAX


def test_nothing_has_no_cells():
    assert told(cells_of(batch_of(ROWS).slice(0, 0))) == []
    assert told(added([])) == []
