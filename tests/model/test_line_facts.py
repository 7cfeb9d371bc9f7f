"""What was found out about lines is kept by run, and only where it was seen whole."""

import numpy as np
import pytest

from loki_py.model.line_facts import LineFacts, RunsOfLines, unknown_kinds


def facts_of(kinds, run, rows):
    rows = None if rows is None else np.array(rows)
    return LineFacts([RunsOfLines(kinds, np.array(run), rows)])


def plain(*rows):
    return np.array(rows, np.bool_)


def known(kinds, *run):
    return [facts_of(kinds, [each], None).are_plain_json for each in run]


def test_nothing_is_known_at_first():
    facts = facts_of(unknown_kinds(2), [0, 1], [1, 1])

    assert facts.are_plain_json is None
    assert facts.can_learn


def test_each_run_is_known_by_itself():
    """Runs that the batch has no rows of stay unknown."""
    kinds = unknown_kinds(4)

    facts = facts_of(kinds, [0, 2, 3], [2, 1, 2])
    facts.note_plain_json(plain(True, True, False, True, True))

    assert known(kinds, 0, 1, 2, 3) == [True, None, False, True]
    assert facts.are_plain_json is False
    assert facts_of(kinds, [0, 3], [2, 2]).are_plain_json is True
    assert facts_of(kinds, [0, 1], [2, 5]).are_plain_json is None


def test_rows_that_may_not_be_all_tell_nothing():
    facts = facts_of(unknown_kinds(1), [0], None)

    assert not facts.can_learn
    with pytest.raises(AssertionError):
        facts.note_plain_json(plain(True))


def test_some_of_the_rows_know_but_do_not_learn():
    kinds = unknown_kinds(1)
    facts = facts_of(kinds, [0], [3])

    assert not facts.of_some().can_learn
    facts.note_plain_json(plain(True, True, True))
    assert facts.of_some().are_plain_json is True


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_slices_learn_together(order):
    """A run that lies in two slices is known when both were seen."""
    kinds = unknown_kinds(2)
    facts = facts_of(kinds, [0, 1], [3, 3])
    lines = plain(True, True, True, True, False, True)
    spans = [(0, 2), (2, 5), (5, 6)]

    for i, at in enumerate(order):
        assert known(kinds, 0, 1) == [None, None], i
        start, end = spans[at]
        facts.slice(start, end).note_plain_json(lines[start:end])

    assert known(kinds, 0, 1) == [True, False]


def test_a_slice_alone_tells_nothing():
    kinds = unknown_kinds(1)
    facts = facts_of(kinds, [0], [4])

    facts.slice(1, 4).note_plain_json(plain(True, True, True))
    facts.slice(0, 4).slice(2, 4).note_plain_json(plain(True, True))

    assert known(kinds, 0) == [None]


def test_joined_batches_teach_all_their_sources():
    one, other = unknown_kinds(1), unknown_kinds(2)
    joined = LineFacts.joined([facts_of(one, [0], [2]), facts_of(other, [1], [1])])

    joined.note_plain_json(plain(True, True, False))

    assert (known(one, 0), known(other, 0, 1)) == ([True], [None, False])


def test_joined_slices_do_not_learn():
    """They are not all rows of their runs."""
    kinds = unknown_kinds(1)
    facts = facts_of(kinds, [0], [2])

    joined = LineFacts.joined([facts.slice(0, 1), facts.slice(0, 1)])

    assert not joined.can_learn
    assert joined.are_plain_json is None


def test_a_batch_without_facts_joins_to_none():
    assert LineFacts.joined([facts_of(unknown_kinds(1), [0], [1]), None]) is None


def test_no_rows_tell_nothing():
    kinds = unknown_kinds(1)

    facts_of(kinds, [], []).note_plain_json(plain())

    assert known(kinds, 0) == [None]
