"""Parse range aggregations: a function over a log query and a window."""

from loki_py.logql.ast import LogQuery
from loki_py.logql.ast_metric import (
    Grouping,
    LogRange,
    RangeAggregation,
    RangeFunction,
)
from loki_py.logql.cursor import Cursor
from loki_py.logql.parser_filter import parse_matchers
from loki_py.logql.parser_log import parse_pipeline
from loki_py.logql.rules import (
    SELECTOR_TOO_WIDE,
    is_selective,
    range_fault,
    range_parameter,
)
from loki_py.logql.tokens import Kind


def parse_range_aggregation(
    cursor: Cursor,
    function: RangeFunction,
) -> tuple[RangeAggregation, str | None]:
    """Return what follows the function's name, and what is wrong with its meaning."""
    cursor.expect(Kind.OPEN_PARENTHESIS)
    text = None
    starts = (Kind.OPEN_BRACE, Kind.OPEN_PARENTHESIS)
    if cursor.kind not in {Kind.NUMBER, *starts}:
        raise cursor.unexpected((Kind.NUMBER, *starts))
    if cursor.kind is Kind.NUMBER:
        text = cursor.expect_text(Kind.NUMBER)
        cursor.expect(Kind.COMMA)
    log_range = _log_range(cursor)
    cursor.expect(Kind.CLOSE_PARENTHESIS)
    grouping = parse_grouping(cursor)
    parameter, fault = range_parameter(function, text)
    fault = fault or range_fault(function, log_range, grouping)
    if fault is None and not is_selective(log_range.query.matchers):
        fault = SELECTOR_TOO_WIDE
    return RangeAggregation(function, log_range, parameter, grouping), fault


def parse_grouping(cursor: Cursor) -> Grouping | None:
    """Return `by (…)` or `without (…)`, None if neither follows."""
    if cursor.kind not in {Kind.BY, Kind.WITHOUT}:
        return None
    without = cursor.take().kind is Kind.WITHOUT
    return Grouping(parse_label_names(cursor), without)


def parse_label_names(cursor: Cursor) -> tuple[str, ...]:
    """Return the names of `(a, b)`; there may be none."""
    cursor.expect(Kind.OPEN_PARENTHESIS)
    if cursor.kind not in {Kind.IDENTIFIER, Kind.CLOSE_PARENTHESIS}:
        raise cursor.unexpected((Kind.IDENTIFIER, Kind.CLOSE_PARENTHESIS))
    if cursor.take_if(Kind.CLOSE_PARENTHESIS):
        return ()
    names = [cursor.expect_text(Kind.IDENTIFIER)]
    while cursor.expect(Kind.COMMA, Kind.CLOSE_PARENTHESIS).kind is Kind.COMMA:
        names.append(cursor.expect_text(Kind.IDENTIFIER))
    return tuple(names)


def _log_range(cursor: Cursor) -> LogRange:
    if cursor.kind is Kind.OPEN_BRACE:
        return _selector_range(cursor, in_parentheses=False)
    if cursor.kind is not Kind.OPEN_PARENTHESIS:
        raise cursor.unexpected((Kind.OPEN_BRACE, Kind.OPEN_PARENTHESIS))
    cursor.take()
    with cursor.nested():
        if cursor.at(Kind.OPEN_BRACE):
            return _selector_range(cursor, in_parentheses=True)
        log_range = _log_range(cursor)
    cursor.expect(Kind.CLOSE_PARENTHESIS)
    return log_range


def _selector_range(cursor: Cursor, *, in_parentheses: bool) -> LogRange:
    """Return a range up to and with the parenthesis that was opened before it."""
    matchers = parse_matchers(cursor)
    stages, unwrap = parse_pipeline(cursor, allows_unwrap=True)
    is_closed = in_parentheses and cursor.take_if(Kind.CLOSE_PARENTHESIS)
    if is_closed:
        window = cursor.expect(Kind.RANGE)
    elif cursor.kind is Kind.RANGE:
        window = cursor.take()
    else:
        expected: list[Kind] = []
        if unwrap is not None:
            expected = [Kind.RANGE, Kind.PIPE]
            expected += [Kind.CLOSE_PARENTHESIS] if in_parentheses else []
        raise cursor.unexpected(expected)
    offset_ns = 0
    if cursor.take_if(Kind.OFFSET):
        offset_ns = int(cursor.expect(Kind.DURATION).value)
    if not stages and unwrap is None and not is_closed:
        stages, unwrap = parse_pipeline(cursor, allows_unwrap=True)
    if in_parentheses and not is_closed:
        cursor.expect(Kind.CLOSE_PARENTHESIS)
    range_ns = int(window.value)
    return LogRange(LogQuery(matchers, stages), range_ns, unwrap, offset_ns)
