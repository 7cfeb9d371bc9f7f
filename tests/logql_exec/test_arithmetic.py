"""Arithmetic between series and numbers."""

import math
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from engine import ask, batch, points

from loki_py.errors import LimitExceeded, QueryInvalid
from loki_py.model.results import Scalar

ROWS = batch(
    [
        ({"app": "a", "pod": "1"}, 5, "x"),
        ({"app": "a", "pod": "2"}, 5, "x"),
        ({"app": "a", "pod": "2"}, 6, "x"),
        ({"app": "b", "pod": "1"}, 5, "x"),
    ]
)
COUNT = 'count_over_time({app=~".+"}[10s])'
BY_APP = f"sum by (app) ({COUNT})"
BY_BOTH = f"sum by (app, pod) ({COUNT})"


def at_ten(query, **options):
    """Return labels to value at 10 seconds."""
    vector = ask(query, ROWS, start=10, end=10, instant=True, **options)
    return dict(zip(vector.labels, vector.values.tolist(), strict=True))


def label(**pairs):
    return tuple(sorted(pairs.items()))


def test_series_match_on_equal_labels():
    """One-to-one matching pairs series whose labels are all equal."""
    assert at_ten(f"{BY_APP} + {BY_APP}") == {label(app="a"): 6, label(app="b"): 2}


def test_group_left_takes_labels_of_the_one_side():
    """Each of many series meets the one that has its `on` labels."""
    got = at_ten(f"{BY_BOTH} / on(app) group_left {BY_APP}")

    assert got[label(app="a", pod="2")] == pytest.approx(2 / 3)
    assert got[label(app="b", pod="1")] == 1


def test_many_to_many_is_the_callers_fault():
    """Matching that is not unique on one side is refused."""
    with pytest.raises(QueryInvalid, match="many-to-many matching not allowed"):
        at_ten(f"{BY_APP} / on(app) {BY_BOTH}")


def test_samples_divided_by_zero_are_not_numbers():
    """Dividing samples by zero gives NaN, for modulo too."""
    for op in ("/", "%"):
        got = at_ten(f"{BY_APP} {op} 0")
        assert got
        assert all(math.isnan(value) for value in got.values())


def test_constant_divided_by_zero_is_infinite():
    """A constant expression follows IEEE 754."""
    got = ask("1 / 0", ROWS, start=10, end=10, instant=True)

    assert isinstance(got, Scalar)
    assert got.value == math.inf


def test_comparison_filters_and_bool_answers():
    """A comparison keeps the samples for which it holds, or says 0 and 1."""
    assert at_ten(f"{BY_APP} > 1") == {label(app="a"): 3}
    assert at_ten(f"1 < {BY_APP}") == {label(app="a"): 3}
    assert at_ten(f"{BY_APP} > bool 1") == {label(app="a"): 1, label(app="b"): 0}


def test_set_operations_work_on_label_sets():
    """and, or and unless choose series by their labels."""
    a_only = f'{BY_APP} and sum by (app) (count_over_time({{app="a"}}[10s]))'

    assert list(at_ten(a_only)) == [label(app="a")]
    assert list(at_ten(a_only.replace(" and ", " unless "))) == [label(app="b")]
    assert list(at_ten(f"vector(0) or {BY_APP}")) == [
        (),
        label(app="a"),
        label(app="b"),
    ]


def test_topk_keeps_labels_and_label_order():
    """topk chooses per group; only sort puts results in value order."""
    assert at_ten(f"topk(1, {BY_BOTH})") == {label(app="a", pod="2"): 2}
    assert len(at_ten(f"topk by (app) (1, {BY_BOTH})")) == 2
    assert list(at_ten(f"sort({BY_APP})")) == [label(app="b"), label(app="a")]


def test_label_replace_rewrites_where_the_pattern_covers_the_value():
    """Groups of an anchored pattern fill the replacement."""
    got = at_ten(f'label_replace({BY_APP}, "x", "<$1>", "app", "(a)")')

    assert set(got) == {label(app="a", x="<a>"), label(app="b")}


def test_only_the_result_is_bounded_in_series():
    """Many series inside a sum are no error, many in the result are."""
    assert at_ten(f"sum({BY_BOTH})", series_max=1) == {(): 4}
    with pytest.raises(LimitExceeded, match=r"maximum number of series \(1\)"):
        at_ten(BY_APP, series_max=1)


def test_thousands_of_series_may_become_a_few():
    """What is small in the end is answered, whatever it is made of."""
    rows = batch([({"app": "a", "pod": f"{i:04}"}, 1, "x" * i) for i in range(2_000)])
    every = 'bytes_over_time({app="a"}[10s])'
    labelled = 'sum by (n) (count_over_time({app="a"} | label_format n=pod [10s]))'

    for query, size in (
        (f"sum({every})", 1),
        (f"topk(3, {every})", 3),
        (f"count(topk(600, {every}))", 1),
        (f"max by (app) ({labelled})", 1),
        (f"{every} > 1990", 9),
    ):
        vector = ask(query, rows, end=10, instant=True, series_max=500)
        assert len(vector.labels) == size, query
    for query in (every, labelled, f"topk(501, {every})"):
        with pytest.raises(LimitExceeded, match=r"maximum number of series \(500\)"):
            ask(query, rows, end=10, instant=True, series_max=500)


def test_constant_over_a_range_is_one_series():
    """A number has a point at every step."""
    assert points(ask("2 * 3", ROWS, start=0, end=2)) == {(): {0: 6, 1: 6, 2: 6}}
