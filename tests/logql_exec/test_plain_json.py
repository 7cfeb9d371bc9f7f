"""Plain JSON lines are told from others, and their fields are what scanning finds."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from engine import ask, batch, points
from hypothesis import given, settings
from hypothesis import strategies as st

from loki_py.errors import QueryInvalid
from loki_py.logql.stages import json_bits
from loki_py.logql.stages.json_columns import FieldDecoder
from loki_py.logql.stages.json_members import first_fields, plain_fields, plain_views
from loki_py.logql.stages.json_scan import JsonInvalid, flatten
from loki_py.model.line_facts import LineFacts, RunsOfLines, unknown_kinds

NAMES = ("status", "a", "trace_id")
KEYS = st.sampled_from(
    ["status", "a", "trace_id", "trace-id", "a b", " status", "status ", "\xa0status",
     "", "b", "é", "1a", "status:", "k8s.io/x", "long" * 30, "stat\\u0075s", "a\\nb",
     "{", ",", "\tstatus", "trace\\tid"]
)  # fmt: skip
VALUES = st.sampled_from(
    ['""', '"x"', '":"', '","', '"{"', '"}"', '"\\":"', '"\\\\"', '"\\\\\\""',
     '"\\ud800"', '"\\x"', '"日本語"', '"\\"status\\":1"', f'"{"x" * 70}"', '"\n"',
     "0", "200", "-1", "1.5", "-1.5", "01", ".5", "1e5", "1.2.3", "-", "1$", "1 2",
     "true", "false", "null", "true5", "nulls", "tru", "falsefalse", "", "{}", "[]",
     '[1,"a"]', '{"status":5}', '"open', '1"2', '"\\']
)  # fmt: skip
JOINS = st.sampled_from([",", ",", ", ", " ,", ",,", "", "  "])
COLONS = st.sampled_from([":", ":", ": ", " :", "::", ""])
HEADS = st.sampled_from(["{", "{", "{", " {", "{ ", "", "x{"])
TAILS = st.sampled_from(["}", "}", "}", "", "} ", "}}", ",}", '"}', "\\"])
PLAIN = [
    '{"status":200}',
    '{"status":"200","a":""}',
    '{"status": 200, "a": "b c", "x": null, "y": true}',
    '{"b":-1.25,"status":"","u":"http://x:80/,{}[]","k-8.s/x":"é"}',
    '{"b":"a \\"quoted\\" word \\\\","status":"x","n":1}',
    '{"trace_id":"' + "0123456789abcdef" * 8 + '","a":false}',
]


@st.composite
def lines(draw):
    members = draw(st.lists(st.tuples(KEYS, COLONS, VALUES), max_size=5))
    inner = draw(JOINS).join(f'"{key}"{colon}{value}' for key, colon, value in members)
    return draw(HEADS) + inner + draw(TAILS)


def scanned(line, names, *, early=False):
    """Return the fields that scanning finds, and whether it ends well."""
    found = {}

    def put(name, value):
        if name in names:
            found.setdefault(name, value)
        return early and len(found) == len(names)

    try:
        flatten(line, put)
    except JsonInvalid:
        return found, False
    return found, True


def plain_fields_of(texts, names):
    texts = pl.Series(texts, dtype=pl.String)
    return plain_fields(texts, names, *plain_views(texts))


def by_row(columns, row):
    found = {name: column[row] for name, column in columns.items()}
    return {name: value for name, value in found.items() if value is not None}


@settings(max_examples=150, deadline=None)
@given(st.lists(lines() | st.sampled_from(PLAIN), min_size=1, max_size=8))
def test_plain_fields_are_right_where_sure(texts):
    """A sure row is sound to its end, whatever its neighbours are."""
    columns, sure = plain_fields_of(texts, NAMES)

    for row in sure.nonzero()[0].tolist():
        assert (by_row(columns, row), True) == scanned(texts[row], NAMES), texts[row]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(lines() | st.sampled_from(PLAIN), min_size=1, max_size=8),
    st.sampled_from(NAMES),
)
def test_first_fields_are_right_where_sure(texts, name):
    """A sure row is sound up to its field, which is the first that is not null."""
    values, sure = first_fields(pl.Series(texts, dtype=pl.String), name)

    for row in sure.nonzero()[0].tolist():
        expected = {name: values[row]}
        assert (expected, True) == scanned(texts[row], [name], early=True), texts[row]


@settings(max_examples=60, deadline=None)
@given(st.lists(lines(), min_size=1, max_size=8))
def test_decoded_fields_are_right_where_sure(texts):
    """The same of the decoder, which reads lines that are not plain."""
    columns, sure = FieldDecoder(NAMES).fields(pl.Series(texts, dtype=pl.String))

    for row in sure.nonzero()[0].tolist():
        assert (by_row(columns, row), True) == scanned(texts[row], NAMES), texts[row]


def test_everyday_lines_are_plain():
    """They need no second reading: escapes, words, spaces and signs are no reason."""
    columns, sure = plain_fields_of(PLAIN * 3, ["status", "trace_id"])

    assert sure.all()
    assert columns["status"][:6].to_list() == ["200", "200", "200", "", "x", None]
    assert columns["trace_id"][5] == "0123456789abcdef" * 8


@pytest.mark.parametrize(
    "line",
    [
        "", "{}", "{", '{"a"', '{"a":', '{"a":1', '{"a":1,}', '{"a","b":1}',
        '{"a":"b":"c"}', '{"a":"x""b":1}', '{"a":"x"5}', '{"a"5:1}', '{"a":5:6}',
        '{"a":true5}', '{"a":1 2}', '{"a":[1]}', '{"a":{"b":1}}', '{"a":1}}',
        '{"a":"b}', '{"a":"b\\"}', '{"a\\n":1}', '{" a":1}', '{"a":.5}', ' {"a":1}',
        '{"a":1}\n',
    ],
)  # fmt: skip
def test_other_lines_are_not_plain(line):
    """Neither are they, nor do they make their neighbours so."""
    _, sure = plain_fields_of([PLAIN[0], line, PLAIN[4], line, line], [])

    assert sure.tolist() == [True, False, True, False, False]


def test_unwrapped_fields_of_many_lines_are_summed():
    """A query over more lines than are worth decoding reads them as bits."""
    rows = [({"app": "x"}, i / 100, f'{{"ms":{i},"m":"ok"}}') for i in range(3000)]
    query = "sum(sum_over_time({app='x'} | json | unwrap ms [100s]))".replace("'", '"')

    answer = ask(query, batch(rows), start=100, end=100)

    assert list(points(answer).values()) == [{100: float(sum(range(3000)))}]


BITS = st.lists(st.booleans(), min_size=130, max_size=300)


def words_of(bits):
    padded = np.zeros(-(-len(bits) // 64) * 64, np.bool_)
    padded[: len(bits)] = bits
    return np.packbits(padded, bitorder="little").view(np.uint64)


def bits_of(words, count):
    return np.unpackbits(words.view(np.uint8), bitorder="little")[:count].tolist()


@settings(max_examples=50, deadline=None)
@given(BITS)
def test_bits_move_and_enclose_across_words(bits):
    """Words are one row of bits: neighbours, ranges, counts and places."""
    words, count = words_of(bits), len(bits)

    assert bits_of(json_bits.after(words), count) == [False, *bits[:-1]]
    assert bits_of(json_bits.between(words), count) == (np.cumsum(bits) % 2).tolist()
    places = np.flatnonzero(bits)
    assert json_bits.places_of(words).tolist() == places.tolist()
    assert json_bits.bits_at(places, len(words)).tolist() == words.tolist()
    start, end = np.array([0, 63, 64, 65]), np.array([64, 64, 129, 65])
    counts = [sum(bits[a:b]) for a, b in zip(start, end, strict=True)]
    assert json_bits.Ranks(words).between(start, end).tolist() == counts


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 200), st.integers(1, 70)), min_size=1))
def test_runs_become_one_bit_behind_them(runs):
    """However many words a run fills, where its first bit is given."""
    bits, starts, behind = [], [], []
    for i, (run, gap) in enumerate(runs):
        bits += [True] * run + [False] * gap
        starts += [i % 2 == 0] + [False] * (run - 1 + gap)
        behind += [i % 2 == 1] * run + [i % 2 == 0] + [False] * (gap - 1)

    found = json_bits.carried(words_of(bits), words_of(starts))

    assert bits_of(found, len(bits)) == behind


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from("\\\\\\a"), min_size=1, max_size=300))
def test_bytes_behind_odd_backslashes_are_escaped(text):
    """Of each run of backslashes every second one is meant."""
    expected, is_escaped = [], False
    for char in [*text, "a"]:
        expected.append(is_escaped and char != "\\")
        is_escaped = char == "\\" and not is_escaped

    slashes = words_of([*(char == "\\" for char in text), False])

    assert bits_of(json_bits.escaped(slashes), len(expected)) == expected


QUERIES = (
    "sum by (status) (count_over_time({app='x'} | json [100s]))",
    "sum by (status, a) (count_over_time({app='x'} | json | __error__='' [100s]))",
    "sum by (a) (count_over_time({app='x'} | json | a='x' [100s]))",
    "sum by (status) (count_over_time({app='x'} |= `s` | json | a!='' [100s]))",
    "sum by (a) (count_over_time({app='x'} | trace_id!='t1' | json [100s]))",
    "sum by (a) (count_over_time({app='x'} | line_format `{{.b}}` | json [100s]))",
    "sum(sum_over_time({app='x'} | json | unwrap status | __error__='' [100s]))",
    "sum by (s, t) (count_over_time({app='x'} | json s=`status`, t=`trace_id` [99s]))",
    "sum by (s) (count_over_time({app='x'} |= `s` | json s=`a`, t=`b[0]` [100s]))",
    "sum by (a) (count_over_time({app='x'} | unpack | __error__='' [100s]))",
    "sum by (a, b) (count_over_time({app='x'} | unpack | json [100s]))",
)
PACKED = [
    '{"a":"x","_entry":"{\\"b\\":1}"}',
    '{"_entry":"","a":"y","n":1}',
    '{"a":"_entry"}',
    '{"a":"","a":"z","b":null,"b":2}',
]


def answer_of(query, batch_):
    try:
        return points(ask(query.replace("'", '"'), batch_, start=0, end=100, step=100))
    except QueryInvalid as error:
        return str(error)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from(PLAIN + PACKED), min_size=1, max_size=12)
    | st.lists(lines() | st.sampled_from(PLAIN + PACKED), min_size=1, max_size=12),
    st.lists(st.integers(1, 11), max_size=3),
    st.permutations(QUERIES),
)
def test_what_is_known_of_lines_changes_no_answer(texts, cuts, queries):
    """Whatever a query found out of lines, the next ones answer as before."""
    rows = [
        ({"app": "x"}, i + 1, text, {"trace_id": f"t{i % 3}"})
        for i, text in enumerate(texts)
    ]
    bare = batch(rows)
    edges = sorted({0, len(rows), *(cut for cut in cuts if cut < len(rows))})
    kinds = unknown_kinds(len(edges) - 1)
    source = RunsOfLines(kinds, np.arange(len(edges) - 1), np.diff(edges))

    for query in queries:
        known = replace(bare, facts=LineFacts([source]))
        assert answer_of(query, known) == answer_of(query, bare), query


def test_a_query_over_whole_lines_teaches_what_they_are():
    """Each run by itself, so that the next query need not check the plain ones."""
    texts = [*PLAIN, "no json", *PLAIN]
    rows = [({"app": "x"}, i + 1, text) for i, text in enumerate(texts)]
    sizes = np.array([len(PLAIN), 1, len(PLAIN)])
    kinds = unknown_kinds(3)
    source = RunsOfLines(kinds, np.arange(3), sizes)

    known = replace(batch(rows), facts=LineFacts([source]))
    answer_of(QUERIES[1], known)

    are_plain = [
        LineFacts([RunsOfLines(kinds, np.array([run]), None)]).are_plain_json
        for run in range(3)
    ]
    assert are_plain == [True, False, True]
