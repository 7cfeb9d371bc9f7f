"""Parse LogQL. `parse` is the entry; the errors are byte for byte Loki's.

Recursive descent over one token of look-ahead: linear in the text, bounded in
depth (`cursor.DEPTH_MAX`) and size (QUERY_BYTES_MAX).
"""

from loki_py.errors import QueryInvalid
from loki_py.logql.ast import LogQuery
from loki_py.logql.ast_metric import Expr, MetricExpr
from loki_py.logql.checks import check_stages
from loki_py.logql.cursor import Cursor
from loki_py.logql.parser_metric import MetricParser
from loki_py.logql.rules import SELECTOR_TOO_WIDE, is_selective
from loki_py.model.matchers import Matcher

QUERY_BYTES_MAX = 131_072
"""A query text is shorter than this."""


def parse(text: str) -> Expr:
    """Return the query, checked as far as its text allows.

    Raises: QueryInvalid.
    """
    expr = parse_form(text)
    check_stages(expr)
    return expr


def parse_form(text: str) -> Expr:
    """Return the query without looking into its stages' templates and patterns.

    This is what formatting a query checks; `parse` is for running it.

    Raises: QueryInvalid.
    """
    return _parse(text, allows_any_selector=False)


def parse_log_query(text: str) -> LogQuery:
    """Return a query for log lines.

    Raises: QueryInvalid, also for a metric query.
    """
    expr = parse(text)
    if not isinstance(expr, LogQuery):
        raise QueryInvalid("only log selector is supported")
    return expr


def parse_metric_query(text: str) -> MetricExpr:
    """Return a query for numbers.

    Raises: QueryInvalid, also for a log query.
    """
    expr = parse(text)
    if isinstance(expr, LogQuery):
        raise QueryInvalid("only sample expression supported")
    return expr


def parse_selector(text: str, *, allows_any: bool = False) -> tuple[Matcher, ...]:
    """Return the matchers of a bare selector.

    Args:
        allows_any: accept selectors that also match streams without the labels.

    Raises: QueryInvalid, also for more than a selector.
    """
    expr = _parse(text, allows_any_selector=allows_any)
    if not isinstance(expr, LogQuery) or expr.stages:
        raise QueryInvalid("only label matchers is supported")
    return expr.matchers


def _parse(text: str, *, allows_any_selector: bool) -> Expr:
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise QueryInvalid("parse error : invalid UTF-8 encoding") from None
    if size >= QUERY_BYTES_MAX:
        raise QueryInvalid(
            f"parse error : input size too long ({size} > {QUERY_BYTES_MAX})"
        )
    parser = MetricParser(Cursor(text))
    expr = parser.parse()
    if isinstance(expr, LogQuery):
        if not allows_any_selector and not is_selective(expr.matchers):
            raise QueryInvalid(f"parse error : {SELECTOR_TOO_WIDE}")
    elif parser.faults:
        raise QueryInvalid(f"parse error : {parser.faults[0]}")
    return expr
