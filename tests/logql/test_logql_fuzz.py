"""Damaged queries and templates: each is answered or refused."""

import json
import random
import resource
import time
from contextlib import suppress
from pathlib import Path

import pytest

from loki_py.errors import QueryInvalid
from loki_py.logql.parser import parse
from loki_py.logql.pretty import pretty
from loki_py.logql.printer import print_expr
from loki_py.logql.template.errors import TemplateError, TemplateInvalid
from loki_py.logql.template.template import compile_template

CASES = Path(__file__).parent.parent / "conformance" / "cases"
ROUNDS = 500
ROUNDS_NIGHTLY = 100_000
QUERIES_NIGHTLY = 1_000_000
QUERY_NS_MAX = 50_000_000
QUERIES_BYTES_MAX = 200 * 2**20
"""How much more memory the process may take after all queries than before."""
INSERTED = "{}()[]|\"`'=~!<>,.+-*/%^#\\ \n\tx5mé\0\ud800"
LOSSY = ("B", "us", "ns")
"""Units whose values are printed rounded."""
NO_LITERAL = ("NaN", "Inf")
"""What constants may be folded to, printed as Loki does, though it cannot be read."""


def known_queries():
    found = set()
    for path in sorted(CASES.glob("*.jsonl")):
        for text in path.read_text().splitlines():
            found.add(json.loads(text)["params"].get("query") or "1")
    return sorted(found)


def damaged(query, donors, rng):
    for _ in range(rng.randint(1, 3)):
        start = rng.randint(0, len(query))
        end = min(len(query), start + rng.randint(1, 12))
        donor = rng.choice(donors)
        cut = rng.randrange(len(donor))
        query = rng.choice(
            [
                query[:start] + query[end:],
                query[:start] + rng.choice(INSERTED) + query[start:],
                query[:start] + donor[cut : cut + 20] + query[end:],
                query[:start] + query[start:end] * 3 + query[end:],
            ]
        )
    return query


def parse_damaged(rounds, *, seed):
    """Return how many of the queries parse, and the slowest with its time.

    The time is the thread's own, so that a busy machine makes none slow.
    """
    rng = random.Random(seed)
    donors = known_queries()
    parsed, slowest = 0, (0, "")
    for _ in range(rounds):
        query = damaged(rng.choice(donors), donors, rng)
        began_ns = time.thread_time_ns()
        try:
            expr = parse(query)
        except QueryInvalid:
            expr = None
        slowest = max(slowest, (time.thread_time_ns() - began_ns, query))
        if expr is None:
            continue
        parsed += 1
        printed = print_expr(expr)
        if not any(part in query + printed for part in (*LOSSY, *NO_LITERAL)):
            assert parse(printed) == expr, query
            assert parse(pretty(expr)) == expr, query
    return parsed, slowest


def test_damaged_query_is_parsed_or_refused():
    """No other exception escapes, and what parses prints back to itself."""
    parsed, _ = parse_damaged(ROUNDS, seed=1)

    assert parsed


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_a_million_damaged_queries_are_parsed_or_refused_soon():
    """None takes 50 ms, and together they leave no memory behind.

    All of them took 95 s of one core, and the process 80 MB at most.
    """
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    parsed, slowest = parse_damaged(QUERIES_NIGHTLY, seed=3)

    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert parsed
    assert slowest[0] < QUERY_NS_MAX, slowest
    assert after - before < QUERIES_BYTES_MAX


@pytest.mark.parametrize(
    "opened",
    [
        "(", "sum(", "-", "!", "{", "[", '{a="b"} | (', "1+(", "1^", "label_replace(",
        '{a="b"} | a="1" or (', 'rate(({a="b"}', "sum by (a) (topk(1, ", "1 or ",
    ],
)  # fmt: skip
@pytest.mark.parametrize("times", [10, 1_000, 20_000])
def test_deeply_nested_query_is_parsed_or_refused(opened, times):
    """However deep, a query never runs the parser out of stack."""
    text = (opened * times)[:131_000]
    for query in (text, text + '{a="b"}' + ")" * times, text + "1" + ")" * times):
        with suppress(QueryInvalid):
            print_expr(parse(query))


def test_damaged_template_prints_or_is_refused(nightly):
    """No other exception escapes a template, whatever was done to it."""
    rng = random.Random(2)
    text = (Path(__file__).parent / "templates.txt").read_text()
    donors = [line for line in text.split("\n") if line and line[0] not in "#=!?"]
    printed = 0
    for _ in range(ROUNDS_NIGHTLY if nightly else ROUNDS):
        source = damaged(rng.choice(donors), donors, rng)
        with suppress(TemplateInvalid, TemplateError):
            compile_template(source).execute({"a": "1", "b": "x y"}, "line", 10**18)
            printed += 1

    assert printed
