"""Templates filled in by column make what they make of each entry alone."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from logql_exec.engine import batch

from loki_py.logql.exec.frame import Frame
from loki_py.logql.exec.stream_table import StreamTable
from loki_py.logql.stages.formats import Filling
from loki_py.logql.stages.template_parts import Piece, parts_of
from loki_py.logql.template.calls import term_of
from loki_py.logql.template.errors import TemplateError, TemplateInvalid
from loki_py.logql.template.template import Field, compile_template

ENTRIES = [
    ("1", "two words", "error", "1m30s", '{"x":{"y":[1,2.5,"z"]},"n":null}', "LINE"),
    ("0", "", "Straße", "x", "[", ""),
    ("1", "two words", "error", "1m30s", "{}", "LINE"),
    (None, "é", None, "5KB", None, "another line"),
    ("-7.5", " a ", "warn", "12", '{"x":1}', "LINE"),
]
TIME_NS = 1_700_000_000_123_456_789
NAMES = ("a", "b", "level", "d", "j")


def templates():
    text = (Path(__file__).parent.parent / "logql" / "templates.txt").read_text()
    lines = [line for line in text.split("\n") if line and not line.startswith("#")]
    return lines[::2]


def frame_of_entries():
    one = batch([({"app": "x"}, 1, "")])
    lines = pl.Series([entry[-1] for entry in ENTRIES], dtype=pl.String)
    count = len(ENTRIES)
    frame = Frame(
        StreamTable(one.streams),
        row=np.arange(count),
        stream=np.zeros(count, np.uint32),
        timestamp_ns=np.full(count, TIME_NS),
        line=lines,
    )
    for i, name in enumerate(NAMES):
        values = pl.Series([entry[i] for entry in ENTRIES], dtype=pl.String)
        frame.set_parsed(name, values)
    return frame


def alone(template, entry):
    labels = {n: v for n, v in zip(NAMES, entry, strict=False) if v is not None}
    try:
        made = template.execute({**labels, "app": "x"}, entry[-1], TIME_NS)
    except TemplateError as error:
        return None, str(error)
    return made, None


@pytest.mark.parametrize("source", templates())
def test_columns_are_filled_like_single_entries(source):
    """Texts and errors, of every template of the list."""
    try:
        template = compile_template(source)
    except TemplateInvalid:
        return

    filled = Filling(source, name="line").fill(frame_of_entries())

    details = filled.details.to_list()
    details = details if len(details) == len(ENTRIES) else details * len(ENTRIES)
    got = list(zip(filled.texts.to_list(), details, strict=True))
    assert got == [alone(template, entry) for entry in ENTRIES]


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("", ()),
        ("x {{ .a }}{{- .b -}} y", ("x ", Field("a"), Field("b"), "y")),
        ("{{$x := .a}}", None),
        ("{{.}}", None),
        ("{{now}}", None),
        ("{{range .a}}{{$.b}}{{end}}", None),
    ],
)
def test_template_is_cut_where_parts_know_nothing_of_each_other(source, parts):
    """Variables, all labels and the time make it one."""
    assert parts_of(compile_template(source)) == parts


@pytest.mark.parametrize(
    ("source", "is_plain"),
    [
        ("{{.a | ToUpper | trunc 3}}", True),
        ("{{printf `%s-%d` (lower .a) 5}}", True),
        ("{{__line__ | len}}", True),
        ("{{if .a}}b{{end}}", False),
        ("{{and .a .b}}", False),
        ("{{.a.b}}", False),
    ],
)
def test_calls_of_functions_are_made_value_by_value(source, is_plain):
    """What decides or walks is run as a template, once for each distinct input."""
    (part,) = parts_of(compile_template(source))

    assert isinstance(part, Piece)
    assert (term_of(part.template.tree.body[0]) is not None) == is_plain
