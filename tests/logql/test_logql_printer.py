"""Printing: what is printed parses to the same tree, and looks as Loki's does."""

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

sys.path.insert(0, str(Path(__file__).parent))

import queries

from loki_py.logql.ast_metric import Literal
from loki_py.logql.parser import parse, parse_form
from loki_py.logql.pretty import LINE_CHARS_MAX, pretty
from loki_py.logql.printer import print_expr

quick = settings(max_examples=60, suppress_health_check=list(HealthCheck))


@quick
@given(queries.LOG_QUERIES | queries.METRIC_QUERIES)
def test_printed_query_parses_to_the_same_tree(expr):
    assert parse(print_expr(expr)) == expr


@quick
@given(queries.LOG_QUERIES | queries.METRIC_QUERIES)
def test_pretty_query_parses_to_the_same_tree(expr):
    assert parse(pretty(expr)) == expr


CANONICAL = [
    ('{ a = `b` , c!~"x" }', '{a="b", c!~"x"}'),
    ('{a="b"}|="x"!="y"', '{a="b"} |= "x" != "y"'),
    ('{a="b"}|="x" or ip("::1")', '{a="b"} |= "x" or ip("::1")'),
    ('{a="b"}|json b, c="d.e"', '{a="b"} | json b="b",c="d.e"'),
    (
        '{a="b"}|logfmt --keep-empty --strict x',
        '{a="b"} | logfmt --strict --keep-empty x="x"',
    ),
    ('{a="b"}|x=1', '{a="b"} | x==1'),
    ('{a="b"}|x>1h30m and y<5KB', '{a="b"} | ( x>1h30m0s , y<5.0kB )'),
    ('{a="b"}|x>20MiB', '{a="b"} | x>21MB'),
    ('{a="b"}|x!=ip("::1")', '{a="b"} | x!=ip("::1")'),
    ('{a="b"}|drop c,d="e"|keep f', '{a="b"} | drop c,d="e" | keep f'),
    ('{a="b"}|label_format c=d,e="f"', '{a="b"} | label_format c=d,e="f"'),
    ('rate({a="b"}[90m])', 'rate({a="b"}[1h30m])'),
    ('rate({a="b"}[5m] offset 90m |= "x")', 'rate({a="b"} |= "x"[5m] offset 1h30m0s)'),
    (
        'sum_over_time({a="b"}|unwrap bytes(c)|d="" [1m])',
        'sum_over_time({a="b"} | unwrap bytes(c) | d=""[1m])',
    ),
    ('sum(rate({a="b"}[1m])) by (c,d)', 'sum by (c,d)(rate({a="b"}[1m]))'),
    ('sum by () (rate({a="b"}[1m]))', 'sum(rate({a="b"}[1m]))'),
    (
        'max_over_time({a="b"}|unwrap c[1m]) by ()',
        'max_over_time({a="b"} | unwrap c[1m]) by ()',
    ),
    ("vector(1)", "vector(1.000000)"),
    ("2 ^ 3 ^ 2", "512"),
    ("1 == bool 2", "0"),
    ("1.5e3", "1500"),
    ("1000000", "1e+06"),
    (
        "vector(1) * on (a) group_left (b) vector(2) > bool 1",
        "((vector(1.000000) * on (a) group_left (b) vector(2.000000)) > bool 1)",
    ),
    (
        'label_replace(rate({a="b"}[1m]),"a","$1","b","(.*)")',
        'label_replace(rate({a="b"}[1m]),"a","$1","b","(.*)")',
    ),
]  # fmt: skip


@pytest.mark.parametrize(("query", "text"), CANONICAL)
def test_query_is_printed_in_canonical_form(query, text):
    assert print_expr(parse_form(query)) == text
    assert print_expr(parse_form(text)) == text


def test_short_query_stays_on_one_line():
    query = '{a="b"} |= "' + "x" * (LINE_CHARS_MAX - 13) + '"'

    assert len(query) == LINE_CHARS_MAX
    assert pretty(parse(query)) == query


def test_long_pipeline_has_a_line_a_stage():
    """Neighbouring line filters share a line."""
    query = (
        '{app="web"} |= "error" != "timeout" | logfmt | level="error" '
        '| line_format "{{.msg}} and some more text to make it long"'
    )

    assert pretty(parse(query)).split("\n") == [
        '{app="web"}',
        '  |= "error" != "timeout"',
        "  | logfmt",
        '  | level="error"',
        '  | line_format "{{.msg}} and some more text to make it long"',
    ]


def test_long_aggregation_is_split_at_its_parentheses():
    query = (
        'topk(5, sum by (level) (quantile_over_time(0.99, {app="web", env="production"}'
        ' | logfmt | unwrap duration(latency) | __error__="" '
        "[5m] offset 1h) by (level)))"
    )

    assert pretty(parse(query)).split("\n") == [
        "topk(",
        "  5,",
        "  sum by (level)(",
        "    quantile_over_time(",
        "      0.99,",
        '      {app="web", env="production"} | logfmt',
        '        | unwrap duration(latency) | __error__="" [5m] offset 1h0m0s',
        "    ) by (level)",
        "  )",
        ")",
    ]


def test_long_operands_are_indented_around_their_operator():
    """A split operand keeps the parentheses that it needs."""
    leg = 'sum by (level)(rate({app="web", env="production"}[5m]))'
    query = f"({leg} + {leg}) / on (level) {leg}"

    assert pretty(parse(query)).split("\n") == [
        "  (",
        f"      {leg}",
        "    +",
        f"      {leg}",
        "  )",
        "/ on (level)",
        f"  {leg}",
    ]


def test_long_label_replace_has_a_line_an_argument():
    query = (
        'label_replace(sum by (level)(rate({app="web", env="production"} |= "x"[5m])), '
        '"target", "$1", "source", "(.*)")'
    )

    lines = pretty(parse(query)).split("\n")

    assert lines[0] == "label_replace("
    assert lines[2:] == ['  "target",', '  "$1",', '  "source",', '  "(.*)"', ")"]


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("1 + 2 * 3 - 4 / 2 % 3", 5),
        ("1 - 2 - 3", -4),
        ("-2 ^ 2", 4),
        ("2 ^ 3 ^ 2", 512),
        ("1 > 2", 0),
        ("1 == 1", 1),
        ("1 / 0", float("inf")),
        ("-1 / 0", float("-inf")),
        ("10 ^ 400", float("inf")),
        ("(0 - 10) ^ 401", float("-inf")),
        ("0 ^ -1", float("inf")),
        ("-7 % 2", -1),
        ("5.", 5),
        (".5", 0.5),
    ],
)
def test_constant_expression_is_folded(query, value):
    assert parse(query) == Literal(value)


@pytest.mark.parametrize("query", ["0 / 0", "1 % 0", "(0 - 8) ^ 0.5"])
def test_constant_without_value_is_not_a_number(query):
    expr = parse(query)

    assert isinstance(expr, Literal)
    assert expr.value != expr.value
    assert print_expr(expr) == "NaN"
