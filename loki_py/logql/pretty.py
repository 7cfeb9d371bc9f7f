"""Print a query for people: long parts get lines of their own."""

from collections.abc import Iterable

from loki_py.logql.ast import LogQuery
from loki_py.logql.ast_metric import (
    BinaryOp,
    BinaryOperation,
    Expr,
    LabelReplace,
    LogRange,
    MetricExpr,
    RangeAggregation,
    VectorAggregation,
)
from loki_py.logql.literals import print_float
from loki_py.logql.printer import (
    label_replace_texts,
    print_expr,
    print_grouping,
    print_log_query,
    print_matchers,
    print_operator,
    print_unwrap,
    print_window,
    stage_texts,
    vector_grouping,
)

LINE_CHARS_MAX = 100
"""A node whose canonical text is longer is split."""


def pretty(expr: Expr) -> str:
    """Return the text that format_query answers; it parses to an equal tree."""
    return _pretty(expr, 0)


def _indent(level: int) -> str:
    return "  " * level


def _pretty(expr: Expr, level: int) -> str:
    text = print_expr(expr)
    if len(text.encode()) <= LINE_CHARS_MAX:
        return _indent(level) + text
    match expr:
        case LogQuery():
            return _log_query(expr, level)
        case RangeAggregation():
            grouping = expr.grouping
            tail = "" if grouping is None else print_grouping(grouping)
            parts = [_log_range(expr.range, level + 1)]
            if expr.parameter is not None:
                parts.insert(0, _indent(level + 1) + print_float(expr.parameter))
            return _call(expr.function.value, parts, level) + tail
        case VectorAggregation():
            parts = [_pretty(expr.operand, level + 1)]
            if expr.parameter is not None:
                parts.insert(0, f"{_indent(level + 1)}{expr.parameter}")
            head = expr.function.value + vector_grouping(expr.grouping)
            return _call(head, parts, level)
        case BinaryOperation():
            return "\n".join(
                (
                    _leg(expr, expr.left, level + 1),
                    _indent(level) + print_operator(expr),
                    _leg(expr, expr.right, level + 1),
                )
            )
        case LabelReplace():
            texts = (_indent(level + 1) + text for text in label_replace_texts(expr))
            parts = [_pretty(expr.operand, level + 1), *texts]
            return _call("label_replace", parts, level)
        case _:
            return _indent(level) + text


def _leg(parent: BinaryOperation, leg: MetricExpr, level: int) -> str:
    """Return one side, in parentheses where it would otherwise bind differently."""
    text = _pretty(leg, level)
    if not isinstance(leg, BinaryOperation) or "\n" not in text:
        return text
    # Equal operators group from the left, powers from the right.
    groups_here = (leg is parent.left) != (parent.op is BinaryOp.POWER)
    if leg.op.precedence >= parent.op.precedence + (not groups_here):
        return text
    text = _pretty(leg, level + 1)
    return f"{_indent(level)}(\n{text}\n{_indent(level)})"


def _log_query(query: LogQuery, level: int) -> str:
    lines = [_indent(level) + print_matchers(query.matchers)]
    lines += [_indent(level + 1) + text for text in stage_texts(query.stages)]
    return "\n".join(lines)


def _log_range(log_range: LogRange, level: int) -> str:
    query = log_range.query
    text = print_log_query(query)
    if len(text.encode()) <= LINE_CHARS_MAX:
        text = _indent(level) + text
    else:
        text = _log_query(query, level)
    if log_range.unwrap is not None:
        text += f"\n{_indent(level + 1)}{print_unwrap(log_range.unwrap)}"
    return f"{text} {print_window(log_range)}"


def _call(head: str, parts: Iterable[str], level: int) -> str:
    body = ",\n".join(parts)
    return f"{_indent(level)}{head}(\n{body}\n{_indent(level)})"
