"""Arithmetic on two numbers, as constant expressions have it."""

import math
from collections.abc import Callable

from loki_py.logql.ast_metric import BinaryOp


def folded(op: BinaryOp, left: float, right: float) -> float:
    """Return `left op right`; comparisons give 1 or 0. Not for set operators."""
    return _FOLD[op](left, right)


def _divide(left: float, right: float) -> float:
    if right != 0:
        return left / right
    if left == 0 or math.isnan(left):
        return math.nan
    return math.copysign(math.inf, left) * math.copysign(1, right)


def _modulo(left: float, right: float) -> float:
    if right == 0 or math.isinf(left):
        return math.nan
    return math.fmod(left, right)


def _power(left: float, right: float) -> float:
    odd = (
        right == math.trunc(right) and right % 2 == 1 if math.isfinite(right) else False
    )
    try:
        return math.pow(left, right)
    except OverflowError:
        return -math.inf if left < 0 and odd else math.inf
    except ValueError:
        if left == 0:
            return math.copysign(math.inf, left) if odd else math.inf
        return math.nan


_FOLD: dict[BinaryOp, Callable[[float, float], float]] = {
    BinaryOp.ADD: lambda left, right: left + right,
    BinaryOp.SUBTRACT: lambda left, right: left - right,
    BinaryOp.MULTIPLY: lambda left, right: left * right,
    BinaryOp.DIVIDE: _divide,
    BinaryOp.MODULO: _modulo,
    BinaryOp.POWER: _power,
    BinaryOp.EQUAL: lambda left, right: float(left == right),
    BinaryOp.NOT_EQUAL: lambda left, right: float(left != right),
    BinaryOp.GREATER: lambda left, right: float(left > right),
    BinaryOp.GREATER_EQUAL: lambda left, right: float(left >= right),
    BinaryOp.LESS: lambda left, right: float(left < right),
    BinaryOp.LESS_EQUAL: lambda left, right: float(left <= right),
}
