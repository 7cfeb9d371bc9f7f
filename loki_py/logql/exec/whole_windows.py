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
    out = np.empty(len(lows))
    total = np.concatenate(([0], np.cumsum(highs - lows)))
    start = 0
    while start < len(lows):
        end = (
            int(np.searchsorted(total, total[start] + _EXPANDED_MAX, side="right")) - 1
        )
        end = max(end, start + 1)
        out[start:end] = _quantiles(quantile, values, lows[start:end], highs[start:end])
        start = end
    return out


def _quantiles(quantile: float, values: Floats, lows: Ints, highs: Ints) -> Floats:
    counts = highs - lows
    starts = np.concatenate(([0], np.cumsum(counts)[:-1]))
    window = np.repeat(np.arange(len(lows)), counts)
    at = np.arange(len(window)) - np.repeat(starts - lows, counts)
    return group_quantiles(quantile, window, values[at], len(lows))


def group_quantiles(quantile: float, group: Ints, values: Floats, count: int) -> Floats:
    """Return the quantile of each group's values; every group has some."""
    if np.isfinite(values).all() and 0 <= quantile <= 1:
        frame = pl.DataFrame({"group": group, "value": values})
        ranked = pl.col("value").quantile(quantile, interpolation="linear")
        found = frame.group_by("group").agg(ranked).sort("group")
        return found["value"].to_numpy()
    ordered = values[np.lexsort((values, group))]
    counts = np.bincount(group, minlength=count)
    starts = np.concatenate(([0], np.cumsum(counts)[:-1]))
    rank = quantile * (counts - 1)
    lower = np.floor(rank).astype(np.int64)
    upper = np.minimum(lower + 1, counts - 1)
    weight = rank - lower
    below, above = ordered[starts + lower], ordered[starts + upper]
    result: Floats = below * (1 - weight) + above * weight
    return result


def counter_rates(runs: WindowRuns) -> Floats:
    """Return the per-second increase of a counter in each window.

    A fall is a reset: the counter is thought to have begun at zero again. The
    increase between the first and the last sample is extrapolated towards both
    ends of the window, as far as the samples' spacing makes likely and not to
    where the counter would have been below zero.
    """
    times_ns, values, lows, last = runs.times_ns, runs.values, runs.lows, runs.highs - 1
    falls = np.where(values[1:] < values[:-1], values[:-1], 0.0)
    lost = np.concatenate(([0.0], np.cumsum(falls)))
    increase = values[last] - values[lows] + lost[last] - lost[lows]
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
