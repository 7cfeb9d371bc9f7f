"""Functions of all samples of a window: quantiles and counter rates.

Pure numpy on sorted samples; a window is a run of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import polars as pl

from loki_py.logql.exec.grid import Ints
from loki_py.model.results import Floats

_EXPANDED_MAX = 4_000_000
"""Samples, counted once per window they are in, that are sorted at a time."""

_OVERLAP_MAX = 16
"""Windows that a sample is in, on average, up to which each is sorted alone."""

_EXTRAPOLATION = 1.1
"""A gap to the window's edge below this many mean gaps is thought to be filled."""


@dataclass(frozen=True, slots=True)
class WindowRuns:
    """Windows as runs [lows, highs) of samples, never empty.

    Attributes:
        times_ns, values: all samples, sorted by series and time.
        ends_ns: the last time of each window; it began after ends_ns - range_ns.
    """

    times_ns: Ints
    values: Floats
    lows: Ints
    highs: Ints
    ends_ns: Ints
    range_ns: int


Valued: TypeAlias = Callable[[WindowRuns], Floats]
"""The value of each window."""


def quantiles_at(quantile: float) -> Valued:
    """Return the function to the quantile of each window, interpolated linearly."""
    return lambda runs: quantiles(quantile, runs.values, runs.lows, runs.highs)


def quantiles(quantile: float, values: Floats, lows: Ints, highs: Ints) -> Floats:
    """Return the quantile of each window."""
    if np.isnan(quantile):
        return np.full(len(lows), np.nan)
    if quantile < 0 or quantile > 1:
        return np.full(len(lows), -np.inf if quantile < 0 else np.inf)
    total = np.concatenate(([0], np.cumsum(highs - lows)))
    if total[-1] > _OVERLAP_MAX * (len(values) + len(lows)):
        return _quantiles_by_rank(quantile, values, lows, highs)
    out = np.empty(len(lows))
    start = 0
    while start < len(lows):
        end = (
            int(np.searchsorted(total, total[start] + _EXPANDED_MAX, side="right")) - 1
        )
        end = max(end, start + 1)
        out[start:end] = _quantiles(quantile, values, lows[start:end], highs[start:end])
        start = end
    return out


def _quantiles_by_rank(
    quantile: float, values: Floats, lows: Ints, highs: Ints
) -> Floats:
    """Return the quantile of each window, however many windows a sample is in."""
    counts = highs - lows
    lower, upper, weight = _places(quantile, counts)
    order = np.argsort(values, kind="stable")
    rank = np.empty(len(values), np.int64)
    rank[order] = np.arange(len(values))
    places = np.concatenate((lower, upper))
    chosen = _chosen(rank, np.tile(lows, 2), np.tile(highs, 2), places)
    below, above = np.split(values[order[chosen]], 2)
    return _between(below, above, weight)


def _chosen(rank: Ints, lows: Ints, highs: Ints, places: Ints) -> Ints:
    """Return which rank is at a place of those of each run, in ascending order.

    The ranks' bits decide, the highest first: those without it come before those
    with it, in every run at once, and so the place is narrowed down. The cost
    grows with samples + runs and the logarithm of the samples.
    """
    chosen = np.zeros(len(places), np.int64)
    for bit in range(max(len(rank) - 1, 1).bit_length() - 1, -1, -1):
        is_set = (rank >> bit & 1).astype(np.bool_)
        before = np.concatenate(([0], np.cumsum(~is_set)))
        low, high = before[lows], before[highs]
        is_high = places >= high - low
        places = np.where(is_high, places - (high - low), places)
        lows = np.where(is_high, before[-1] + lows - low, low)
        highs = np.where(is_high, before[-1] + highs - high, high)
        chosen |= is_high.astype(np.int64) << bit
        rank = np.concatenate((rank[~is_set], rank[is_set]))
    return chosen


