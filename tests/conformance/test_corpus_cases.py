"""The recorded corpus, answered by the engine alone: parse, plan, run."""

import functools
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import answers
import corpus
from replay import error_text, same

NOT_QUERIES = (
    "otlp", "index-volume", "index-volume-range", "detected-fields",
    "detected-labels", "detected-field-values", "labels", "label-values", "series",
    "params", "parse",
)  # fmt: skip
CASES = [
    case
    for case in corpus.cases(without=NOT_QUERIES)
    # What was pushed by OTLP is read by the tests of the whole server.
    if "otlp" not in case["params"].get("query", "")
]


@functools.cache
def whole():
    return corpus.batch()


@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: f"{case['category']}-{case['id']}"
)
def test_answer_is_the_recorded_one(case):
    """Status, labels, lines and numbers are those of the reference."""
    got = answers.answer(whole(), corpus.units_of, case["path"], case["params"])

    expected = (case["status"], case["body"])
    assert same(expected, got, case["params"].get("query", ""), case["path"]) is None


def test_error_texts_are_the_recorded_ones():
    """At least 95 % of error texts are byte for byte the reference's."""
    wrong = []
    errors = [case for case in CASES if case["status"] >= 400]
    for case in errors:
        got = answers.answer(whole(), corpus.units_of, case["path"], case["params"])
        if error_text(case["body"]) != error_text(got[1]):
            wrong.append((case["params"]["query"], error_text(got[1])))

    assert len(wrong) <= len(errors) * 0.05, wrong
