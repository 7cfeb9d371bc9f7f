"""`docs/client.md`: every example runs and gives what the page says."""

import ast
import logging
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "client.md"
DEFAULT_URL = "http://127.0.0.1:3100"
ARROW = re.compile(r"#\s*→\s*(.*)$")


@pytest.fixture(autouse=True)
def no_handlers_stay():
    yield
    for name in ("shop", "billing"):
        for handler in logging.getLogger(name).handlers[:]:
            logging.getLogger(name).removeHandler(handler)
            handler.close()


def blocks():
    return re.findall(r"(?ms)^```python\n(.*?)^```", PAGE.read_text())


def run(block, names):
    """Run a block; expressions before an arrow give what is behind it."""
    lines = block.splitlines()
    checked = 0
    for statement in ast.parse(block).body:
        promise = ARROW.search(lines[statement.end_lineno - 1])
        module = ast.Module([statement], [])
        if promise is None:
            exec(compile(module, PAGE.name, "exec"), names)
            continue
        assert isinstance(statement, ast.Expr), lines[statement.lineno - 1]
        expression = compile(ast.Expression(statement.value), PAGE.name, "eval")
        assert repr(eval(expression, names)) == promise[1], ast.unparse(statement)
        checked += 1
    return checked


def test_every_example_gives_what_the_page_says(fresh_server):
    names = {}
    imports = re.search(r"(?m)^    (from loki_py.client .*)$", PAGE.read_text())
    exec(imports[1], names)

    try:
        checked = [
            run(block.replace(DEFAULT_URL, fresh_server.url), names)
            for block in blocks()
        ]
    finally:
        names["client"].close()

    assert sum(checked) == PAGE.read_text().count("# →") > 15
