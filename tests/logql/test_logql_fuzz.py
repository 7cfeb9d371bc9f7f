"""Damaged queries and templates: each is answered or refused."""

import json
import random
from contextlib import suppress
from pathlib import Path

from loki_py.errors import QueryInvalid
from loki_py.logql.parser import parse
from loki_py.logql.pretty import pretty
from loki_py.logql.printer import print_expr
from loki_py.logql.template.errors import TemplateError, TemplateInvalid
from loki_py.logql.template.template import compile_template

CASES = Path(__file__).parent.parent / "conformance" / "cases"
ROUNDS = 500
ROUNDS_NIGHTLY = 100_000
INSERTED = "{}()[]|\"`'=~!<>,.+-*/%^#\\ \n\tx5mé\0\ud800"
LOSSY = ("B", "us", "ns")
"""Units whose values are printed rounded."""


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


def test_damaged_query_is_parsed_or_refused(nightly):
    """No other exception escapes, and what parses prints back to itself."""
    rng = random.Random(1)
    donors = known_queries()
    parsed = 0
    for _ in range(ROUNDS_NIGHTLY if nightly else ROUNDS):
        query = damaged(rng.choice(donors), donors, rng)
        try:
            expr = parse(query)
        except QueryInvalid:
            continue
        parsed += 1
        if not any(unit in query for unit in LOSSY):
            assert parse(print_expr(expr)) == expr, query
            assert parse(pretty(expr)) == expr, query

    assert parsed


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
