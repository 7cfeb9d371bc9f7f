"""Line filters: `|= != |~ !~ |> !>`, ip() and `or` chains."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import polars as pl

from loki_py.logql import ast
from loki_py.logql.exec.frame import Frame, Mask
from loki_py.logql.patterns import parse_line_pattern
from loki_py.logql.stages.addresses import addresses_in
from loki_py.logql.stages.captures import covered
from loki_py.logql.stages.regex import Regex, contains
from loki_py.logql.stages.stage import Apply, Wants

Test: TypeAlias = Callable[[pl.Series], Mask]


def line_filter(stage: ast.LineFilter, wants: Wants) -> Apply:  # noqa: ARG001
    """Keep the lines that the filter passes."""
    test = test_of(stage)

    def apply(frame: Frame) -> None:
        frame.filter(test(frame.lines))

    return apply


def test_of(stage: ast.LineFilter) -> Test:
    """Return the function from lines to whether the filter passes them."""
    tests = [_term_test(stage.op, term) for term in stage.terms]
    negative = stage.op.is_negative

    def test(lines: pl.Series) -> Mask:
        found = tests[0](lines)
        for other in tests[1:]:
            found = found | other(lines)
        return ~found if negative else found

    return test


def _term_test(op: ast.LineFilterOp, term: ast.LineTerm) -> Test:
    value = term.value
    if term.is_ip:
        return addresses_in(value)
    match op:
        case ast.LineFilterOp.CONTAINS | ast.LineFilterOp.NOT_CONTAINS:
            if value == "":
                return lambda lines: np.ones(len(lines), dtype=np.bool_)
            return lambda lines: contains(lines, value)
        case ast.LineFilterOp.REGEXP | ast.LineFilterOp.NOT_REGEXP:
            return Regex(value).found_in
        case ast.LineFilterOp.PATTERN | ast.LineFilterOp.NOT_PATTERN:
            return _pattern_test(value)


def _pattern_test(pattern: str) -> Test:
    """Return the test of `|>`; only lines that hold every literal are looked at."""
    parts = parse_line_pattern(pattern)
    literals = [part for part in parts if isinstance(part, str)]

    def test(lines: pl.Series) -> Mask:
        found = np.ones(len(lines), dtype=np.bool_)
        for literal in literals:
            found &= contains(lines, literal)
        rows = np.flatnonzero(found)
        found[rows] = covered(parts, lines.gather(pl.Series(rows)))
        return found

    return test


def literals_of(stages: tuple[ast.Stage, ...]) -> tuple[str, ...]:
    """Return texts that every surviving line contains, of the leading filters."""
    found = []
    for stage in stages:
        if not isinstance(stage, ast.LineFilter):
            break
        plain = stage.op is ast.LineFilterOp.CONTAINS and len(stage.terms) == 1
        if plain and stage.terms[0].value and not stage.terms[0].is_ip:
            found.append(stage.terms[0].value)
    return tuple(found)
