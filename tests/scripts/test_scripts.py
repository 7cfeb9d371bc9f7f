"""LogQL told by examples: each stage, filter, function and operator."""

from pathlib import Path

import pytest
from fakes.entry_batches import batch_of
from fakes.logql_engine import engine_answer
from fakes.logql_scripts import cases_of, question_of, shown
from naive.compare import alike, without_details
from naive.evaluate import QueryFailed, Question, answer

from loki_py.errors import RequestRejected
from loki_py.logql import ast
from loki_py.logql.parser import parse
from loki_py.logql.pretty import pretty
from loki_py.logql.printer import print_expr

HERE = Path(__file__).parent
CASES = [
    pytest.param(*case, id=f"{path.stem}-{case[2]}")
    for path in sorted(HERE.glob("*.test"))
    for case in cases_of(path.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize(("entries", "numbers", "query", "expected"), CASES)
def test_script_has_the_answer_written_below_it(entries, numbers, query, expected):
    """The engine answers as the script says, and so does reading line by line."""
    batch = batch_of([(e.stream, e.timestamp_ns, e.line, e.metadata) for e in entries])
    question = found = None
    try:
        question = question_of(numbers, query, Question)
        found = engine_answer(question, [batch])
    except RequestRejected as error:
        got = [f"error: {error}".split("\n")[0]]
    else:
        got = shown(found)

    assert got == expected
    if found is not None:
        naive = without_details(answer(question, entries))
        assert alike(without_details(found), naive)
    elif question is not None and not isinstance(question.expr, ast.LogQuery):
        with pytest.raises(QueryFailed):
            answer(question, entries)


@pytest.mark.parametrize("query", sorted({case.values[2] for case in CASES}))
def test_query_of_a_script_is_printed_and_read_again(query):
    """The canonical text, short and long, means the same query."""
    try:
        expr = parse(query)
    except RequestRejected:
        return
    if query == "1 / 0":
        return  # infinity has a canonical text, but no literal

    assert parse(print_expr(expr)) == expr
    assert parse(pretty(expr)) == expr
