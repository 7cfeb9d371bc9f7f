"""Inspecting a WAL segment: records, torn tails, damage, what is no segment."""

import numpy as np
import pyarrow as pa
import pytest

from loki_py.app.inspect_wal import wal_rows
from loki_py.errors import CorruptData
from loki_py.model.batch import EntryBatch
from loki_py.model.labels import LabelSet
from loki_py.wal.records import encode_entries, encode_series
from loki_py.wal.segment import SegmentHeader, encode_header, encode_record

T = 1_767_225_600_000_000_000
STREAM = LabelSet.of({"app": "a"})
HEADER = SegmentHeader(number=7, seed=5, ingester="i-1")


def segment():
    batch = EntryBatch(
        [STREAM],
        np.zeros(2, np.uint32),
        np.array([T, T + 1]),
        pa.array(["one", "two"], pa.large_string()),
    )
    records = [
        encode_series("t1", [(3, STREAM)]),
        encode_entries("t1", np.array([3, 3], np.uint32), batch),
    ]
    pieces = [piece for record in records for piece in encode_record(record, HEADER)]
    return encode_header(HEADER) + b"".join(bytes(piece) for piece in pieces)


def rows(data):
    return list(wal_rows(pa.py_buffer(data)))


def test_header_and_records_are_told():
    told = [(row["kind"], row["detail"]) for row in rows(segment())]

    assert told[0] == ("header", "segment 7 of i-1")
    assert ("series", 't1 3={app="a"}') in told
    assert told[-1] == (
        "entries",
        "t1 2 entries 2026-01-01T00:00:00Z to 2026-01-01T00:00:00.000000001Z",
    )


def test_torn_tail_is_told_after_the_good_records():
    told = [row["kind"] for row in rows(segment()[:-1])]

    assert told[-1] == "torn"
    assert "series" in told


def test_changed_byte_is_told_with_its_place():
    data = bytearray(segment())
    data[-5] ^= 1

    last = rows(bytes(data))[-1]

    assert last["kind"] == "damaged"
    assert last["bytes"] > 0


def test_what_is_no_segment_is_refused():
    with pytest.raises(CorruptData):
        rows(b"no segment" * 100)
