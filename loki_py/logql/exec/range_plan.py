"""From a range aggregation to its scan and evaluator."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from loki_py.logql import ast_metric as metric
from loki_py.logql.ast_metric import RangeFunction, VectorFunction
from loki_py.logql.exec.frame import ERROR
from loki_py.logql.exec.grid import Grid, Windows
from loki_py.logql.exec.range_leaf import Entries, LineBytes, RangeEvaluator, Samples
from loki_py.logql.exec.summaries import summary_of
from loki_py.logql.stages.line_filter import literals_of
from loki_py.logql.stages.pipeline import Pipeline, hints_of
from loki_py.logql.stages.stage import Wants
from loki_py.logql.stages.unwrap import Unwrapped
from loki_py.model.matchers import Matcher, MatchType
from loki_py.model.results import Labels
from loki_py.model.scan import Scan

_SUMMABLE = {
    RangeFunction.COUNT_OVER_TIME,
    RangeFunction.RATE,
    RangeFunction.BYTES_OVER_TIME,
    RangeFunction.BYTES_RATE,
    RangeFunction.SUM_OVER_TIME,
}
_OF_BYTES = {RangeFunction.BYTES_OVER_TIME, RangeFunction.BYTES_RATE}


def with_pushed_groupings(expr: metric.MetricExpr) -> metric.MetricExpr:
    """Return an equal expression whose ranges are grouped as early as possible.

    `sum by (a) (rate(…))` sums what it counts, so counting by `a` at once is
    the same and makes few series of many.
    """
    match expr:
        case metric.VectorAggregation(VectorFunction.SUM, operand, _, grouping):
            if (
                isinstance(operand, metric.RangeAggregation)
                and operand.function in _SUMMABLE
                and operand.grouping is None
            ):
                by_all = metric.Grouping(labels=())
                return replace(
                    expr, operand=replace(operand, grouping=grouping or by_all)
                )
            return replace(expr, operand=with_pushed_groupings(operand))
        case metric.VectorAggregation() | metric.LabelReplace():
            return replace(expr, operand=with_pushed_groupings(expr.operand))
        case metric.BinaryOperation(_, left, right):
            return replace(
                expr,
                left=with_pushed_groupings(left),
                right=with_pushed_groupings(right),
            )
        case _:
            return expr


def ranges_of(expr: metric.MetricExpr) -> list[metric.RangeAggregation]:
    """Return the distinct range aggregations of an expression."""
    found: list[metric.RangeAggregation] = []
    rest: list[metric.MetricExpr] = [expr]
    while rest:
        match rest.pop():
            case metric.RangeAggregation() as aggregation:
                found.append(aggregation)
            case metric.VectorAggregation() | metric.LabelReplace() as outer:
                rest.append(outer.operand)
            case metric.BinaryOperation(_, left, right):
                rest += [right, left]
            case _:
                pass
    return list(dict.fromkeys(found))


def windows_of(aggregation: metric.RangeAggregation, grid: Grid) -> Windows:
    """Return the windows that the aggregation has at the grid's times."""
    return Windows(grid, aggregation.range.range_ns, aggregation.range.offset_ns)


def evaluator_of(
    aggregation: metric.RangeAggregation, windows: Windows
) -> RangeEvaluator:
    """Return the evaluator of a range aggregation."""
    unwrap = aggregation.range.unwrap
    samples: Samples = Entries()
    also: frozenset[str] = frozenset()
    if unwrap is not None:
        unwrapped = Unwrapped(unwrap)
        samples, also = unwrapped, unwrapped.reads
    elif aggregation.function in _OF_BYTES:
        samples = LineBytes()
    return RangeEvaluator(
        _pipeline(aggregation, also),
        samples,
        windows,
        summary=summary_of(aggregation, windows),
        grouping=aggregation.grouping,
        without_label=None if unwrap is None else unwrap.label,
        absent=absent_labels(aggregation.range.query.matchers)
        if aggregation.function is RangeFunction.ABSENT_OVER_TIME
        else None,
    )


def absent_labels(matchers: Sequence[Matcher]) -> Labels:
    """Return the labels that a stream would have that is not there."""
    counts = Counter(matcher.name for matcher in matchers)
    return tuple(
        sorted(
            (matcher.name, matcher.value)
            for matcher in matchers
            if matcher.type is MatchType.EQUAL and counts[matcher.name] == 1
        )
    )


def _pipeline(aggregation: metric.RangeAggregation, also: frozenset[str]) -> Pipeline:
    grouping = aggregation.grouping
    stages = aggregation.range.query.stages
    names = None
    if grouping is not None and not grouping.without:
        names = frozenset(grouping.labels)
    wants = Wants(
        labels=None if names is None else names | also | {ERROR},
        line=aggregation.function in _OF_BYTES,
        hints=hints_of(stages, grouping=names, also=also - {ERROR}),
    )
    return Pipeline(stages, wants)


def scan_of(
    aggregation: metric.RangeAggregation, windows: Windows, evaluator: RangeEvaluator
) -> Scan:
    """Return what the aggregation reads."""
    query = aggregation.range.query
    return Scan(
        matchers=query.matchers,
        start_ns=windows.start_ns,
        end_ns=windows.end_ns,
        columns=evaluator.columns,
        literals=literals_of(query.stages),
    )
