"""Functions of all samples of a window: quantiles and counter rates.

Samples are sorted by series and time; a window is a run [low, high) of them,
never empty.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from loki_py.logql.exec.grid import Ints
from loki_py.model.results import Floats

_EXPANDED_MAX = 4_000_000
"""Samples, counted once per window they are in, that are sorted at a time."""

_EXTRAPOLATION = 1.1
"""A gap to the window's edge below this many mean gaps is thought to be filled."""


Valued: TypeAlias = Callable[[Ints, Floats, Ints, Ints, int], Floats]
"""(times, values, low of each window, high of each window, range) to values."""


def quantiles_at(quantile: float) -> Valued:
    """Return the function to the quantile of each window, interpolated linearly."""
    return lambda _times, values, lows, highs, _range: quantiles(
        quantile, values, lows, highs
    )


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
    expanded = values[at]
    ordered = expanded[np.lexsort((expanded, window))]
    rank = quantile * (counts - 1)
    lower = np.floor(rank).astype(np.int64)
    upper = np.minimum(lower + 1, counts - 1)
    weight = rank - lower
    below, above = ordered[starts + lower], ordered[starts + upper]
    result: Floats = below * (1 - weight) + above * weight
    return result


def counter_rates(
    times_ns: Ints, values: Floats, lows: Ints, highs: Ints, range_ns: int
) -> Floats:
    """Return the per-second increase of a counter in each window.

    A fall is a reset: the counter is thought to have begun at zero again. The
    increase between the first and the last sample is extrapolated towards the
    window's start, as far as the samples' spacing makes likely.
    """
    falls = np.where(values[1:] < values[:-1], values[:-1], 0.0)
    lost = np.concatenate(([0.0], np.cumsum(falls)))
    last = highs - 1
    increase = values[last] - values[lows] + lost[last] - lost[lows]
    sampled = (times_ns[last] - times_ns[lows]) / 1e9
    gap = sampled / np.maximum(last - lows, 1)
    to_start = np.full(len(lows), range_ns / 1e9)
    to_zero = sampled * (values[lows] / increase)
    grows = (increase > 0) & (values[lows] >= 0)
    to_start = np.where(grows & (to_zero < to_start), to_zero, to_start)
    reach = sampled + np.where(to_start < gap * _EXTRAPOLATION, to_start, gap / 2)
    rate = increase * (reach / sampled) / (range_ns / 1e9)
    return np.where(last > lows, rate, 0.0)
