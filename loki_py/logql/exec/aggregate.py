"""Aggregations over series: tables in, a table out. One row each in AGGREGATIONS.

What comes in may be one table, or the series of one table some at a time.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from loki_py.logql import ast_metric as metric
from loki_py.logql.ast_metric import Grouping, VectorFunction
from loki_py.logql.exec.frame import Mask
from loki_py.logql.exec.grid import Fields
from loki_py.logql.exec.reductions import COUNT, MAX, MIN, MOMENTS, SUM, Reduction
from loki_py.logql.exec.table import Table, check_size, stacked
from loki_py.model.results import Floats, Labels

Groups: TypeAlias = npt.NDArray[np.int64]
_Choice: TypeAlias = Callable[[Iterable[Table], metric.VectorAggregation], Table]


def grouped_labels(labels: Labels, grouping: Grouping | None) -> Labels:
    """Return what is left of a label set in a group."""
    if grouping is None:
        return ()
    named = set(grouping.labels)
    return tuple(pair for pair in labels if (pair[0] in named) != grouping.without)


def aggregated(node: metric.VectorAggregation, tables: Iterable[Table]) -> Table:
    """Return the aggregation of the series of all tables.

    Args:
        tables: one or more; the series of each behind those of the last in order.

    Raises: LimitExceeded where they are too many to be held.
    """
    choose = _CHOICES.get(node.function)
    if choose is not None:
        return choose(tables, node)
    aggregate = AGGREGATIONS[node.function]
    ids: dict[Labels, int] = {}
    state: Fields = ()
    points = 0
    # Rounding depends on the order, so that is one that does not depend on storage.
    for table in map(Table.sorted, tables):
        points = table.values.shape[1]
        group = np.array(
            [
                ids.setdefault(grouped_labels(labels, node.grouping), len(ids))
                for labels in table.labels
            ],
            dtype=np.int64,
        )
        check_size(len(ids), points)
        cells = len(ids) * points
        more = aggregate.folded(table, group, cells)
        if state:
            before = tuple(np.append(f, np.zeros(cells - len(f))) for f in state)
            with np.errstate(all="ignore"):
                more = aggregate.reduction.combine(before, more)
        state = more
    with np.errstate(all="ignore"):
        values = aggregate.value(state)
    shape = (len(ids), points)
    present = (state[0] > 0).reshape(shape)
    return Table(list(ids), values.reshape(shape), present).with_points()


@dataclass(frozen=True, slots=True)
class Aggregate:
    """How the values of a group at one time become one.

    Attributes:
        reduction: of values as if they were samples.
        begin: values, 0 where not present, and presence to what the state of each
            has behind the number of values.
        value: a state to the value.
    """

    reduction: Reduction
    begin: Callable[[Floats, Mask], Fields]
    value: Callable[[Fields], Floats]

    def folded(self, table: Table, group: Groups, cells: int) -> Fields:
        """Return the states of all groups at all times, one after the other."""
        points = table.values.shape[1]
        cell = (group * points).reshape(-1, 1) + np.arange(points)
        there = table.present
        fields = self.begin(np.where(there, table.values, 0.0), there)
        flat = tuple(field.ravel() for field in (there.astype(np.float64), *fields))
        with np.errstate(all="ignore"):
            return self.reduction.fold(cell.ravel(), cells, flat)


def _values(values: Floats, _: Mask) -> Fields:
    return (values,)


def _values_or_nan(values: Floats, present: Mask) -> Fields:
    return (np.where(present, values, np.nan),)


def _moments(values: Floats, _: Mask) -> Fields:
    return values, np.zeros_like(values)


AGGREGATIONS: dict[VectorFunction, Aggregate] = {
    VectorFunction.SUM: Aggregate(SUM, _values, lambda state: state[1]),
    VectorFunction.AVG: Aggregate(SUM, _values, lambda state: state[1] / state[0]),
    VectorFunction.COUNT: Aggregate(COUNT, lambda *_: (), lambda state: state[0]),
    VectorFunction.MIN: Aggregate(MIN, _values_or_nan, lambda state: state[1]),
    VectorFunction.MAX: Aggregate(MAX, _values_or_nan, lambda state: state[1]),
    VectorFunction.STDDEV: Aggregate(
        MOMENTS, _moments, lambda state: np.sqrt(state[2] / state[0])
    ),
    VectorFunction.STDVAR: Aggregate(
        MOMENTS, _moments, lambda state: state[2] / state[0]
    ),
}


def _top(
    tables: Iterable[Table], node: metric.VectorAggregation, *, largest: bool
) -> Table:
    """Keep the k largest (or smallest) of each group at each time.

    Of equal values those first in label order stay, whatever was read first.
    """
    best: Table | None = None
    for table in tables:
        both = table if best is None else stacked((best, table))
        best = _top_of(both, node, largest=largest)
    assert best is not None
    return best


def _top_of(table: Table, node: metric.VectorAggregation, *, largest: bool) -> Table:
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
    """Return where a value is among the k best present ones of its column.

    NaN is the worst value. Of equal ones the upper rows' are better.
    """
    count = len(values)
    if count <= k:
        return present
    unknown = present & np.isnan(values)
    there = present & ~unknown
    rank = np.where(there, values if largest else -values, -np.inf)
    last = np.partition(rank, count - k, axis=0)[count - k]
    best: Mask = rank > last
    for others in ((rank == last) & there, unknown):
        if others.any():
            room = k - best.sum(axis=0)
            best |= others & (np.cumsum(others, axis=0) <= room)
    return best


def _sorted(tables: Iterable[Table], *, descending: bool) -> Table:
    """Order the series by their (only) value; NaN comes last."""
    table = stacked(tables)
    column = table.values[:, 0] if table.values.shape[1] else np.zeros(len(table))
    order = np.argsort(-column if descending else column, kind="stable")
    return table.take(order)


_CHOICES: dict[VectorFunction, _Choice] = {
    VectorFunction.TOPK: lambda tables, node: _top(tables, node, largest=True),
    VectorFunction.APPROX_TOPK: lambda tables, node: _top(tables, node, largest=True),
    VectorFunction.BOTTOMK: lambda tables, node: _top(tables, node, largest=False),
    VectorFunction.SORT: lambda tables, _: _sorted(tables, descending=False),
    VectorFunction.SORT_DESC: lambda tables, _: _sorted(tables, descending=True),
}
