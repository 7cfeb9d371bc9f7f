"""A metric expression over the tables of its range aggregations."""

from collections.abc import Mapping
from typing import TypeAlias

from loki_py.errors import LimitExceeded
from loki_py.logql import ast_metric as metric
from loki_py.logql.ast_metric import VectorFunction
from loki_py.logql.exec.aggregate import aggregated
from loki_py.logql.exec.binary import binary
from loki_py.logql.exec.grid import Grid
from loki_py.logql.exec.label_replace import label_replaced
from loki_py.logql.exec.table import Table, constant_table
from loki_py.model.results import Data, Matrix, Scalar, Vector

Value: TypeAlias = Table | float
Leaves: TypeAlias = Mapping[metric.RangeAggregation, Table]


def evaluated(expr: metric.MetricExpr, leaves: Leaves, *, points: int) -> Value:
    """Return the table of an expression, or the number where it is one."""
    match expr:
        case metric.RangeAggregation():
            return leaves[expr]
        case metric.Literal(value):
            return value
        case metric.Vector(value):
            return constant_table(value, points)
        case metric.VectorAggregation():
            return aggregated(expr, _table(expr.operand, leaves, points=points))
        case metric.LabelReplace():
            return label_replaced(expr, _table(expr.operand, leaves, points=points))
        case metric.BinaryOperation():
            left = evaluated(expr.left, leaves, points=points)
            right = evaluated(expr.right, leaves, points=points)
            return binary(expr, left, right)


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
    value = evaluated(expr, leaves, points=grid.count)
    if isinstance(value, float):
        if instant:
            return Scalar(grid.start_ns, value)
        value = constant_table(value, grid.count)
    if not instant:
        value = value.distinct()
    if len(value) > series_max > 0:
        raise LimitExceeded(
            f"maximum number of series ({series_max}) reached for a single query; "
            "consider reducing query cardinality by adding more specific stream "
            "selectors, reducing the time range, or aggregating results with "
            "functions like sum(), count() or topk()",
            status=400,
        )
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
