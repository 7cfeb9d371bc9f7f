"""Series valued some at a time come to what they come to all at once."""

import numpy as np
import pytest
from engine import ask, batch
from hypothesis import given, settings
from hypothesis import strategies as st

from loki_py.errors import LimitExceeded, QueryInvalid
from loki_py.logql.exec import range_leaf, summaries
from loki_py.logql.exec.grid import Grid
from loki_py.logql.exec.range_plan import ranges_of, with_pushed_groupings
from loki_py.logql.exec.table import SLICE_VALUES, VALUES_MAX, SlicedTable, stacked
from loki_py.logql.exec.tree import data_of
from loki_py.logql.parser import parse
from loki_py.logql.plan import plan_of

POINTS = 3
GRID = Grid(0, 1_000_000_000, POINTS)
RATE = 'rate({x="y"}[1s])'
OTHER = 'rate({x="z"}[1s])'
QUERIES = (
    RATE,
    f"{RATE} > 1",
    f"2 - {RATE}",
    f"topk(2, {RATE})",
    f"bottomk(2, {RATE}) by (a)",
    f"topk(1, sum by (a, b) ({RATE}) * 2)",
    f"topk(2, sum by (b) ({RATE}))",
    f"sum({RATE})",
    f"sum by (a) ({RATE} > bool 1)",
    f"sum without (a) ({RATE})",
    f"avg by (a) ({RATE})",
    f"count by (b) ({RATE} != 2)",
    f"min by (a) ({RATE})",
    f"max({RATE})",
    f"stddev by (a) ({RATE})",
    f"stdvar({RATE})",
    f"sum(topk(3, {RATE})) by (b)",
    f"{RATE} + {OTHER}",
    f"max by (a) ({RATE} or {OTHER})",
    f"{RATE} unless {OTHER}",
    f'label_replace({RATE}, "c", "$1", "a", "(.*)")',
)
SORTS = (f"sort({RATE})", f"sort_desc(sum by (a, b) ({RATE}))")
LABELS = [(("a", a), ("b", b)) for a in "123" for b in "12345"]
VALUE = st.sampled_from([None, 0.0, 1.0, 1.0, 2.0, -3.5, 1e-3, np.nan, np.inf, -np.inf])


def sorted_by_labels(rows):
    return sorted(rows, key=lambda row: row[0])


ROWS = st.lists(
    st.tuples(st.sampled_from(LABELS), st.tuples(VALUE, VALUE, VALUE)),
    max_size=9,
    unique_by=lambda row: row[0],
).map(sorted_by_labels)


def sliced(rows, *, width):
    values = [[0.0 if v is None else v for v in row] for _, row in rows]
    present = [[v is not None for v in row] for _, row in rows]
    values = np.array(values, float).reshape(-1, POINTS)
    present = np.array(present, bool).reshape(-1, POINTS)
    return SlicedTable(
        [labels for labels, _ in rows],
        width,
        lambda start, end: (values[start:end], present[start:end]),
    )


def answer(query, rows_of_ranges, *, width, instant=False):
    """Return labels to values, None where there is none; or that it is refused."""
    expr = with_pushed_groupings(parse(query))
    leaves = {
        each: sliced(rows, width=width)
        for each, rows in zip(ranges_of(expr), rows_of_ranges, strict=False)
    }
    try:
        data = data_of(expr, leaves, grid=GRID, instant=instant, series_max=0)
    except QueryInvalid as error:
        return str(error)
    if instant:
        return [*zip(data.labels, data.values.tolist(), strict=True)]
    values = np.where(data.present, data.values, -7.25)
    return list(data.labels), values


@settings(max_examples=60, deadline=None)
@given(ROWS, ROWS, st.sampled_from(QUERIES))
def test_series_one_by_one_come_to_the_same(rows, others, query):
    whole = answer(query, [rows, others], width=1)
    by_one = answer(query, [rows, others], width=SLICE_VALUES)

    if isinstance(whole, str):
        assert by_one == whole
        return
    assert by_one[0] == whole[0]
    if "std" in query:
        np.testing.assert_allclose(by_one[1], whole[1], rtol=1e-12)
    else:
        np.testing.assert_array_equal(by_one[1], whole[1])


@settings(max_examples=20, deadline=None)
@given(ROWS, st.sampled_from(SORTS))
def test_sorted_series_come_in_the_same_order(rows, query):
    whole = answer(query, [rows], width=1, instant=True)

    by_one = answer(query, [rows], width=SLICE_VALUES, instant=True)

    np.testing.assert_equal(by_one, whole)


