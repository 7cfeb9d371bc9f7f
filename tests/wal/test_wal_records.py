"""WAL records: series and entries turn into payloads and back, unchanged."""

import numpy as np
import pyarrow as pa
import pytest
from fakes.attack import assert_cuts_are_noticed
from fakes.entry_batches import batch_of, entry_rows, label_sets, rows_of, texts
from hypothesis import given
from hypothesis import strategies as st

from loki_py.errors import BodyTooLarge, CorruptData, TruncatedData
from loki_py.model.batch import EntryBatch
from loki_py.model.labels import LabelSet
from loki_py.wal import records
from loki_py.wal.records import (
    RecordKind,
    decode_entries,
    decode_series,
    encode_entries,
    encode_series,
)

refs = st.integers(0, 2**32 - 1)


def payload_of(record):
    return b"".join(bytes(memoryview(part)) for part in record.payload)


def batch_in(payload, streams):
    """Decode a payload whose refs are positions in `streams`."""
    entries = decode_entries(payload)
    return EntryBatch(
        streams,
        entries.ref,
        entries.timestamp_ns,
        entries.line,
        entries.metadata,
        entries.metadata_rest,
    )


@given(texts, st.lists(st.tuples(refs, label_sets.map(LabelSet.of)), max_size=5))
def test_series_come_back_as_they_were_written(tenant, series):
    record = encode_series(tenant, series)

    assert record.kind is RecordKind.SERIES
    assert decode_series(payload_of(record)) == (tenant, series)


@given(texts, entry_rows)
def test_entries_come_back_as_they_were_written(tenant, rows):
    batch = batch_of(rows)
    record = encode_entries(tenant, batch.stream, batch)
    payload = payload_of(record)

    assert record.kind is RecordKind.ENTRIES
    assert decode_entries(payload).tenant == tenant
    assert rows_of(batch_in(payload, batch.streams)) == rows_of(batch)


def test_part_of_a_batch_is_written_without_the_rest():
    """Sliced columns carry their own rows only, however large their buffers are."""
    whole = batch_of([({"app": "a"}, n, f"line {n}", {"t": "x"}) for n in range(1000)])
    part = whole.slice(500, 503)
    payload = payload_of(encode_entries("t", part.stream, part))

    assert rows_of(batch_in(payload, whole.streams)) == rows_of(part)
    assert len(payload) < 1000


def test_refs_with_strides_are_written():
    batch = batch_of([({"app": "a"}, 1, "x"), ({"app": "b"}, 2, "y")])
    strided = np.array([7, 0, 9, 0], np.uint32)[::2]
    entries = decode_entries(payload_of(encode_entries("t", strided, batch)))

    assert entries.ref.tolist() == [7, 9]


def test_lines_are_not_copied_out_of_the_payload():
    batch = batch_of([({"app": "a"}, 1, "x" * 1000)])
    payload = pa.py_buffer(payload_of(encode_entries("t", batch.stream, batch)))
    data = decode_entries(payload).line.buffers()[2]

    assert payload.address <= data.address < payload.address + payload.size
    assert data.address % 8 == payload.address % 8


SERIES = payload_of(encode_series("acme", [(3, LabelSet.of({"app": "a", "env": "ü"}))]))
ENTRIES_BATCH = batch_of([({"app": "a"}, 5, "line", {"trace": "1"}, {"more": "2"})])
ENTRIES = payload_of(encode_entries("acme", ENTRIES_BATCH.stream, ENTRIES_BATCH))


def test_series_payload_cut_anywhere_is_refused():
    assert_cuts_are_noticed(SERIES, decode_series, TruncatedData)


def test_entries_payload_cut_anywhere_is_refused():
    assert_cuts_are_noticed(ENTRIES, decode_entries, CorruptData)


def test_labels_that_are_no_pairs_are_refused():
    odd = bytearray(SERIES)
    odd[16] = 3  # texts of the only series

    with pytest.raises(CorruptData, match="series 3 has 3 texts, not pairs"):
        decode_series(bytes(odd))


def test_labels_that_are_not_utf8_are_refused():
    with pytest.raises(CorruptData, match="labels of series 3 are not UTF-8"):
        decode_series(SERIES.replace("ü".encode(), b"\xff\xff"))


def test_payload_without_a_record_batch_is_refused():
    with pytest.raises(CorruptData, match="no record batch"):
        decode_entries(bytes(12) + bytes(100))


def test_batch_beyond_the_maximum_is_refused(monkeypatch):
    monkeypatch.setattr(records, "RECORD_BYTES_MAX", 500)
    batch = batch_of([({"app": "a"}, 1, "x" * 500)])

    with pytest.raises(BodyTooLarge, match="limit is 500"):
        encode_entries("acme", batch.stream, batch)
