"""docs/logql.md: every example is run, and every part of the language has one."""

import dataclasses
import re
from pathlib import Path

import pytest
from fakes.entry_batches import batch_of
from fakes.logql_engine import engine_answer
from fakes.logql_scripts import cases_of, question_of, shown
from naive.evaluate import Question

from loki_py.errors import RequestRejected
from loki_py.logql import ast_metric as metric
from loki_py.logql.parser import parse
from loki_py.logql.stages.pipeline import STAGES
from loki_py.logql.template.builtins import BUILTINS
from loki_py.logql.template.functions import FUNCTIONS
from loki_py.logql.template.template import compile_template

PAGE = (Path(__file__).parent.parent / "docs" / "logql.md").read_text(encoding="utf-8")
LABELS = {
    "app": "shop", "n": "7", "x": "2.5", "text": "Hello World", "took": "1m30s",
    "size": "2KB", "json": '{"a":[1,2]}', "when": "2026-01-02T03:04:05Z",
}  # fmt: skip
ROW = re.compile(r"\|.*\| `(.+)` \| `(.*)` \|")
TWO_CELLS = re.compile(r"\| `(.+)` \| `(.*)` \|")


def script_of(page):
    """Return the page's blocks and table rows as one script."""
    parts = re.findall(r"```logql\n(.*?)```", page, re.DOTALL)
    rows = [row.groups() for row in map(ROW.fullmatch, page.split("\n")) if row]
    for example, answer in rows:
        if not example.startswith("{{"):
            lines = answer.replace("; ", "\n")
            parts.append(f"{unescaped(example)}\n----\n{lines}")
    return "\n\n".join(parts)


def unescaped(cell):
    return cell.replace("\\|", "|")


def templates_of(page):
    for row in map(TWO_CELLS.fullmatch, page.split("\n")):
        if row and row[1].startswith("{{"):
            yield unescaped(row[1]), unescaped(row[2])


def without_lines(answer):
    """Return the seconds of the lines that a table's query answers."""
    return [re.sub(r".*\} ([0-9.]+s) .*", r"\1", line) for line in answer]


CASES = list(cases_of(script_of(PAGE)))


@pytest.mark.parametrize(
    ("entries", "numbers", "query", "expected"), CASES, ids=[case[2] for case in CASES]
)
def test_example_has_the_answer_on_the_page(entries, numbers, query, expected):
    """What the page says is what the engine answers."""
    batch = batch_of([(e.stream, e.timestamp_ns, e.line, e.metadata) for e in entries])
    try:
        got = shown(engine_answer(question_of(numbers, query, Question), [batch]))
    except RequestRejected as error:
        got = [f"error: {error}".split("\n")[0]]

    assert expected in (got, sorted(without_lines(got)))


@pytest.mark.parametrize(("template", "expected"), list(templates_of(PAGE)))
def test_template_makes_what_the_page_says(template, expected):
    """Every template of the table is filled in."""
    made = compile_template(template).execute(LABELS, "one line", 1767323045 * 10**9)

    assert made == expected


def parts_of(node):
    """Yield all nodes of a syntax tree."""
    yield node
    if isinstance(node, tuple):
        for one in node:
            yield from parts_of(one)
    elif dataclasses.is_dataclass(node):
        for field in dataclasses.fields(node):
            yield from parts_of(getattr(node, field.name))


def test_every_part_of_the_language_has_an_example():
    """No stage, function or operator is left out of the page."""
    nodes = [node for case in CASES for node in parts_of(parse(case[2]))]

    assert set(STAGES) <= {type(node) for node in nodes}
    for enum in (metric.RangeFunction, metric.VectorFunction, metric.UnwrapConversion):
        assert set(enum) <= {node for node in nodes if isinstance(node, enum)}
    assert {type(node) for node in nodes} >= {metric.LabelReplace, metric.Vector}
    rows = {row[1] for row in re.finditer(r"^\| `(\S+)` \|", PAGE, re.MULTILINE)}
    assert {op.value for op in metric.BinaryOp} <= rows


def test_every_template_function_has_an_example():
    """Functions are found by name in the templates of the page."""
    used = {
        word
        for template, _ in templates_of(PAGE)
        for word in re.findall(r"(?<![.\w])\w+", template)
    }

    assert set(FUNCTIONS) | set(BUILTINS) <= used | {"call"}
