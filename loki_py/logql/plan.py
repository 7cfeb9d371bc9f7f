"""Plans: what a query reads, how batches become partial results, what they sum to.

Pure: whoever runs a plan reads the units of every leaf's scan (on threads, if
it likes), maps each batch, adds the partial results in unit order, and asks
for the result.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from loki_py.errors import QueryInvalid
from loki_py.logql import ast
from loki_py.logql import ast_metric as metric
from loki_py.logql.exec.grid import Grid, instant_grid, range_grid
from loki_py.logql.exec.log_leaf import LogEvaluator
from loki_py.logql.exec.range_plan import (
    evaluator_of,
    ranges_of,
    scan_of,
    windows_of,
    with_pushed_groupings,
)
from loki_py.logql.exec.table import SlicedTable
from loki_py.logql.exec.tree import data_of
from loki_py.logql.stages.line_filter import literals_of
from loki_py.logql.stages.pipeline import hints_of
from loki_py.model.batch import EntryBatch
from loki_py.model.results import Data, Result
from loki_py.model.scan import ReadStats, Scan, ScanUnit

LIMIT_DEFAULT = 100
SERIES_MAX_DEFAULT = 500

INSTANT_LOG_QUERY = (
    "log queries are not supported as an instant query type, please change your "
    "query to a range query type"
)


class Evaluator(Protocol):
    """From the batches of one scan to what they come to.

    Attributes:
        rows_kept: entries added so far that survived the pipeline.
        by_line: whether it may look at lines one by one, and so be slow.
    """

    rows_kept: int
    by_line: bool

    def map(self, batch: EntryBatch) -> Any:
        """Return the partial result of a batch; called on worker threads."""
        ...

    def add(self, partial: Any) -> None:
        """Take a partial result; one thread, in unit order.

        Raises: QueryInvalid where the query fails on what the batch holds.
        """
        ...

    def finish(self) -> Any:
        """Return what all batches come to."""
        ...


@dataclass(frozen=True, slots=True)
class Leaf:
    """One scan and what becomes of its batches.

    Where `scan.columns.line` is false and no metadata is wanted, streams and
    timestamps alone suffice.
    """

    scan: Scan
    evaluator: Evaluator


class Plan(Protocol):
    """A query, ready to be run once.

    Attributes:
        leaves: what to read; may be empty (constants).
    """

    @property
    def leaves(self) -> tuple[Leaf, ...]: ...

    def enough(self, next_unit_edge_ns: int) -> bool:
        """Return whether units beyond the edge cannot change the result.

        Args:
            next_unit_edge_ns: where the scan is newest first, the newest time of
                all units not yet added; else the oldest.
        """
        ...

    def finish(self) -> Result:
        """Return the result of everything added.

        Raises: QueryInvalid, LimitExceeded.
        """
        ...


@dataclass(frozen=True, slots=True)
class LogPlan:
    """The plan of a log query: one leaf, which may stop early."""

    leaf: Leaf
    evaluator: LogEvaluator

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        return (self.leaf,)

    def enough(self, next_unit_edge_ns: int) -> bool:
        return self.evaluator.enough(next_unit_edge_ns)

    def finish(self) -> Result:
        return Result(self.evaluator.finish(), self.evaluator.rows_kept)


@dataclass(frozen=True, slots=True)
class MetricPlan:
    """The plan of a metric query: a leaf for each distinct range aggregation."""

    leaves: tuple[Leaf, ...]
    data: Callable[[list[SlicedTable]], Data]

    def enough(self, next_unit_edge_ns: int) -> bool:  # noqa: ARG002
        return False

    def finish(self) -> Result:
        tables = [leaf.evaluator.finish() for leaf in self.leaves]
        rows_kept = sum(leaf.evaluator.rows_kept for leaf in self.leaves)
        return Result(self.data(tables), rows_kept)


def plan_of(
    expr: "ast.LogQuery | metric.MetricExpr",
    *,
    start_ns: int,
    end_ns: int,
    step_ns: int = 1_000_000_000,
    limit: int = LIMIT_DEFAULT,
    forward: bool = False,
    interval_ns: int = 0,
    instant: bool = False,
    categorize: bool = False,
    series_max: int = SERIES_MAX_DEFAULT,
) -> Plan:
    """Return the plan of a query.

    Args:
        expr: the parsed query.
        start_ns, end_ns: log queries read [start_ns, end_ns), and that one
            nanosecond where the two are equal; metric queries have points from
            start_ns to end_ns, both rounded outwards to
            multiples of the step; an instant query is evaluated at end_ns.
        step_ns: between points; range metric queries only.
        limit, forward, interval_ns: log queries only; of the first `limit` entries,
            those at least the interval apart.
        categorize: keep the label categories apart; log queries only.
        series_max: series that a metric query may return; 0 is no bound.

    Raises: QueryInvalid for an instant log query.
    """
    if isinstance(expr, ast.LogQuery):
        if instant:
            raise QueryInvalid(INSTANT_LOG_QUERY)
        return _log_plan(
            expr,
            start_ns=start_ns,
            end_ns=end_ns,
            limit=limit,
            forward=forward,
            interval_ns=interval_ns,
            categorize=categorize,
        )
    grid = instant_grid(end_ns) if instant else range_grid(start_ns, end_ns, step_ns)
    return _metric_plan(expr, grid, instant=instant, series_max=series_max)


def _log_plan(
    query: ast.LogQuery,
    *,
    start_ns: int,
    end_ns: int,
    limit: int,
    forward: bool,
    interval_ns: int,
    categorize: bool,
) -> LogPlan:
    evaluator = LogEvaluator(
        query,
        limit=limit,
        forward=forward,
        interval_ns=interval_ns,
        categorize=categorize,
        hints=hints_of(query.stages, grouping=None),
    )
    scan = Scan(
        matchers=query.matchers,
        start_ns=start_ns,
        end_ns=max(end_ns, start_ns + 1),
        columns=evaluator.columns,
        newest_first=not forward,
        literals=literals_of(query.stages),
    )
    return LogPlan(Leaf(scan, evaluator), evaluator)


def _metric_plan(
    expr: metric.MetricExpr, grid: Grid, *, instant: bool, series_max: int
) -> MetricPlan:
    grouped = with_pushed_groupings(expr)
    ranges = ranges_of(grouped)
    leaves = []
    for aggregation in ranges:
        windows = windows_of(aggregation, grid)
        evaluator = evaluator_of(aggregation, windows)
        leaves.append(Leaf(scan_of(aggregation, windows, evaluator), evaluator))

    def data(tables: list[SlicedTable]) -> Data:
        return data_of(
            grouped,
            dict(zip(ranges, tables, strict=True)),
            grid=grid,
            instant=instant,
            series_max=series_max,
        )

    return MetricPlan(tuple(leaves), data)


def run(plan: Plan, units_of: Callable[[Scan], Iterable[ScanUnit]]) -> Result:
    """Run a plan unit by unit on the calling thread; the reference for executors."""
    stats = ReadStats()
    for leaf in plan.leaves:
        units = list(units_of(leaf.scan))
        for i, unit in enumerate(units):
            if plan.enough(_edge_ns(units[i:], newest_first=leaf.scan.newest_first)):
                break
            batch = unit.read(leaf.scan.columns, stats)
            leaf.evaluator.add(leaf.evaluator.map(batch))
    return plan.finish()


def _edge_ns(units: list[ScanUnit], *, newest_first: bool) -> int:
    if newest_first:
        return max(unit.max_ns for unit in units)
    return min(unit.min_ns for unit in units)
