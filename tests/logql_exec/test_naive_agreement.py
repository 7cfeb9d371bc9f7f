"""The engine on columns says what reading line by line says, for random queries."""

from itertools import pairwise

import pytest
from fakes.entry_batches import batch_of
from fakes.logql_engine import engine_answer
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from naive.cases import (
    SECOND_NS,
    chance,
    entries_of,
    log_query,
    metric_query,
    setting_of,
    some,
)
from naive.compare import alike, without_details
from naive.evaluate import QueryFailed, Question, answer

from loki_py.errors import QueryInvalid, RequestRejected
from loki_py.logql import ast
from loki_py.logql.parser import parse

CASES = 250
CASES_NIGHTLY = 5_000
"""Of each of two tests."""


def batches_of(rng, entries):
    """Return the entries in batches, cut at random places."""
    rows = [(e.stream, e.timestamp_ns, e.line, e.metadata) for e in entries]
    cuts = sorted({0, len(rows), *(rng.randrange(len(rows)) for _ in range(2))})
    return [batch_of(rows[low:high]) for low, high in pairwise(cuts)]


def outcome(ask, *args):
    """Return an answer, or that there is none."""
    try:
        return ask(*args)
    except (QueryFailed, RequestRejected):
        return "refused"


def parsed(query):
    """Return the syntax tree, None where the query is refused."""
    try:
        return parse(query)
    except QueryInvalid:
        return None


def agree(rng, query, question, entries):
    note(query)
    want = outcome(answer, question, entries)
    got = outcome(engine_answer, question, batches_of(rng, entries))
    if isinstance(question.expr, ast.LogQuery):
        want, got = without_details(want), without_details(got)
    assert alike(got, want), f"{query}\n got {got}\nwant {want}"


def check_log_query(rng):
    entries = entries_of(rng, setting_of(rng, dirty=50))
    query = log_query(rng)
    expr = parsed(query)
    if expr is None:
        return
    question = Question(
        expr,
        rng.randrange(0, 40) * SECOND_NS,
        rng.randrange(60, 130) * SECOND_NS,
        limit=some(rng, [1, 3, 10, 100]),
        forward=chance(rng, 50),
        interval_ns=some(rng, [0, 0, 0, 5, 20]) * SECOND_NS,
    )
    agree(rng, query, question, entries)


def check_metric_query(rng):
    setting = setting_of(rng, dirty=20)
    entries = entries_of(rng, setting)
    query = metric_query(rng, setting)
    expr = parsed(query)
    if expr is None:
        return
    question = Question(
        expr,
        rng.randrange(0, 60) * SECOND_NS,
        rng.randrange(60, 130) * SECOND_NS,
        step_ns=some(rng, [5, 10, 30, 60]) * SECOND_NS,
        instant=chance(rng, 30),
    )
    agree(rng, query, question, entries)


def run_check(check, count):
    random_sources = st.randoms(use_true_random=False)
    limits = settings(max_examples=count, suppress_health_check=list(HealthCheck))
    limits(given(random_sources)(check))()


@pytest.mark.parametrize("check", [check_log_query, check_metric_query])
def test_engine_agrees_with_the_naive_evaluator(check):
    """500 random queries of random entries have the answers of the slow reading."""
    run_check(check, CASES)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("check", [check_log_query, check_metric_query])
def test_engine_agrees_with_the_naive_evaluator_all_night(check):
    """10,000 of them."""
    run_check(check, CASES_NIGHTLY)
