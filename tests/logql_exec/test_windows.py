"""Windows are (T - offset - range, T - offset], however they overlap."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from engine import ask, batch, points

from loki_py.logql.exec.grid import Windows, range_grid
from loki_py.logql.exec.whole_windows import _OVERLAP_MAX, _run_sums, quantiles

A = {"app": "a"}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(-50, 250), min_size=1, max_size=30),
    st.integers(1, 70),
    st.integers(1, 25),
    st.integers(-20, 20),
)
def test_counts_are_those_of_looking_at_each_window(times, window, step, offset):
    """Every point counts the entries of its window, gaps and overlaps alike."""
    rows = batch([(A, time, "x") for time in sorted(times)])
    query = f'sum(count_over_time({{app="a"}}[{window}s] offset {offset}s))'

    got = points(ask(query, rows, start=0, end=200, step=step)).get((), {})

    last = -(-200 // step) * step
    for when in range(0, last + 1, step):
        low, high = when - offset - window, when - offset
        count = sum(low < time <= high for time in times)
        assert got.get(when, 0) == count, when


@pytest.mark.parametrize("step", [1, 3, 10, 20])
@pytest.mark.parametrize(
    ("function", "naive"),
    [
        ("sum_over_time", np.sum),
        ("avg_over_time", np.mean),
        ("min_over_time", np.min),
        ("max_over_time", np.max),
        ("stddev_over_time", np.std),
        ("stdvar_over_time", np.var),
        ("first_over_time", lambda v: v[0]),
        ("last_over_time", lambda v: v[-1]),
    ],
)
def test_unwrapped_functions_are_those_of_the_window(function, naive, step):
    """Each function of a window's samples is what it is for the samples alone."""
    values = [3.5, -1, 7, 7, 0.25, 100, 42, -8, 1e6, 2]
    rows = [batch([(A, 5 * i, f"v={v}")]) for i, v in enumerate(values)]
    query = f'{function}({{app="a"}} | logfmt | unwrap v [10s])'

    got = points(ask(query, *rows, start=0, end=60, step=step))[(("app", "a"),)]

    for when in range(0, 61, step):
        inside = [v for i, v in enumerate(values) if when - 10 < 5 * i <= when]
        assert (when in got) == bool(inside)
        if inside:
            assert got[when] == pytest.approx(naive(inside))


@pytest.mark.parametrize("step", [4, 10, 15])
@pytest.mark.parametrize("quantile", [0, 0.3, 0.5, 0.99, 1])
def test_quantiles_are_interpolated(quantile, step):
    """A quantile of a window is numpy's linear one, windows apart or overlapping."""
    values = [9, 1, 5, 3, 3, 8, 2.5, 7]
    rows = batch([(A, 2 * i, f"v={v}") for i, v in enumerate(values)])
    query = f'quantile_over_time({quantile}, {{app="a"}} | logfmt | unwrap v [10s])'

    found = points(ask(query + " by (app)", rows, start=0, end=30, step=step))

    for when, value in found[(("app", "a"),)].items():
        inside = [v for i, v in enumerate(values) if when - 10 < 2 * i <= when]
        assert value == pytest.approx(np.quantile(inside, quantile))


SAMPLES = st.one_of(
    st.integers(-3, 3).map(float), st.sampled_from([np.nan, np.inf, -np.inf])
)


@settings(max_examples=40)
@given(st.lists(SAMPLES, min_size=90, max_size=99), st.floats(0, 1))
def test_quantiles_of_many_windows_are_those_of_each(samples, quantile):
    """Samples that are in many windows are not sorted for each of them."""
    values = np.array(samples)
    lows, highs = np.array(
        [(i, j) for i in range(9) for j in range(i + 40, len(values) + 1, 3)]
    ).T
    assert (highs - lows).sum() > _OVERLAP_MAX * (len(values) + len(lows))

    with np.errstate(invalid="ignore"):
        got = quantiles(quantile, values, lows, highs)
        for low, high, value in zip(lows[::7], highs[::7], got[::7], strict=True):
            inside = np.sort(values[low:high])
            rank = quantile * (len(inside) - 1)
            lower, weight = int(rank), rank - int(rank)
            upper = min(lower + 1, len(inside) - 1)
            want = inside[lower] * (1 - weight) + inside[upper] * weight
            assert value == pytest.approx(want, nan_ok=True)


@settings(max_examples=40)
@given(
    st.lists(st.floats(allow_nan=False), min_size=80, max_size=90),
    st.floats(0, 1),
    st.booleans(),
)
def test_quantiles_do_not_depend_on_the_way(samples, quantile, many):
    """They are the same to the last digit, next to infinities or not."""
    values = np.array(samples)
    steps = range(9) if many else (0, 40)
    lows, highs = np.array(
        [(i, j) for i in steps for j in range(i + 40, len(values) + 1, 3)]
    ).T

    with np.errstate(all="ignore"):
        got = quantiles(quantile, values, lows, highs)
        for low, high, value in zip(lows, highs, got, strict=True):
            inside = np.sort(values[low:high])
            rank = quantile * (len(inside) - 1)
            lower, weight = int(rank), rank - int(rank)
            upper = min(lower + 1, len(inside) - 1)
            want = inside[lower] * (1 - weight) + inside[upper] * weight
            assert value == want or (np.isnan(value) and np.isnan(want))


@pytest.mark.parametrize("longest", [3, 60])
def test_sums_of_runs_are_of_their_own_values(longest):
    """What is large or infinite stays in the runs that have it."""
    rng = np.random.default_rng(7)
    values = rng.integers(0, 100, 300).astype(float)
    values[[20, 150]] = 1e17, np.inf
    lows = np.arange(300)
    highs = np.minimum(lows + rng.integers(0, longest + 1), 300)

    found = _run_sums(values, lows, highs)

    for low, high, got in zip(lows, highs, found, strict=True):
        assert got == pytest.approx(values[low:high].sum(), rel=1e-15), low


def test_long_windows_of_short_steps_cost_what_their_samples_do():
    """An hour at steps of 10 s has the quantiles of sorting each window."""
    rng = np.random.default_rng(5)
    when = np.sort(rng.integers(0, 7200, 3000))
    values = rng.integers(0, 100, 3000)
    rows = batch([(A, int(t), f"v={v}") for t, v in zip(when, values, strict=True)])
    query = 'quantile_over_time(0.9, {app="a"} | logfmt | unwrap v [1h]) by (app)'

    found = points(ask(query, rows, start=3600, end=7200, step=10))

    for at, value in found[(("app", "a"),)].items():
        inside = values[(when > at - 3600) & (when <= at)]
        assert value == pytest.approx(np.quantile(inside, 0.9))


def test_range_query_points_lie_on_multiples_of_the_step():
    """The start is rounded down and the end up to a multiple of the step."""
    grid = range_grid(7, 25, 10)

    assert grid.times_ns.tolist() == [0, 10, 20, 30]


def test_scan_covers_the_windows_and_nothing_else():
    """The first nanosecond read is the first of the first window."""
    windows = Windows(range_grid(100, 200, 10), range_ns=30, offset_ns=5)

    assert (windows.start_ns, windows.end_ns) == (66, 196)


def test_absent_is_one_where_nothing_is():
    """absent_over_time has the labels that equality matchers name once."""
    rows = batch([(A, 10, "x")])

    got = points(ask('absent_over_time({app="a"}[5s])', rows, end=20, step=5))

    assert got == {(("app", "a"),): {0: 1, 5: 1, 15: 1, 20: 1}}
