"""The naive evaluator, which random tests trust, against the recorded corpus."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import answers
import corpus
from naive.evaluate import QueryFailed, Question, answer
from naive.rows import Entry
from replay import same
from test_corpus_cases import CASES

from loki_py.logql import ast
from loki_py.logql.parser import parse

WRONG_RATIO_MAX = 0.05
"""It has no words for errors of values, and orders no ties across streams."""

REFUSED_BEFORE = (
    "parse error",
    "log queries are not supported",
    "maximum number of series",
    "exceeded maximum resolution",
    "end timestamp must not be",
    "zero or negative query resolution",
)


def question_of(path, params):
    expr = parse(params["query"])
    if path.endswith("/query"):
        return Question(expr, 0, int(params["time"]), instant=True)
    start_ns, end_ns = int(params["start"]), int(params["end"])
    step_ns = answers.seconds_ns(params.get("step", "0"))
    return Question(
        expr,
        start_ns,
        end_ns,
        step_ns or max((end_ns - start_ns) // answers.SECOND_NS // 250, 1) * 10**9,
        int(params.get("limit", 100)),
        forward=params.get("direction", "backward").lower() == "forward",
        interval_ns=answers.seconds_ns(params.get("interval", "0")),
    )


def body_of(question, found):
    """Return the JSON that a client would see."""
    if isinstance(found, float):
        value = [question.end_ns / 1e9, answers.number(found)]
        return {"resultType": "scalar", "result": value}
    result = []
    for labels, value in found.items():
        name = {"metric": dict(labels)}
        if isinstance(question.expr, ast.LogQuery):
            values = [[str(when), line] for when, line in value]
            result.append({"stream": dict(labels), "values": values})
        elif question.instant:
            point = [question.end_ns / 1e9, answers.number(value)]
            result.append({**name, "value": point})
        else:
            points = [[t / 1e9, answers.number(v)] for t, v in value.items()]
            result.append({**name, "values": points})
    kind = "vector" if question.instant else "matrix"
    kind = "streams" if isinstance(question.expr, ast.LogQuery) else kind
    return {"resultType": kind, "result": result}


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_naive_answers_are_the_recorded_ones():
    """What line by line reading answers is what the reference answered."""
    entries = [Entry(*entry) for entry in corpus.entries()]
    asked = [
        case
        for case in CASES
        if case["status"] < 400 or not str(case["body"]).startswith(REFUSED_BEFORE)
    ]
    wrong = []
    for case in asked:
        question = question_of(case["path"], case["params"])
        try:
            found = body_of(question, answer(question, entries))
            got = 200, {"status": "success", "data": found}
        except QueryFailed as error:
            got = 400, str(error)
        query = case["params"]["query"]
        # The reference's status for matching that is not unique is 500.
        expected = min(case["status"], 400), case["body"]
        difference = same(expected, got, query, case["path"])
        if difference is not None:
            wrong.append((query, difference))

    assert len(wrong) <= len(asked) * WRONG_RATIO_MAX, wrong