@pytest.mark.parametrize("function", ["topk", "bottomk"])
def test_infinities_are_better_than_what_is_no_number(function):
    worst = -np.inf if function == "topk" else np.inf
    rows = [(LABELS[0], (np.nan,) * 3), *((one, (worst,) * 3) for one in LABELS[1:3])]

    kept, values = answer(f"{function}(1, {RATE})", [rows], width=1)

    assert kept == [LABELS[1]]
    assert (values == worst).all()


@pytest.mark.parametrize(
    "function",
    ["quantile_over_time(0.3, {} [9s])", "rate_counter({} [9s])",
     "quantile_over_time(0.3, {} [4s])", "stddev_over_time({} [9s])"],
)  # fmt: skip
def test_samples_of_series_one_by_one_come_to_the_same(function):
    """A summary gives each series the values that it has beside others."""
    rng = np.random.default_rng(3)
    rows = [
        ({"app": "a", "pod": f"{rng.integers(5)}"}, i / 5, f"v={rng.random()}")
        for i in range(400)
    ]
    expr = parse(function.format('{app="a"} | logfmt | unwrap v'))
    plan = plan_of(expr, start_ns=0, end_ns=80 * 10**9, step_ns=4 * 10**9)
    (leaf,) = plan.leaves
    leaf.evaluator.add(leaf.evaluator.map(batch(rows)))
    table = leaf.evaluator.finish()

    every = [table.valued(i, i + 1) for i in range(len(table.labels))]

    whole = table.valued(0, len(table.labels))
    for i, parts in enumerate(zip(*every, strict=True)):
        np.testing.assert_array_equal(np.concatenate(parts), whole[i])


def many(series, points):
    """Return so many series that take no memory."""
    return SlicedTable(
        [(("n", f"{i:06}"),) for i in range(series)],
        points,
        lambda start, end: (
            np.broadcast_to(1.0, (end - start, points)),
            np.broadcast_to(np.True_, (end - start, points)),
        ),
    )


def test_a_table_that_is_too_large_is_refused_with_its_size():
    points = 1_000_000

    with pytest.raises(
        LimitExceeded, match=f"of {points} points.*{VALUES_MAX}"
    ) as info:
        stacked(many(VALUES_MAX // points + 1, points).slices())

    assert info.value.status == 400


def test_groups_that_are_too_many_are_refused_before_they_are_made():
    expr = parse(f"max by (n) ({RATE})")
    points = VALUES_MAX + 1
    leaves = {ranges_of(expr)[0]: many(1, points)}

    with pytest.raises(LimitExceeded, match=f"hold 1 or more series of {points}"):
        data_of(expr, leaves, grid=Grid(0, 1, points), instant=False, series_max=0)


def test_a_result_of_too_many_series_is_refused_before_all_are_valued():
    valued = []

    def note(tables):
        for table in tables:
            valued.append(len(table))
            yield table

    with pytest.raises(LimitExceeded, match=r"maximum number of series \(500\)"):
        stacked(note(many(100_000, 10_000).slices()), series_max=500)

    assert sum(valued) < 1_000


ENTRIES = batch([({"app": "a", "pod": f"{i}"}, 1, "x") for i in range(4)])


def test_a_range_of_too_many_series_is_refused(monkeypatch):
    monkeypatch.setattr(range_leaf, "_SERIES_MAX", 3)

    with pytest.raises(LimitExceeded, match="more than 3 series"):
        ask('topk(1, count_over_time({app="a"}[10s]))', ENTRIES, end=10, instant=True)


@pytest.mark.parametrize(
    "function",
    ["quantile_over_time(0.5, {} [10s])", "quantile_over_time(0.5, {} [15s])"],
)
def test_more_samples_than_can_be_held_are_refused(monkeypatch, function):
    monkeypatch.setattr(summaries, "_SAMPLES_MAX", 3)
    query = function.format('{app="a"} | unwrap pod')

    with pytest.raises(LimitExceeded, match="more than 3 samples"):
        ask(query, ENTRIES, end=10, step=10)


def test_more_states_than_can_be_held_are_refused(monkeypatch):
    monkeypatch.setattr(summaries, "_HELD_STATES_MAX", 1)
    monkeypatch.setattr(summaries, "_SAMPLES_MAX", 3)

    with pytest.raises(LimitExceeded, match="more than 3 samples"):
        ask('count_over_time({app="a"}[10s])', ENTRIES, end=10, instant=True)
