"""Parsing: what a query's text means, told by its canonical text or its tree."""

import pytest

from loki_py.logql import ast
from loki_py.logql import ast_metric as metric
from loki_py.logql.parser import parse, parse_selector
from loki_py.logql.printer import print_expr
from loki_py.model.matchers import Matcher, MatchType

EQUAL = [
    # Spacing, comments, quotes, case of keywords.
    ('{a="b"}', " { a\n=\t`b` } # comment"),
    ('{a="b"} | json', '{a="b"} /* x */ | JSON // y'),
    ('sum by (c)(rate({a="b"}[1m]))', 'SUM BY (c) (Rate({a="b"}[1m]))'),
    # Parentheses that change nothing.
    ('{a="b"}', '(({a="b"}))'),
    ('rate({a="b"} | json[1m])', 'rate(({a="b"} | json)[1m])'),
    ('rate({a="b"}[1m] offset 5m)', 'rate((({a="b"}[1m] offset 5m)))'),
    ('sum_over_time({a="b"} | unwrap c[1m])', 'sum_over_time(({a="b"}|unwrap c)[1m])'),
    # The range may stand before the pipeline.
    ('rate({a="b"} |= "x" | json[1m])', 'rate({a="b"}[1m] |= "x" | json)'),
    (
        'sum_over_time({a="b"} | json | unwrap c[1m] offset 1s)',
        'sum_over_time({a="b"}[1m] offset 1s | json | unwrap c)',
    ),
    # Grouping before or after.
    ('topk by (c)(2, rate({a="b"}[1m]))', 'topk(2, rate({a="b"}[1m])) by (c)'),
    # Function names are names where no arguments follow.
    ('{sum="x", rate="y"} | count=1', '{sum="x",rate="y"}|count=1'),
    # Numbers, durations and sizes.
    ('{a="b"} | c>90m', '{a="b"} | c > 1.5h'),
    ('{a="b"} | c>1000B', '{a="b"} | c > 1KB'),
    ('{a="b"} | c==-1.5', '{a="b"} | c = -1.5'),
    ('{a="b"} | c==5', '{a="b"} | c = +5'),
    # Flags in any order.
    (
        '{a="b"} | logfmt --strict --keep-empty',
        '{a="b"} | logfmt --keep-empty --strict',
    ),
]

PRECEDENCE = [
    ("x=1 or y=2 and z=3", "( x==1 or ( y==2 , z==3 ) )"),
    ("x=1 and y=2 or z=3", "( ( x==1 , y==2 ) or z==3 )"),
    ("x=1 or y=2 or z=3", "( ( x==1 or y==2 ) or z==3 )"),
    ("(x=1 or y=2) and z=3", "( ( x==1 or y==2 ) , z==3 )"),
    ("x=1 or y=2, z=3", "( x==1 or ( y==2 , z==3 ) )"),
    # A comma, or nothing, takes all that follows.
    ("x=1, y=2 or z=3", "( x==1 , ( y==2 or z==3 ) )"),
    ("x=1 y=2 or z=3", "( x==1 , ( y==2 or z==3 ) )"),
    ("x=1 and y=2, z=3 or w=4", "( x==1 , ( y==2 , ( z==3 or w==4 ) ) )"),
]

OPERATORS = [
    ("a or b and c", "(a or (b and c))"),
    ("a unless b and c", "((a unless b) and c)"),
    ("a and b == c", "(a and (b == c))"),
    ("a == b + c", "(a == (b + c))"),
    ("a - b - c", "((a - b) - c)"),
    ("a + b * c", "(a + (b * c))"),
    ("a * b ^ c", "(a * (b ^ c))"),
    ("a ^ b ^ c", "(a ^ (b ^ c))"),
    ("(a - b) - (c - a)", "((a - b) - (c - a))"),
]


@pytest.mark.parametrize(("left", "right"), EQUAL)
def test_two_spellings_are_one_tree(left, right):
    assert parse(left) == parse(right)


@pytest.mark.parametrize(("text", "grouped"), PRECEDENCE)
def test_label_filters_bind_as_in_loki(text, grouped):
    assert print_expr(parse('{a="b"} | ' + text)) == '{a="b"} | ' + grouped


@pytest.mark.parametrize(("text", "grouped"), OPERATORS)
def test_operators_bind_as_in_loki(text, grouped):
    def with_legs(pattern):
        for name, value in (("a", 1), ("b", 2), ("c", 3)):
            leg = f"vector({value}.000000)"
            pattern = " ".join(
                word.replace(name, leg) if word.strip("()") == name else word
                for word in pattern.split(" ")
            )
        return pattern

    assert print_expr(parse(with_legs(text))) == with_legs(grouped)


def test_log_query_is_read_into_stages():
    query = parse('{a!~"b.*", c="d"} |= "x" or ip("::1") | json e="f[0]" | drop g="h"')

    assert query == ast.LogQuery(
        (Matcher("a", MatchType.NOT_REGEXP, "b.*"), Matcher("c", MatchType.EQUAL, "d")),
        (
            ast.LineFilter(
                ast.LineFilterOp.CONTAINS,
                (ast.LineTerm("x"), ast.LineTerm("::1", is_ip=True)),
            ),
            ast.JsonParser((ast.JsonExtraction("e", "f[0]"),)),
            ast.Drop((ast.LabelTarget("g", Matcher("g", MatchType.EQUAL, "h")),)),
        ),
    )
    assert query.stages[1].extractions[0].path == ("f", 0)


def test_metric_query_is_read_into_a_tree():
    query = parse(
        'quantile_over_time(0.9, {a="b"} | unwrap duration(c) | d>1KB [5m] offset -1h) '
        "by () > bool on (e) group_right (f) vector(1)"
    )

    log_range = metric.LogRange(
        ast.LogQuery((Matcher("a", MatchType.EQUAL, "b"),)),
        300 * 10**9,
        metric.Unwrap(
            "c",
            metric.UnwrapConversion.DURATION,
            (ast.BytesFilter("d", ast.CompareOp.GREATER, 1000),),
        ),
        -3600 * 10**9,
    )
    assert query == metric.BinaryOperation(
        metric.BinaryOp.GREATER,
        metric.RangeAggregation(
            metric.RangeFunction.QUANTILE_OVER_TIME,
            log_range,
            0.9,
            metric.Grouping(()),
        ),
        metric.Vector(1),
        returns_bool=True,
        matching=metric.VectorMatching(
            ("e",),
            on=True,
            cardinality=metric.MatchCardinality.GROUP_RIGHT,
            include=("f",),
        ),
    )


def test_negative_operators_are_known():
    negative = {op.value for op in ast.LineFilterOp if op.is_negative}

    assert negative == {"!=", "!~", "!>"}


def test_sums_of_numbers_alone_have_no_streams():
    """Aggregating takes a selector on some side; ordering takes anything."""
    assert print_expr(parse("sort(1)")) == "sort(1)"
    assert parse('sum(2 * rate({a="b"}[1m]))')


def test_selector_is_read_alone():
    assert parse_selector('{a="b"}') == (Matcher("a", MatchType.EQUAL, "b"),)
