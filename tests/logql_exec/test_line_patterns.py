"""Patterns searched in columns are what reading the lines one by one finds."""

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive.parsers import pattern_covers, pattern_labels

from loki_py.logql.patterns import parse_line_pattern, parse_pattern
from loki_py.logql.stages.captures import captured, covered
from loki_py.logql.stages.line_spans import LineSpans

LITERALS = [" ", "a", "ab", "é", '" [', "aab", "a long literal", "b="]
PIECES = st.sampled_from([*LITERALS, "b", "=", "x" * 9, "a" * 30, "\n"])
LINES = st.lists(st.lists(PIECES, max_size=12).map("".join), max_size=6)


@st.composite
def patterns(draw, name):
    parts = draw(st.lists(st.sampled_from(LITERALS), min_size=1, max_size=4))
    text = ""
    for i, part in enumerate(parts):
        before = i or draw(st.booleans())
        text += (f"<{name(draw, i)}>" if before else "") + part
    return text + (f"<{name(draw, 9)}>" if draw(st.booleans()) else "")


def columns_of(lines):
    """Return the lines as columns of one buffer, and of several."""
    one = pl.Series(pl.from_arrow(pa.array(lines, pa.large_string())))
    halves = [
        pl.Series(lines[:3], dtype=pl.String),
        pl.Series(lines[3:], dtype=pl.String),
    ]
    return [one, halves[0].append(halves[1])]


@given(LINES, patterns(lambda draw, i: draw(st.sampled_from(["_", f"n{i}"]))))
def test_captures_are_those_of_each_line(lines, pattern):
    """Whatever names are asked for, and wherever the lines lie."""
    if "<n" not in pattern:
        return
    parts = parse_pattern(pattern)
    names = {part.name for part in parts if not isinstance(part, str)} - {None}

    for column in columns_of(lines):
        for wanted in (names, {max(names)}):
            found = captured(parts, column, wanted)
            got = [
                {n: values[i] for n, values in found.items() if values[i] is not None}
                for i in range(len(lines))
            ]
            every = [dict(pattern_labels(line, pattern)) for line in lines]
            assert got == [{n: v for n, v in e.items() if n in wanted} for e in every]


@given(LINES, patterns(lambda _draw, _i: "_"))
def test_pattern_covers_the_lines_that_it_covers_alone(lines, pattern):
    """Also lines without a byte."""
    parts = parse_line_pattern(pattern)

    for column in columns_of(lines):
        want = [pattern_covers(line, pattern) for line in lines]
        assert covered(parts, column).tolist() == want


@pytest.mark.parametrize("text", ["=", "b=", "éé", "a long literal"])
@pytest.mark.parametrize("before", [0, 7, 8, 95, 96, 300])
def test_text_is_found_however_far_away(text, before):
    """Near texts are found for all lines at once, far ones line by line."""
    lines = ["b" * before + text, "b" * before, "é" * before + text + text]
    spans = LineSpans.of(pl.Series(lines))
    rows = spans.start.argsort()

    found = spans.find(text, rows, spans.start[rows])

    want = [line.encode().find(text.encode()) for line in lines]
    assert [at if at < 0 else at - spans.start[i] for i, at in enumerate(found)] == want
