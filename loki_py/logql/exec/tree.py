"""A metric expression over the tables of its range aggregations."""

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from loki_py.logql import ast_metric as metric
from loki_py.logql.ast_metric import VectorFunction
from loki_py.logql.exec.aggregate import aggregated
from loki_py.logql.exec.binary import binary
from loki_py.logql.exec.grid import Grid
from loki_py.logql.exec.label_replace import label_replaced
from loki_py.logql.exec.table import (
    SlicedTable,
    Table,
    constant_table,
    stacked,
    too_many_series,
)
from loki_py.model.results import Data, Matrix, Scalar, Vector

Value: TypeAlias = Table | float
Leaves: TypeAlias = Mapping[metric.RangeAggregation, SlicedTable]


def evaluated(expr: metric.MetricExpr, leaves: Leaves, *, points: int) -> Value:
    """Return the table of an expression, or the number where it is one.

    Raises: LimitExceeded where a table on the way would be too large.
    """
    if _is_by_series(expr):
        return stacked(_slices(expr, leaves, points=points))
    match expr:
        case metric.Literal(value):
            return value
        case metric.Vector(value):
            return constant_table(value, points)
        case metric.VectorAggregation():
            return aggregated(expr, _slices(expr.operand, leaves, points=points))
        case metric.LabelReplace():
            return label_replaced(expr, _table(expr.operand, leaves, points=points))
        case metric.BinaryOperation():
            left = evaluated(expr.left, leaves, points=points)
            right = evaluated(expr.right, leaves, points=points)
            return binary(expr, left, right)
        case metric.RangeAggregation():
            raise AssertionError("ranges are valued by series")


def _is_by_series(expr: metric.MetricExpr) -> bool:
    """Return whether each series of an expression comes of one of one range."""
    match expr:
        case metric.RangeAggregation():
            return True
        case metric.VectorAggregation(function, operand, _, grouping):
            # Where the range was told to sum so, that is what it has done.
            return (
                function is VectorFunction.SUM
                and isinstance(operand, metric.RangeAggregation)
                and operand.grouping == (grouping or metric.Grouping(labels=()))
                and not operand.grouping.without
            )
        case metric.BinaryOperation(_, metric.Literal(), other):
            return _is_by_series(other)
        case metric.BinaryOperation(_, other, metric.Literal()):
            return _is_by_series(other)
        case _:
            return False


def _slices(expr: metric.MetricExpr, leaves: Leaves, *, points: int) -> Iterator[Table]:
    """Yield the series of an expression, some at a time where that can be."""
    match expr:
        case metric.RangeAggregation():
            yield from leaves[expr].slices()
        case metric.VectorAggregation() if _is_by_series(expr):
            yield from _slices(expr.operand, leaves, points=points)
        case metric.BinaryOperation(_, left, right) if _is_by_series(expr):
            number = left if isinstance(left, metric.Literal) else right
            assert isinstance(number, metric.Literal)
            for table in _slices(
                right if number is left else left, leaves, points=points
            ):
                sides = (
                    (number.value, table) if number is left else (table, number.value)
                )
                value = binary(expr, *sides)
                assert isinstance(value, Table)
                yield value
        case _:
            yield _table(expr, leaves, points=points)


def _table(expr: metric.MetricExpr, leaves: Leaves, *, points: int) -> Table:
    value = evaluated(expr, leaves, points=points)
    return value if isinstance(value, Table) else constant_table(value, points)


def data_of(
    expr: metric.MetricExpr,
    leaves: Leaves,
    *,
    grid: Grid,
    instant: bool,
    series_max: int,
) -> Data:
    """Return the result of a metric query.

    Raises: LimitExceeded where the result has more than `series_max` series,
        QueryInvalid where two of a range have the same labels and times.
    """
    value: Value
    if _is_by_series(expr):
        slices = _slices(expr, leaves, points=grid.count)
        value = stacked(slices, series_max=series_max)
    else:
        value = evaluated(expr, leaves, points=grid.count)
    if isinstance(value, float):
        if instant:
            return Scalar(grid.start_ns, value)
        value = constant_table(value, grid.count)
    if not instant:
        value = value.distinct()
    if len(value) > series_max > 0:
        raise too_many_series(series_max)
    if not (instant and _sorts(expr)):
        value = value.sorted()
    if instant:
        return Vector(value.labels, grid.start_ns, value.values[:, 0])
    return Matrix(value.labels, grid.times_ns, value.values, value.present)


def _sorts(expr: metric.MetricExpr) -> bool:
    match expr:
        case metric.VectorAggregation(function, operand):
            by_value = {VectorFunction.SORT, VectorFunction.SORT_DESC}
            return function in by_value or _sorts(operand)
        case metric.LabelReplace():
            return _sorts(expr.operand)
        case metric.BinaryOperation(_, left, right):
            return _sorts(left) or _sorts(right)
        case _:
            return False
