"""The old API below `/api/prom`: its shapes and what it refuses."""

import json

import numpy as np
import pyarrow as pa
import pytest

from loki_py.api.legacy import encode_legacy_result, moment_text, query_with_regexp
from loki_py.errors import RequestRejected
from loki_py.model.results import Scalar, Streams


@pytest.mark.parametrize(
    ("at_ns", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_767_225_600_000_000_001, "2026-01-01T00:00:00.000000001Z"),
        (1_767_225_600_120_000_000, "2026-01-01T00:00:00.12Z"),
    ],
)
def test_times_are_as_go_prints_them(at_ns, text):
    assert moment_text(at_ns) == text


def test_streams_have_their_labels_as_text():
    data = Streams(
        labels=[(("a", 'x"y'), ("b", "<")), (("a", "z"),)],
        offsets=np.array([0, 2, 3]),
        timestamp_ns=np.array([2_000_000_000, 1_000_000_000, 3_000_000_000]),
        line=pa.array(["two", "one", "three"], pa.large_string()),
    )

    told = encode_legacy_result(data, {"summary": {}})

    assert b"\\u003c" in told
    assert json.loads(told) == {
        "streams": [
            {
                "labels": '{a="x\\"y", b="<"}',
                "entries": [
                    {"ts": "1970-01-01T00:00:02Z", "line": "two"},
                    {"ts": "1970-01-01T00:00:01Z", "line": "one"},
                ],
            },
            {
                "labels": '{a="z"}',
                "entries": [{"ts": "1970-01-01T00:00:03Z", "line": "three"}],
            },
        ],
        "stats": {"summary": {}},
    }


def test_numbers_are_refused():
    with pytest.raises(RequestRejected, match="only support streams result type"):
        encode_legacy_result(Scalar(0, 1.0), {})


def test_a_regular_expression_is_one_more_filter():
    assert query_with_regexp('{a="b"}', "") == '{a="b"}'
    assert query_with_regexp('{a="b"}', 'x"') == '{a="b"}\n|~ "x\\""'
