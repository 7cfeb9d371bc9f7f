"""Answers: the JSON of every kind of result, escapes, numbers, stats."""

import json

import numpy as np
import pyarrow as pa
import pytest

from loki_py.api.encode import (
    encode_json,
    encode_names,
    encode_result,
    encode_series,
)
from loki_py.api.numbers import seconds_of, texts_of
from loki_py.api.stats import stats_of
from loki_py.model.labels import LabelSet
from loki_py.model.results import (
    Categories,
    Matrix,
    Scalar,
    Streams,
    Vector,
)
from loki_py.model.scan import ReadStats, Skipped
from loki_py.querier.stats import QueryCost

S = 1_000_000_000


def streams(lines, labels=((("app", "a"),),), offsets=None, categories=None):
    return Streams(
        labels=labels,
        offsets=np.array([0, len(lines)] if offsets is None else offsets),
        timestamp_ns=np.arange(len(lines)) + 1_767_225_600 * S,
        line=pa.array(lines, pa.large_string()),
        categories=categories,
    )


def test_streams_are_grouped_with_their_values():
    data = streams(
        ["one", "two", "three"],
        labels=((("app", "a"),), (("app", "b"), ("x", ""))),
        offsets=[0, 2, 3],
    )

    body = encode_result(data, {})

    assert body == (
        b'{"status":"success","data":{"resultType":"streams","result":['
        b'{"stream":{"app":"a"},"values":[["1767225600000000000","one"],'
        b'["1767225600000000001","two"]]},'
        b'{"stream":{"app":"b","x":""},"values":[["1767225600000000002","three"]]}'
        b'],"stats":{}}}\n'
    )


def test_categories_are_a_third_element():
    categories = Categories(
        structured_metadata=((("trace", "x"),), ()),
        structured_metadata_index=np.array([0, 1]),
        parsed=((), (("k", "v"),)),
        parsed_index=np.array([0, 0]),
    )

    shown = json.loads(encode_result(streams(["a", "b"], categories=categories), {}))

    assert shown["data"]["encodingFlags"] == ["categorize-labels"]
    assert [value[2] for value in shown["data"]["result"][0]["values"]] == [
        {"structuredMetadata": {"trace": "x"}},
        {},
    ]


def test_empty_result_is_an_empty_list():
    body = encode_result(streams([], labels=(), offsets=[0]), {})

    assert b'"result":[]' in body


def test_markup_and_line_separators_are_escaped():
    body = encode_json({"<a>": "b & c\u2028\u2029"})

    assert body == b'{"\\u003ca\\u003e":"b \\u0026 c\\u2028\\u2029"}'


def test_matrix_leaves_absent_points_out():
    matrix = Matrix(
        labels=[(), (("a", "b"),)],
        timestamp_ns=np.array([1 * S, 2 * S, 3 * S]),
        values=np.array([[1.0, 2.5, 3.0], [4.0, 5.0, 6.0]]),
        present=np.array([[True, True, False], [False, False, True]]),
    )

    shown = json.loads(encode_result(matrix, {}))

    assert shown["data"]["result"] == [
        {"metric": {}, "values": [[1, "1"], [2, "2.5"]]},
        {"metric": {"a": "b"}, "values": [[3, "6"]]},
    ]


def test_vector_and_scalar_are_at_seconds_with_millisecond_fraction():
    vector = Vector([(("a", "b"),)], 1_767_227_399_999 * 1_000_000, np.array([2.0]))
    scalar = Scalar(1_767_227_400 * S, 2.0)

    assert b'"value":[1767227399.999,"2"]' in encode_result(vector, {})
    assert b'"result":[1767227400,"2"]' in encode_result(scalar, {})


def test_warnings_stand_beside_the_data():
    body = encode_result(streams(["a"]), {}, ("careful",))

    assert json.loads(body)["warnings"] == ["careful"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (60.0, "60"),
        (0.5, "0.5"),
        (-0.0, "-0"),
        (1e21, "1000000000000000000000"),
        (16400152899115245000000000000.0, "16400152899115245000000000000"),
        (1e-7, "0.0000001"),
        (1e15 + 0.125, "1000000000000000.1"),
        (9007199254740993.0, "9007199254740992"),
        (float("nan"), "NaN"),
        (float("inf"), "+Inf"),
        (float("-inf"), "-Inf"),
    ],
)
def test_numbers_have_no_exponent_and_the_fewest_digits(value, text):
    assert texts_of(np.array([value])) == [text]
    assert texts_of(np.array([value, 0.1])) == [text, "0.1"]
    assert texts_of(np.array([value, 0.1, -0.0] * 700)) == [text, "0.1", "-0"] * 700


def test_seconds_are_whole_where_they_can_be():
    assert seconds_of(np.array([S, 2 * S])) == [1, 2]
    assert seconds_of(np.array([S, 1_500_000_000])) == [1, 1.5]


def test_no_names_leave_the_data_out():
    assert encode_names([]) == b'{"status":"success"}\n'
    assert encode_names(["a"]) == b'{"status":"success","data":["a"]}\n'


def test_series_are_label_sets():
    body = encode_series([LabelSet.of({"a": "1"})])

    assert body == b'{"status":"success","data":[{"a":"1"}]}\n'
    assert encode_series([]) == b'{"status":"success","data":[]}\n'


def test_stats_tell_what_was_read():
    read = ReadStats(head_rows=3, head_bytes=30, block_rows=7, block_bytes=70)
    cost = QueryCost(read=read, exec_ns=S // 2, rows_kept=4, rows_returned=2)

    stats = stats_of(cost)

    assert stats["summary"]["totalLinesProcessed"] == 10
    assert stats["summary"]["totalBytesProcessed"] == 100
    assert stats["summary"]["linesProcessedPerSecond"] == 20
    assert stats["summary"]["totalEntriesReturned"] == 2
    assert stats["summary"]["totalPostFilterLines"] == 4
    assert stats["ingester"]["store"]["chunk"]["headChunkLines"] == 3
    assert stats["querier"]["store"]["chunk"]["decompressedLines"] == 7
    loki_s = {"summary", "querier", "ingester", "cache", "index"}
    assert set(stats) == loki_s | {"skipped"}


def test_stats_tell_what_was_skipped_and_why():
    """Each reason has a figure of its own."""
    read = ReadStats(
        units_read=1,
        units_timed=2,
        units_repeated=3,
        units_unneeded=4,
        blocks_searched=9,
        blocks_without=8,
    )
    skipped = Skipped(outside_time=5, other_streams=6, held_locally=7, other_replicas=8)

    stats = stats_of(QueryCost(read=read, skipped=skipped))

    assert stats["skipped"] == {
        "chunks": {
            "outsideTime": 5,
            "otherStreams": 6,
            "heldLocally": 7,
            "otherReplicas": 8,
        },
        "units": {"read": 1, "timesOnly": 2, "repeated": 3, "limitReached": 4},
        "blocks": {"searched": 9, "withoutText": 8},
    }
