"""Levels: Loki's cases, and the fast kernels against the plain function."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_levels import NAMES, level_of

from loki_py.distributor.level_words import (
    LEVELS,
    level_of_severity_number,
    normalised_level,
)
from loki_py.distributor.levels import LevelDetector

DETECTOR = LevelDetector(NAMES, json_depth_max=2)


def levels_of(lines, detector=DETECTOR):
    column = pa.array(lines, pa.large_string())
    return [LEVELS[code] for code in detector.codes_of(column).tolist()]


CASES = [
    ("", "unknown"),
    ("foo=bar level=warn", "warn"),
    ("level=INFORMATION x=y", "info"),
    ('level="err" msg="info"', "error"),
    ('msg="a level=debug b" LEVEL=wrn', "warn"),
    ('msg="say \\" level=debug" level=trc', "trace"),
    ("severity=fatal", "fatal"),
    ("lvl=dbg severity=critical", "critical"),
    ("severity=critical lvl=dbg level=info", "info"),
    ("mylevel=wrn other", "unknown"),
    ("path=/a?level=warn", "warn"),  # the text scan finds =warn
    ("level=bogus warn", "warn"),
    ("log.level=error", "error"),
    ("severity_text=Critical", "critical"),
    ("level=", "unknown"),
    ('{"level":"error","msg":"info"}', "error"),
    ('{"a":{"level":"debug"}}', "debug"),
    ('{"a":{"b":{"level":"debug"}}}', "debug"),  # by the text scan
    ('{"a":{"b":{"level":"inf"}}}', "unknown"),
    ('{"level":3,"severity":"warn"}', "warn"),
    ('{ "level" : "warn" }', "warn"),
    ('  {"level":"warn"}\n', "warn"),
    ('{"lev\\u0065l":"warning"}', "warn"),
    ('{"Level":"trc"}', "trace"),
    ('{"lEvel":"trc"}', "unknown"),
    ('{"msg":"x, \\"level\\":\\"inf\\""}', "unknown"),
    ("[ERROR] something", "error"),
    ("xERROR something", "unknown"),
    ("ERRORS happened, no warnings: debugging", "unknown"),
    ("an information, then a Warning!", "warn"),
    ("first debug then error", "debug"),
    ("critical", "critical"),
]


@pytest.mark.parametrize(("line", "level"), CASES)
def test_the_level_of_a_line(line, level):
    assert level_of(line) == level
    assert levels_of([line]) == [level]


def test_lines_of_one_batch_do_not_see_each_other():
    """Words, keys, quotes and escapes end with their line."""
    lines = [line for line, _ in CASES]
    lines += ["trailing \\", '"level=info', 'x"', "level=info", "lev", "el=warn", "inf"]

    assert levels_of(lines) == [level_of(line) for line in lines]
    assert levels_of(lines[::-1]) == [level_of(line) for line in lines[::-1]]


PIECES = [
    "level", "LEVEL", "Level", "severity", "lvl", "log.level", "SeverityText", "sever",
    "info", "inf", "WARN", "warning", "err", "error", "critical", "information", "trc",
    "informations", "x", "=", "=", "=", " ", " ", '"', '"', "\\", "\t", "\n", ":", ",",
    "{", "}", "[", "]", "é", "'", "|", "",
]  # fmt: skip
logfmt_lines = st.lists(st.sampled_from(PIECES), max_size=14).map("".join)


def is_json(line):
    return line.strip().startswith("{") and line.strip().endswith("}")


@settings(max_examples=80, deadline=None)
@given(st.lists(logfmt_lines.filter(lambda line: not is_json(line)), max_size=8))
def test_fast_and_slow_agree_on_lines_that_are_no_json(lines):
    assert levels_of(lines) == [level_of(line) for line in lines]


words = st.sampled_from([*PIECES, *NAMES])
documents = st.recursive(
    st.one_of(words, st.integers(0, 3), st.none()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(words, inner, max_size=4)
    ),
    max_leaves=8,
)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.dictionaries(words, documents, max_size=4),
            st.sampled_from([(",", ":"), (", ", ": "), (" , ", " : ")]),
            st.booleans(),
        ),
        max_size=5,
    )
)
def test_fast_and_slow_agree_on_json(items):
    import json

    lines = [
        json.dumps(document, separators=separators, ensure_ascii=ascii_only)
        for document, separators, ascii_only in items
    ]

    assert levels_of(lines) == [level_of(line) for line in lines]


def test_a_deep_json_line_is_no_error():
    line = '{"a":' * 20_000 + "1" + "}" * 20_000

    assert levels_of([line]) == ["unknown"]


def test_a_tenant_may_name_its_own_fields():
    detector = LevelDetector(["how_bad_is_it_this_time", "x"], json_depth_max=0)
    lines = ["how_bad_is_it_this_time=err", "x=wrn", '{"x":"dbg"}', "level=inf"]

    assert levels_of(lines, detector) == ["error", "warn", "debug", "unknown"]


@pytest.mark.parametrize(
    ("value", "level"),
    [("WARNING", "warn"), ("inf", "info"), ("Custom", "Custom"), ("fatal", "fatal")],
)
def test_a_given_level_is_normalised_or_kept(value, level):
    assert normalised_level(value) == level


@pytest.mark.parametrize(
    ("value", "level"),
    [("0", "unknown"), ("1", "trace"), ("9", "info"), ("24", "fatal"), ("x", "info")],
)
def test_a_severity_number_is_a_level(value, level):
    assert level_of_severity_number(value) == level
