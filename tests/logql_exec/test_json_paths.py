"""Values at paths, read by column, are what reading the lines one by one finds."""

import json

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from logql_exec.engine import ask, batch, lines
from logql_exec.test_field_columns import json_lines, scanned_json

from loki_py.logql.stages.json_nested import NestedFields
from loki_py.logql.stages.json_paths import PathReader
from loki_py.logql.stages.json_scan import value_of

PATHS = [("a",), ("a", "b"), ("a", 0), ("a", 1, "level"), ("level",), ("a.b",), (0,)]
KEYS = st.sampled_from(["a", "b", "level", "a.b", "é", 'q"'])
DOCUMENTS = st.recursive(
    st.sampled_from([None, True, 1.5, "", "x", 'a"\\\n', "ü", -7]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4)
    ),
    max_leaves=12,
)
INDENTS = st.sampled_from([None, 1])


def check(texts):
    reader = PathReader(PATHS)

    columns, sure = reader.values(pl.Series(texts, dtype=pl.String))

    for i in sure.nonzero()[0].tolist():
        got = [column[i] for column in columns]
        assert got == [value_of(texts[i], path) for path in PATHS], texts[i]
    return sure


@given(st.lists(json_lines(), max_size=6))
def test_paths_are_right_where_sure(texts):
    """Damaged lines are not sure, or right."""
    check(texts)


@given(st.lists(st.tuples(DOCUMENTS, INDENTS, st.booleans()), max_size=6))
def test_sound_objects_are_sure_unless_spelled_with_escapes(documents):
    """Whatever is nested in them; and what they hold is right."""
    texts = [
        json.dumps(one, indent=indent, ensure_ascii=ascii_only)
        for one, indent, ascii_only in documents
    ]

    sure = check(texts)

    for text, is_sure in zip(texts, sure.tolist(), strict=True):
        repeats = any(text.count(f'"{key}"') > 1 for key in ("a", "b", "level", "a.b"))
        if text.startswith("{") and "\\u" not in text and not repeats:
            assert is_sure, text


NAMES = ["a", "a_b", "level", "a_b_level", "b_a"]
NESTED_KEYS = st.sampled_from(["a", "b", "a_b", "level", "b_level", "a-b", " a", "é"])
NESTED = st.recursive(
    st.sampled_from([None, True, 1.5, "", "x", "a b", ["a"]]),
    lambda inner: st.dictionaries(NESTED_KEYS, inner, max_size=4),
    max_leaves=10,
)


@given(st.lists(NESTED.map(json.dumps) | json_lines(), max_size=6))
def test_nested_fields_are_right_where_sure(texts):
    """By whatever keys the names are made."""
    reader = NestedFields(NAMES)
    assert reader.is_usable

    columns, sure = reader.fields(pl.Series(texts, dtype=pl.String))

    for i in sure.nonzero()[0].tolist():
        found, sound = scanned_json(texts[i])
        assert sound
        got = {name: column[i] for name, column in columns.items()}
        assert got == {name: found.get(name) for name in NAMES}, texts[i]


@pytest.mark.parametrize(
    ("text", "is_sure"),
    [
        ('{"a":{"b":"x"},"c":1}', True),
        ('{"a_b":"x"}', True),
        ('{"a":{"b":"x"},"a_b":1}', False),
        ('{"a":{"b":"x"},"a-b":1}', False),
        ('{"a":{"b":"x"},"a\\/b":1}', False),
        ('{"":{"a":{"b":"x"}}}', False),
        ('{" a":{"b":"x"}}', False),
        ('{"a":{"b":"x"}} x', False),
    ],
)
def test_nested_field_is_sure_where_no_other_key_becomes_its_name(text, is_sure):
    """What is in doubt is read by who reads single lines."""
    columns, sure = NestedFields(["a_b"]).fields(pl.Series([text]))

    assert sure.tolist() == [is_sure]
    assert not is_sure or columns["a_b"].to_list() == ["x"]


@pytest.mark.parametrize("text", ['{"a":1,"a":2}', '{"a":1,"\\u0061":2}', '{"a":1} x'])
def test_line_that_may_be_read_otherwise_is_not_sure(text):
    """A key that stands there twice, an escaped key, more than one value."""
    _, sure = PathReader([("a",)]).values(pl.Series([text]))

    assert not sure.any()


def test_deeply_nested_line_is_answered():
    """A document deeper than the stack is read by who needs no stack."""
    deep = '{"a":' + "[" * 5_000 + "]" * 5_000 + ',"b":"x"}'
    store = batch([({"app": "a"}, 1, deep)])

    for stage in ('json b="b"', "json"):
        found = lines(ask(f'{{app="a"}} | {stage} | b="x"', store))
        assert list(found) == [(("app", "a"), ("b", "x"))]
