"""Query errors: the texts that Loki's clients know, byte for byte."""

import json
from pathlib import Path

import pytest

from loki_py.errors import QueryInvalid
from loki_py.logql.cursor import DEPTH_MAX
from loki_py.logql.parser import (
    QUERY_BYTES_MAX,
    parse,
    parse_form,
    parse_log_query,
    parse_metric_query,
    parse_selector,
)
from loki_py.logql.pretty import pretty
from loki_py.logql.rules import SELECTOR_TOO_WIDE

HERE = Path(__file__).parent


def recorded():
    """Yield (query, whether only its form is asked, body) of the corpus."""
    seen = set()
    for path in sorted((HERE.parent / "conformance" / "cases").glob("*.jsonl")):
        for text in path.read_text().splitlines():
            case = json.loads(text)
            is_form = case["path"].endswith("/format_query")
            query = case["params"].get("query")
            if query is not None and (query, is_form) not in seen:
                seen.add((query, is_form))
                yield query, is_form, case["status"], case["body"]


def listed():
    lines = (HERE / "query_errors.txt").read_text().splitlines()
    told = [line for line in lines if line and not line.startswith("# ")]
    for query, message in zip(told[::2], told[1::2], strict=True):
        yield query.replace("\\n", "\n"), f"parse error {message.strip()}"


def error_of(query, parse=parse):
    with pytest.raises(QueryInvalid) as caught:
        parse(query)
    assert caught.value.status == 400
    return str(caught.value)


@pytest.mark.parametrize(("query", "message"), list(listed()))
def test_error_is_told_with_its_place(query, message):
    assert error_of(query).rstrip() == message


def test_recorded_answers_of_the_parser_are_given():
    """Every query of the corpus parses, or fails with the recorded text."""
    differing = []
    for query, is_form, status, body in recorded():
        try:
            expr = (parse_form if is_form else parse)(query)
            got = pretty(expr) if is_form else None
        except QueryInvalid as error:
            got = str(error)
        if status == 200:
            expected = body["data"] if is_form else None
        else:
            expected = body["error"] if is_form else body
        # What fails at evaluation, or before the parse, is not told here.
        is_ours = status == 200 or expected.startswith("parse error")
        if got != (expected if is_ours else None) and query:
            differing.append((query, got, expected))

    assert differing == []


@pytest.mark.parametrize(
    "query",
    [
        '{app="web"} | line_format "{{.x"',
        '{app="web"} | json x="a["',
        '{app="web"} | x=ip("bad")',
        '{app="web"} | label_format a=b,a=c',
    ],
)
def test_form_is_accepted_where_only_a_stage_is_wrong(query):
    """Formatting a query does not look into its stages; running it does."""
    parse_form(query)

    assert error_of(query).startswith("parse error : stage '")


def test_outer_fault_hides_inner_ones():
    """Of two faults of meaning, the outer one is told."""
    query = 'sum(1, sum_over_time({a="b"}[1m])) + rate({}[1m])'

    assert error_of(query) == "parse error : unsupported parameter for operation sum(1,"


def test_query_of_the_size_limit_is_refused():
    """The limit is exclusive and counts bytes, not characters."""
    query = "#" + "é" * (QUERY_BYTES_MAX // 2)

    assert error_of(query) == "parse error : input size too long (131073 > 131072)"


@pytest.mark.parametrize(
    "query",
    [
        "(" * 50_000,
        "1" + "^2" * 60_000,
        "sum(" * 30_000,
        "rate(" + "(" * 60_000,
        '{a="b"} | ' + "(" * 60_000,
        '{a="b"} | ' + "x=1 or " * 15_000 + "x=1",
        '{a="b"} | ' + "x=1," * 25_000 + "x=1",
        "vector(1)" + " + vector(1)" * 8_000,
        "sum(" * DEPTH_MAX + 'rate({a="b"}[1m])' + ")" * DEPTH_MAX,
    ],
    ids=lambda query: query[:20],
)
def test_deep_query_is_refused(query):
    """Nesting is bounded by us, never by the interpreter's stack."""
    assert (
        error_of(query) == f"parse error : query nests deeper than {DEPTH_MAX} levels"
    )


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ('{a="b"}' + '|="x"' * 2_000, "query has more than 4000 tokens"),
        ('{a="b"}|drop ' + "a," * 5_000 + "a", "query has more than 4000 tokens"),
        (
            '{a="b"}|line_format "' + "{{.a}}" * 3_000 + '"',
            "line template has 18000 characters; limit is 16384",
        ),
        (
            '{a="b"}|pattern "' + "<a> " * 5_000 + '"',
            "20000 characters; limit is 16384",
        ),
        (
            '{a="b"} |> "' + "<_> " * 5_000 + '"',
            "20000 characters; limit is 16384",
        ),
    ],
    ids=["stages", "names", "template", "pattern", "line pattern"],
)
def test_query_that_takes_long_to_read_is_refused(query, error):
    """A limit of ours: everybody else waits while a query is read."""
    assert error in error_of(query)


def test_query_that_is_no_unicode_is_refused():
    assert error_of('{a="\ud800"}') == "parse error : invalid UTF-8 encoding"


def test_kinds_of_queries_are_told_apart():
    """Each entry takes only its own kind of query."""
    log, metric = '{a="b"} |= "x"', 'rate({a="b"}[1m])'

    assert error_of(metric, parse_log_query) == "only log selector is supported"
    assert error_of(log, parse_metric_query) == "only sample expression supported"
    assert error_of(log, parse_selector) == "only label matchers is supported"
    assert parse_log_query(log) == parse(log)
    assert parse_metric_query(metric) == parse(metric)


def test_selector_may_be_wide_only_where_allowed():
    assert error_of('{a=~".*"}', parse_selector) == f"parse error : {SELECTOR_TOO_WIDE}"
    assert parse_selector("{}", allows_any=True) == ()
