"""Reductions: how samples of one series and bucket become one, and then a value.

A reduction's state is a tuple of float64 arrays whose first is the number of
samples; where that is 0 the others do not matter. Adding a range function is
one row of FUNCTIONS.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from loki_py.logql.ast_metric import RangeFunction
from loki_py.logql.exec.grid import Fields, Ints

Floats: TypeAlias = npt.NDArray[np.float64]
Fold: TypeAlias = Callable[[Ints, int, Fields], Fields]


@dataclass(frozen=True, slots=True)
class Reduction:
    """An associative summary of samples.

    Attributes:
        begin: (values, timestamps, ranks among samples of equal time) to the
            state of single samples.
        fold: (group of each state, number of groups, states in time order) to
            the state of each group.
        combine: earlier state, later state, element by element.
        ranks: whether `begin` looks at ranks.
    """

    begin: Callable[[Floats, Ints, Floats], Fields]
    fold: Fold
    combine: Callable[[Fields, Fields], Fields]
    ranks: bool = False


def _ones(values: Floats) -> Floats:
    return np.broadcast_to(np.float64(1), len(values))


def _sum(group: Ints, count: int, weights: Floats) -> Floats:
    if len(weights) and weights.strides == (0,):
        # A constant, as the state of plain entries is.
        return np.bincount(group, minlength=count) * weights[:1]
    return np.bincount(group, weights=weights, minlength=count).astype(np.float64)


def _sums(group: Ints, count: int, fields: Fields) -> Fields:
    return tuple(_sum(group, count, field) for field in fields)


def _added(a: Fields, b: Fields) -> Fields:
    return tuple(x + y for x, y in zip(a, b, strict=True))


COUNT = Reduction(lambda values, _, __: (_ones(values),), _sums, _added)
SUM = Reduction(lambda values, _, __: (_ones(values), values), _sums, _added)


def _extreme(ufunc: np.ufunc, empty: float) -> Reduction:
    """Return the reduction by np.fmin or np.fmax; NaN loses against any number."""

    def fold(group: Ints, count: int, fields: Fields) -> Fields:
        best = np.full(count, np.nan)
        ufunc.at(best, group, fields[1])
        return _sum(group, count, fields[0]), best

    def combine(a: Fields, b: Fields) -> Fields:
        x, y = _or_empty(a, empty), _or_empty(b, empty)
        return a[0] + b[0], ufunc(x, y)

    return Reduction(lambda values, _, __: (_ones(values), values), fold, combine)


def _or_empty(fields: Fields, empty: float) -> Floats:
    return np.where(fields[0] > 0, fields[1], empty)


MIN = _extreme(np.fmin, np.nan)
MAX = _extreme(np.fmax, np.nan)


def _moments_fold(group: Ints, count: int, fields: Fields) -> Fields:
    number, mean, spread = fields
    total = _sum(group, count, number)
    with np.errstate(all="ignore"):
        middle = _sum(group, count, number * mean) / total
        away = np.square(mean - middle[group])
        rest = _sum(group, count, spread + number * away)
    return total, middle, rest


def _moments_combined(a: Fields, b: Fields) -> Fields:
    total = a[0] + b[0]
    with np.errstate(all="ignore"):
        apart = b[1] - a[1]
        mean = a[1] + apart * b[0] / total
        spread = a[2] + b[2] + np.square(apart) * a[0] * b[0] / total
    return (
        total,
        np.where(a[0] == 0, b[1], np.where(b[0] == 0, a[1], mean)),
        np.where(a[0] == 0, b[2], np.where(b[0] == 0, a[2], spread)),
    )


MOMENTS = Reduction(
    lambda values, _, __: (_ones(values), values, np.zeros(len(values))),
    _moments_fold,
    _moments_combined,
)


def _edge(*, last: bool) -> Reduction:
    """Return the reduction to the first or last sample by time, rank and arrival.

    Timestamps are kept as two floats, seconds and nanoseconds, because one
    float64 does not hold 2**60 ns exactly.
    """

    def begin(values: Floats, timestamp_ns: Ints, ranks: Floats) -> Fields:
        seconds, nanos = np.divmod(timestamp_ns, 1_000_000_000)
        ones = _ones(values)
        return (
            ones,
            seconds.astype(np.float64),
            nanos.astype(np.float64),
            ranks,
            values,
        )

    def fold(group: Ints, count: int, fields: Fields) -> Fields:
        order = np.lexsort((fields[3], fields[2], fields[1], group))
        ordered = group[order]
        edges = np.searchsorted(
            ordered, np.arange(count), side="right" if last else "left"
        )
        chosen = order[np.clip(edges - 1 if last else edges, 0, len(order) - 1)]
        total = _sum(group, count, fields[0])
        return total, *(field[chosen] for field in fields[1:])

    def combine(a: Fields, b: Fields) -> Fields:
        b_is_later = np.ones(a[0].shape, dtype=np.bool_)
        for x, y in zip(a[3:0:-1], b[3:0:-1], strict=True):
            b_is_later = (y > x) | ((y == x) & b_is_later)
        takes_b = (b[0] > 0) & ((a[0] == 0) | (b_is_later == last))
        chosen = (np.where(takes_b, y, x) for x, y in zip(a[1:], b[1:], strict=True))
        return a[0] + b[0], *chosen

    return Reduction(begin, fold, combine, ranks=True)


FIRST = _edge(last=False)
LAST = _edge(last=True)


@dataclass(frozen=True, slots=True)
class Function:
    """A range function: a reduction, and what its state means.

    Attributes:
        value: (state, range in seconds) to the value, where there are samples.
    """

    reduction: Reduction
    value: Callable[[Fields, float], Floats]


def _mean(state: Fields, _: float) -> Floats:
    return state[1] / state[0]


def _variance(state: Fields, _: float) -> Floats:
    return state[2] / state[0]


def _deviation(state: Fields, seconds: float) -> Floats:
    return np.sqrt(_variance(state, seconds))


_TOTAL = Function(SUM, lambda state, _: state[1])
_PER_SECOND = Function(SUM, lambda state, seconds: state[1] / seconds)

FUNCTIONS = {
    RangeFunction.COUNT_OVER_TIME: Function(COUNT, lambda state, _: state[0]),
    RangeFunction.RATE: _PER_SECOND,
    RangeFunction.BYTES_OVER_TIME: _TOTAL,
    RangeFunction.BYTES_RATE: _PER_SECOND,
    RangeFunction.SUM_OVER_TIME: _TOTAL,
    RangeFunction.AVG_OVER_TIME: Function(SUM, _mean),
    RangeFunction.MIN_OVER_TIME: Function(MIN, lambda state, _: state[1]),
    RangeFunction.MAX_OVER_TIME: Function(MAX, lambda state, _: state[1]),
    RangeFunction.STDVAR_OVER_TIME: Function(MOMENTS, _variance),
    RangeFunction.STDDEV_OVER_TIME: Function(MOMENTS, _deviation),
    RangeFunction.FIRST_OVER_TIME: Function(FIRST, lambda state, _: state[4]),
    RangeFunction.LAST_OVER_TIME: Function(LAST, lambda state, _: state[4]),
}
RATE_OF_ENTRIES = Function(COUNT, lambda state, seconds: state[0] / seconds)
