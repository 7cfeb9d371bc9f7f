"""What a window of samples, or a group of values, comes to."""

import math
from fractions import Fraction
from itertools import pairwise


def over_time(node, samples, low, high):
    values = [value for _, value in samples]
    seconds = (high - low) / 1e9
    match node.function.value:
        case "count_over_time":
            return float(len(values))
        case "rate" | "bytes_rate":
            return total(values) / seconds
        case "bytes_over_time" | "sum_over_time":
            return total(values)
        case "rate_counter":
            return counter_rate(samples, low, high)
        case "first_over_time":
            return values[0]
        case "last_over_time":
            return values[-1]
        case "quantile_over_time":
            return quantile(node.parameter, values)
        case name:
            return VECTOR[name.removesuffix("_over_time")](values)


def total(values):
    """Return the exact sum, rounded once."""
    if not all(map(math.isfinite, values)):
        return sum(values)
    return float(sum(map(Fraction, values)))


def mean(values):
    return total(values) / len(values)


def variance(values):
    middle = mean(values)
    return total([(value - middle) ** 2 for value in values]) / len(values)


def extreme(choose):
    def chosen(values):
        numbers = [value for value in values if not math.isnan(value)]
        return choose(numbers) if numbers else math.nan

    return chosen


VECTOR = {
    "sum": total,
    "avg": mean,
    "count": lambda values: float(len(values)),
    "min": extreme(min),
    "max": extreme(max),
    "stdvar": variance,
    "stddev": lambda values: math.sqrt(variance(values)),
}


def quantile(q, values):
    """Return the linear interpolation between the two samples around the rank."""
    if not 0 <= q <= 1:
        return math.inf if q > 1 else -math.inf
    ordered = sorted(values)
    rank = q * (len(ordered) - 1)
    below, above = math.floor(rank), math.ceil(rank)
    share = rank - below
    return ordered[below] * (1 - share) + ordered[above] * share


def counter_rate(samples, low, high):
    """Return what a counter grew by each second, were the window all sampled."""
    if len(samples) < 2:
        return 0.0
    (first_time, first), (last_time, last) = samples[0], samples[-1]
    growth = last - first
    for (_, before), (_, after) in pairwise(samples):
        if after < before:
            growth += before  # it started again from zero
    covered = (last_time - first_time) / 1e9
    spacing = covered / (len(samples) - 1)
    before, after = (first_time - low) / 1e9, (high - last_time) / 1e9
    if growth > 0 and first >= 0:
        before = min(before, covered * (first / growth))
    # A gap much longer than the usual spacing is only half a spacing long.
    stretched = covered
    for gap in (before, after):
        stretched += gap if gap < spacing * 1.1 else spacing / 2
    return growth * (stretched / covered) / ((high - low) / 1e9)
