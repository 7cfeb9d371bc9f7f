"""Label filters: strings, numbers, durations, sizes, addresses; and, or."""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

from loki_py.logql import ast
from loki_py.logql.exec.frame import Frame, Mask
from loki_py.logql.stages.addresses import addresses_in
from loki_py.logql.stages.conversions import (
    Converted,
    durations_ns_of,
    floats_of,
    sizes_of,
)
from loki_py.logql.stages.regex import anchored
from loki_py.logql.stages.stage import Apply, Names, Test, Wants
from loki_py.model.matchers import Matcher, MatchType

LABEL_FILTER_ERROR = "LabelFilterErr"

_COMPARE: dict[ast.CompareOp, Callable[[Any, Any], Mask]] = {
    ast.CompareOp.EQUAL: np.equal,
    ast.CompareOp.NOT_EQUAL: np.not_equal,
    ast.CompareOp.GREATER: np.greater,
    ast.CompareOp.GREATER_EQUAL: np.greater_equal,
    ast.CompareOp.LESS: np.less,
    ast.CompareOp.LESS_EQUAL: np.less_equal,
}


def label_filter(stage: ast.LabelFilterStage, wants: Wants) -> Apply:  # noqa: ARG001
    """Keep the rows that the filter passes."""
    test = test_of(stage.filter)

    def apply(frame: Frame) -> None:
        frame.filter(test(frame, np.ones(len(frame), dtype=np.bool_)))

    return apply


def names_of(node: ast.LabelFilter) -> frozenset[str]:
    """Return the label names that a filter reads, as written."""
    match node:
        case ast.AndFilter(left, right) | ast.OrFilter(left, right):
            return names_of(left) | names_of(right)
        case ast.StringFilter(matcher):
            return frozenset({matcher.name})
        case _:
            return frozenset({node.name})


def sees_errors(node: ast.LabelFilter) -> bool:
    """Return whether rows in error pass the filter untested."""
    match node:
        case ast.AndFilter(left, right) | ast.OrFilter(left, right):
            return sees_errors(left) or sees_errors(right)
        case _:
            return not isinstance(node, ast.StringFilter)


def reads(stage: ast.LabelFilterStage) -> Names:
    """Return what the stage reads, the error included where it matters."""
    errors = {"__error__"} if sees_errors(stage.filter) else set()
    return names_of(stage.filter) | errors


def test_of(node: ast.LabelFilter) -> Test:
    """Return the test of a filter tree."""
    match node:
        case ast.AndFilter(left, right):
            first, second = test_of(left), test_of(right)
            return lambda frame, rows: (
                (passed := first(frame, rows)) & second(frame, rows & passed)
            )
        case ast.OrFilter(left, right):
            one, other = test_of(left), test_of(right)
            # The right side sees only rows that the left one refused, so that
            # its errors do not appear where they do not matter.
            return lambda frame, rows: (
                (passed := one(frame, rows)) | other(frame, rows & ~passed)
            )
        case ast.StringFilter(matcher):
            return _string_test(matcher)
        case ast.NumberFilter(name, op, value):
            return _numeric_test(name, op, value, floats_of)
        case ast.DurationFilter(name, op, value_ns):
            return _numeric_test(name, op, value_ns, durations_ns_of)
        case ast.BytesFilter(name, op, value_bytes):
            return _numeric_test(name, op, value_bytes, sizes_of)
        case ast.IpFilter(name, pattern, is_negative):
            return _ip_test(name, pattern, is_negative=is_negative)


def value_test(matcher: Matcher) -> Callable[[pl.Series | None, int], Mask]:
    """Return the function from a label column to whether its values match."""
    empty = matcher.matches("")
    value = matcher.value
    negative = matcher.type in {MatchType.NOT_EQUAL, MatchType.NOT_REGEXP}
    if matcher.type in {MatchType.EQUAL, MatchType.NOT_EQUAL}:
        regex = None
    else:
        regex = anchored(value)

    def test(values: pl.Series | None, count: int) -> Mask:
        if values is None:
            return np.full(count, empty)
        found = (
            (values == value).fill_null(value=False).to_numpy()
            if regex is None
            else regex.found_in(values)
        )
        passed = ~found if negative else found
        if values.null_count():
            return np.where(values.is_null().to_numpy(), empty, passed)
        return passed

    return test


def _string_test(matcher: Matcher) -> Test:
    test = value_test(matcher)
    return lambda frame, rows: rows & test(frame.value(matcher.name), len(frame))


def _numeric_test(
    name: str,
    op: ast.CompareOp,
    bound: float,
    convert: Callable[[pl.Series], Converted],
) -> Test:
    compare = _COMPARE[op]

    def test(frame: Frame, rows: Mask) -> Mask:
        failed = frame.has_error()
        values = frame.value(name)
        if values is None:
            return np.zeros_like(rows)
        converted = convert(values)
        with np.errstate(invalid="ignore"):
            passed = compare(converted.values, bound)
        if converted.details is not None:
            bad = rows & converted.bad & ~failed
            frame.set_error(bad, LABEL_FILTER_ERROR, converted.details)
        present = values.is_not_null().to_numpy()
        kept: Mask = rows & present & (failed | passed | converted.bad)
        return kept

    return test


def _ip_test(name: str, pattern: str, *, is_negative: bool) -> Test:
    found_in = addresses_in(pattern)

    def test(frame: Frame, rows: Mask) -> Mask:
        failed = frame.has_error()
        values = frame.value(name)
        if values is None:
            return rows & failed
        passed = found_in(values)
        if is_negative:
            passed = ~passed
        present = values.is_not_null().to_numpy()
        return rows & (failed | (present & passed))

    return test
