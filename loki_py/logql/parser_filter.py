"""Parse matchers and label filters."""

import math

from loki_py.errors import QueryInvalid
from loki_py.logql.ast import (
    AndFilter,
    BytesFilter,
    CompareOp,
    DurationFilter,
    IpFilter,
    LabelFilter,
    NumberFilter,
    OrFilter,
    StringFilter,
)
from loki_py.logql.cursor import DEPTH_MAX, Cursor, too_deep
from loki_py.logql.literals import LiteralInvalid, parse_float
from loki_py.logql.regexps import RegexpInvalid, compile_regexp
from loki_py.logql.tokens import Kind
from loki_py.model.matchers import Matcher, MatchType

MATCH_TYPES = {
    Kind.EQ: MatchType.EQUAL,
    Kind.NEQ: MatchType.NOT_EQUAL,
    Kind.RE: MatchType.REGEXP,
    Kind.NRE: MatchType.NOT_REGEXP,
}
_COMPARE_OPS = {
    Kind.EQ: CompareOp.EQUAL,
    Kind.CMP_EQ: CompareOp.EQUAL,
    Kind.NEQ: CompareOp.NOT_EQUAL,
    Kind.GT: CompareOp.GREATER,
    Kind.GTE: CompareOp.GREATER_EQUAL,
    Kind.LT: CompareOp.LESS,
    Kind.LTE: CompareOp.LESS_EQUAL,
}
_FILTER_STARTS = (Kind.IDENTIFIER, Kind.OPEN_PARENTHESIS)


def parse_matchers(cursor: Cursor) -> tuple[Matcher, ...]:
    """Return the matchers of `{…}`; there may be none."""
    cursor.expect(Kind.OPEN_BRACE)
    if cursor.kind not in {Kind.IDENTIFIER, Kind.CLOSE_BRACE}:
        raise cursor.unexpected((Kind.IDENTIFIER, Kind.CLOSE_BRACE))
    if cursor.take_if(Kind.CLOSE_BRACE):
        return ()
    matchers = [_matcher(cursor)]
    while cursor.expect(Kind.CLOSE_BRACE, Kind.COMMA).kind is Kind.COMMA:
        matchers.append(_matcher(cursor))
    return tuple(matchers)


def _matcher(cursor: Cursor) -> Matcher:
    name = cursor.expect_text(Kind.IDENTIFIER)
    op = cursor.expect(*MATCH_TYPES).kind
    return new_matcher(name, MATCH_TYPES[op], cursor.expect_text(Kind.STRING))


def new_matcher(name: str, match_type: MatchType, value: str) -> Matcher:
    """Return a matcher whose regular expression compiles.

    Raises: QueryInvalid.
    """
    if match_type in {MatchType.REGEXP, MatchType.NOT_REGEXP}:
        try:
            compile_regexp(value)
        except RegexpInvalid as error:
            raise QueryInvalid(f"parse error : {error}") from None
    return Matcher(name, match_type, value)


def parse_label_filter(cursor: Cursor) -> LabelFilter:
    """Return a label filter with everything that `and`, `,` and `or` join to it."""
    tree, _ = _filters(cursor, 0)
    return tree


def _filters(cursor: Cursor, precedence: int) -> tuple[LabelFilter, int]:
    """Return operands joined by operators of at least this precedence.

    `and` binds tighter than `or`. A comma, or nothing, takes all that follows
    as its right side, whatever stands around it.

    Returns:
        The tree and its height.
    """
    with cursor.nested():
        left, height = _primary(cursor)
        while True:
            kind = cursor.kind
            if kind is Kind.COMMA or kind in _FILTER_STARTS:
                cursor.take_if(Kind.COMMA)
                right, right_height = _filters(cursor, 0)
                left = AndFilter(left, right)
            elif kind is Kind.AND and precedence <= 2:
                cursor.take()
                right, right_height = _filters(cursor, 3)
                left = AndFilter(left, right)
            elif kind is Kind.OR and precedence <= 1:
                cursor.take()
                right, right_height = _filters(cursor, 2)
                left = OrFilter(left, right)
            else:
                return left, height
            height = max(height, right_height) + 1
            if height > DEPTH_MAX:
                raise too_deep()


def _primary(cursor: Cursor) -> tuple[LabelFilter, int]:
    if cursor.kind not in _FILTER_STARTS:
        raise cursor.unexpected(_FILTER_STARTS)
    if cursor.take_if(Kind.OPEN_PARENTHESIS):
        tree, height = _filters(cursor, 0)
        if not cursor.take_if(Kind.CLOSE_PARENTHESIS):
            raise cursor.unexpected()
        return tree, height
    return _comparison(cursor), 1


def _comparison(cursor: Cursor) -> LabelFilter:
    name = cursor.expect_text(Kind.IDENTIFIER)
    kind = cursor.kind
    if kind in {Kind.RE, Kind.NRE}:
        cursor.take()
        value = cursor.expect_text(Kind.STRING)
        return StringFilter(new_matcher(name, MATCH_TYPES[kind], value))
    if kind not in _COMPARE_OPS:
        raise cursor.unexpected()
    cursor.take()
    if kind in {Kind.EQ, Kind.NEQ}:
        if cursor.kind is Kind.STRING:
            value = cursor.expect_text(Kind.STRING)
            return StringFilter(Matcher(name, MATCH_TYPES[kind], value))
        if cursor.kind is Kind.IP:
            pattern = parse_ip_call(cursor)
            return IpFilter(name, pattern, is_negative=kind is Kind.NEQ)
    return _numeric(cursor, name, _COMPARE_OPS[kind])


def _numeric(cursor: Cursor, name: str, op: CompareOp) -> LabelFilter:
    kind = cursor.kind
    if kind in {Kind.DURATION, Kind.BYTES}:
        value = cursor.take().value
        assert isinstance(value, int)
        if kind is Kind.DURATION:
            return DurationFilter(name, op, value)
        return BytesFilter(name, op, value)
    return NumberFilter(name, op, parse_number(cursor))


def parse_ip_call(cursor: Cursor) -> str:
    """Return the text of `ip("…")`."""
    cursor.expect(Kind.IP)
    cursor.expect(Kind.OPEN_PARENTHESIS)
    pattern = cursor.expect_text(Kind.STRING)
    cursor.expect(Kind.CLOSE_PARENTHESIS)
    return pattern


def parse_number(cursor: Cursor) -> float:
    """Return a number with its sign, as literals and number filters have it."""
    sign = 1.0
    if cursor.kind in {Kind.ADD, Kind.SUB}:
        sign = math.copysign(1, -1 if cursor.take().kind is Kind.SUB else 1)
        text = cursor.expect_text(Kind.NUMBER)
    elif cursor.kind is Kind.NUMBER:
        text = cursor.expect_text(Kind.NUMBER)
    else:
        raise cursor.unexpected()
    return sign * number_of(text)


def number_of(text: str, *, what: str = "literal") -> float:
    """Return the value of a NUMBER token.

    Raises: QueryInvalid.
    """
    try:
        return parse_float(text)
    except LiteralInvalid as error:
        raise QueryInvalid(
            f"parse error : unable to parse {what} as a float: {error}"
        ) from None
