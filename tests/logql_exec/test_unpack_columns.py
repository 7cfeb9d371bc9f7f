"""Packed lines read by column are what reading them one by one finds."""

import json

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from logql_exec.engine import batch

from loki_py.logql import ast
from loki_py.logql.exec.frame import Frame
from loki_py.logql.exec.stream_table import StreamTable
from loki_py.logql.stages.stage import Wants
from loki_py.logql.stages.unpack import unpack

NAMES = frozenset({"a", "b", "__error__", "__error_details__"})
KEYS = st.sampled_from(["a", "b", "c", "_entry", "a_b", "x"])
VALUES = st.sampled_from(["", "x", 'a"b', "<é>", 5, None, {"a": "y"}, ["a"], "a"])
PACKED = st.tuples(st.dictionaries(KEYS, VALUES, max_size=4), st.booleans()).map(
    lambda drawn: json.dumps(drawn[0], ensure_ascii=drawn[1])
)
ODD = st.sampled_from(
    [
        "", "{", "[]", "plain", ' {"_entry":"x"}', '{"a":"1","a":"2","_entry":"z"}',
        '{"\\u0061":"1","_entry":"\\u003cz"}', '{"_entry":"z","a":"1"} tail',
        '{"_entry":"z","a":', '{"_entry":"\\ud800","a":"1"}',
    ]
)  # fmt: skip


def unpacked(lines, wanted):
    one = batch([({"app": "x"}, 1, "")])
    frame = Frame(
        StreamTable(one.streams),
        row=np.arange(len(lines)),
        stream=np.zeros(len(lines), np.uint32),
        timestamp_ns=np.zeros(len(lines), np.int64),
        line=pl.Series(lines, dtype=pl.String),
    )
    unpack(ast.UnpackParser(), Wants(wanted, line=True))(frame)
    nothing = pl.Series([None] * len(lines), dtype=pl.String)
    found = (*map(frame.parsed.get, "ab"), frame.error, frame.error_details)
    columns = [nothing if values is None else values for values in found]
    return [column.to_list() for column in (frame.lines, *columns)]


@given(st.lists(PACKED | ODD, max_size=6))
def test_some_labels_are_those_of_reading_all(lines):
    """Lines, labels and errors."""
    assert unpacked(lines, NAMES) == unpacked(lines, None)
