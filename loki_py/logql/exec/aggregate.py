"""Aggregations over series: a table in, a table out. One row each in AGGREGATIONS."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from loki_py.logql import ast_metric as metric
from loki_py.logql.ast_metric import Grouping, VectorFunction
from loki_py.logql.exec.frame import Mask
from loki_py.logql.exec.table import Table
from loki_py.model.results import Floats, Labels

Groups: TypeAlias = npt.NDArray[np.int64]
Aggregate: TypeAlias = Callable[[Floats, Mask, Groups, int], Floats]


def grouped_labels(labels: Labels, grouping: Grouping | None) -> Labels:
    """Return what is left of a label set in a group."""
    if grouping is None:
        return ()
    named = set(grouping.labels)
    return tuple(pair for pair in labels if (pair[0] in named) != grouping.without)


def aggregated(node: metric.VectorAggregation, table: Table) -> Table:
    """Return the aggregation of the table."""
    choose = _CHOICES.get(node.function)
    if choose is not None:
        return choose(table, node)
    # Rounding depends on the order, so that is one that does not depend on storage.
    table = table.sorted()
    ids: dict[Labels, int] = {}
    group = np.array(
        [
            ids.setdefault(grouped_labels(labels, node.grouping), len(ids))
            for labels in table.labels
        ],
        dtype=np.int64,
    )
    counts = _summed(table.present.astype(np.float64), group, len(ids))
    with np.errstate(all="ignore"):
        values = AGGREGATIONS[node.function](
            table.values, table.present, group, len(ids)
        )
    return Table(list(ids), values, counts > 0).with_points()


def _summed(values: Floats, group: Groups, count: int) -> Floats:
    """Return the sums of each group's rows, added in order."""
    points = values.shape[1]
    cell = (group * points).reshape(-1, 1) + np.arange(points)
    total = np.bincount(cell.ravel(), values.ravel(), count * points)
    return total.astype(np.float64, copy=False).reshape(count, points)


def _sum(values: Floats, present: Mask, group: Groups, count: int) -> Floats:
    return _summed(np.where(present, values, 0.0), group, count)


def _count(values: Floats, present: Mask, group: Groups, count: int) -> Floats:
    return _sum(np.ones_like(values), present, group, count)


def _avg(values: Floats, present: Mask, group: Groups, count: int) -> Floats:
    total = _sum(values, present, group, count)
    return total / _count(values, present, group, count)


def _min(values: Floats, present: Mask, group: Groups, count: int) -> Floats:
    best = np.full((count, values.shape[1]), np.nan)
    np.fmin.at(best, group, np.where(present, values, np.nan))
    return best


def _max(values: Floats, present: Mask, group: Groups, count: int) -> Floats:
    best = np.full((count, values.shape[1]), np.nan)
    np.fmax.at(best, group, np.where(present, values, np.nan))
    return best


def _stdvar(values: Floats, present: Mask, group: Groups, count: int) -> Floats:
    mean = _avg(values, present, group, count)
    away = np.square(values - mean[group])
    return _avg(away, present, group, count)


def _stddev(values: Floats, present: Mask, group: Groups, count: int) -> Floats:
    return np.sqrt(_stdvar(values, present, group, count))


AGGREGATIONS: dict[VectorFunction, Aggregate] = {
    VectorFunction.SUM: _sum,
    VectorFunction.AVG: _avg,
    VectorFunction.COUNT: _count,
    VectorFunction.MIN: _min,
    VectorFunction.MAX: _max,
    VectorFunction.STDDEV: _stddev,
    VectorFunction.STDVAR: _stdvar,
}


def _top(table: Table, node: metric.VectorAggregation, *, largest: bool) -> Table:
    """Keep the k largest (or smallest) of each group at each time.

    Of equal values those first in label order stay, whatever was read first.
    """
    assert node.parameter is not None
    table = table.sorted()
    groups: dict[Labels, list[int]] = {}
    for row, labels in enumerate(table.labels):
        groups.setdefault(grouped_labels(labels, node.grouping), []).append(row)
    present = np.zeros_like(table.present)
    for rows in groups.values():
        present[rows] = _best(
            table.values[rows], table.present[rows], node.parameter, largest=largest
        )
    return Table(table.labels, table.values, present).with_points()


def _best(values: Floats, present: Mask, k: int, *, largest: bool) -> Mask:
    """Return where a value is among the k best present ones of its column."""
    rank = np.where(np.isnan(values), -np.inf, values if largest else -values)
    order = np.lexsort((-rank, ~present), axis=0)[:k]
    best = np.zeros_like(present)
    np.put_along_axis(best, order, values=True, axis=0)
    return best & present


def _sorted(table: Table, *, descending: bool) -> Table:
    """Order the series by their (only) value; NaN comes last."""
    column = table.values[:, 0] if table.values.shape[1] else np.zeros(len(table))
    order = np.argsort(-column if descending else column, kind="stable")
    return table.take(order)


_CHOICES: dict[VectorFunction, Callable[[Table, metric.VectorAggregation], Table]] = {
    VectorFunction.TOPK: lambda table, node: _top(table, node, largest=True),
    VectorFunction.APPROX_TOPK: lambda table, node: _top(table, node, largest=True),
    VectorFunction.BOTTOMK: lambda table, node: _top(table, node, largest=False),
    VectorFunction.SORT: lambda table, _: _sorted(table, descending=False),
    VectorFunction.SORT_DESC: lambda table, _: _sorted(table, descending=True),
}