def _places(quantile: float, counts: Ints) -> tuple[Ints, Ints, Floats]:
    """Return the two samples in order that a quantile is between, and how far."""
    rank = quantile * (counts - 1)
    lower = np.floor(rank).astype(np.int64)
    return lower, np.minimum(lower + 1, counts - 1), rank - lower


def _between(below: Floats, above: Floats, weight: Floats) -> Floats:
    with np.errstate(invalid="ignore"):  # an infinity that does not count
        result: Floats = below * (1 - weight) + above * weight
    return result


def _quantiles(quantile: float, values: Floats, lows: Ints, highs: Ints) -> Floats:
    counts = highs - lows
    starts = np.concatenate(([0], np.cumsum(counts)[:-1]))
    window = np.repeat(np.arange(len(lows)), counts)
    at = np.arange(len(window)) - np.repeat(starts - lows, counts)
    return group_quantiles(quantile, window, values[at], len(lows))


def group_quantiles(quantile: float, group: Ints, values: Floats, count: int) -> Floats:
    """Return the quantile of each group's values; every group has some."""
    counts = np.bincount(group, minlength=count)
    lower, upper, weight = _places(quantile, counts)
    if not np.isfinite(values).all():
        ordered = values[np.lexsort((values, group))]
        starts = np.cumsum(counts) - counts
        return _between(ordered[starts + lower], ordered[starts + upper], weight)
    value = pl.col("value")
    frame = pl.DataFrame({"group": group, "value": values})
    found = (
        frame.group_by("group")
        .agg(
            value.quantile(quantile, interpolation="lower").alias("below"),
            value.quantile(quantile, interpolation="higher").alias("above"),
        )
        .sort("group")
    )
    return _between(found["below"].to_numpy(), found["above"].to_numpy(), weight)


def counter_rates(runs: WindowRuns) -> Floats:
    """Return the per-second increase of a counter in each window.

    A fall is a reset: the counter is thought to have begun at zero again. The
    increase between the first and the last sample is extrapolated towards both
    ends of the window, as far as the samples' spacing makes likely and not to
    where the counter would have been below zero.
    """
    times_ns, values, lows, last = runs.times_ns, runs.values, runs.lows, runs.highs - 1
    falls = np.where(values[1:] < values[:-1], values[:-1], 0.0)
    increase = values[last] - values[lows] + _run_sums(falls, lows, last)
    sampled = (times_ns[last] - times_ns[lows]) / 1e9
    gap = sampled / np.maximum(last - lows, 1)
    to_start = (times_ns[lows] - (runs.ends_ns - runs.range_ns)) / 1e9
    to_end = (runs.ends_ns - times_ns[last]) / 1e9
    to_zero = sampled * (values[lows] / increase)
    grows = (increase > 0) & (values[lows] >= 0)
    to_start = np.where(grows & (to_zero < to_start), to_zero, to_start)
    likely = gap * _EXTRAPOLATION
    reach = sampled + np.where(to_start < likely, to_start, gap / 2)
    reach += np.where(to_end < likely, to_end, gap / 2)
    rate = increase * (reach / sampled) / (runs.range_ns / 1e9)
    return np.where(last > lows, rate, 0.0)


def _run_sums(values: Floats, lows: Ints, highs: Ints) -> Floats:
    """Return the sum of each run [lows, highs), of its own values alone.

    Infinity, and what is too large to add to others, does not reach other runs.
    Both bounds ascend.
    """
    length = highs - lows
    if int(length.sum()) <= _OVERLAP_MAX * len(values):
        bounds = np.stack((lows, highs), axis=1).ravel()
        sums = np.add.reduceat(np.append(values, 0.0), bounds)[::2]
        return np.where(highs > lows, sums, 0.0)
    # Sums of 1, 2, 4, … values; a run is made of those that its length has in binary.
    sums, out, at = values, np.zeros(len(lows)), lows.copy()
    size, longest = 1, int(length.max())
    while True:
        rows = np.flatnonzero(length & size)
        out[rows] += sums[at[rows]]
        at[rows] += size
        if 2 * size > longest:
            return out
        sums = sums[:-size] + sums[size:]
        size *= 2
