"""docs/formats/wal.md: the bytes printed there are those that we write and read."""

import numpy as np
import pyarrow as pa
from fakes.format_pages import hex_example

from loki_py.model.batch import EntryBatch
from loki_py.model.labels import LabelSet
from loki_py.wal.records import encode_entries, encode_series
from loki_py.wal.segment import (
    SEGMENT_HEADER_BYTES,
    SegmentHeader,
    decode,
    decode_header,
    encode_header,
    encode_record,
    iter_records_or_damage,
)

HEADER = SegmentHeader(number=1, seed=0x01020304, ingester="ingester-0")
API = LabelSet.of({"app": "api"})
NOW_NS = 1_700_000_000_000_000_000


def bytes_of(buffers):
    return b"".join(bytes(memoryview(buffer)) for buffer in buffers)


def test_series_example_is_what_the_writer_makes():
    record = encode_series("acme", [(0, API)])
    written = encode_header(HEADER) + bytes_of(encode_record(record, HEADER))

    assert written == hex_example("wal.md", "wal-series")


def test_series_example_is_read():
    example = hex_example("wal.md", "wal-series")
    records = [decode(frame) for frame in iter_records_or_damage(example)]

    assert decode_header(example) == HEADER
    assert records == [("acme", [(0, API)])] * 2


def test_entries_example_is_read():
    segment = encode_header(HEADER) + hex_example("wal.md", "wal-entries")
    (frame,) = iter_records_or_damage(segment)
    entries = decode(frame)

    assert frame.offset == SEGMENT_HEADER_BYTES
    assert entries.tenant == "acme"
    assert entries.ref.tolist() == [0]
    assert entries.timestamp_ns.tolist() == [NOW_NS]
    assert entries.line.to_pylist() == ["hi"]


def test_entries_example_is_what_the_writer_makes():
    """Up to Arrow's own metadata, whose bytes are pyarrow's to choose."""
    batch = EntryBatch(
        (API,),
        np.array([0], np.uint32),
        np.array([NOW_NS], np.int64),
        pa.array(["hi"], pa.large_string()),
    )
    example = hex_example("wal.md", "wal-entries")
    head, message = encode_entries("acme", batch.stream, batch).payload

    assert example[16 : 16 + len(head)] == head
    assert example[-40:] == message.to_pybytes()[-40:]
