"""Packs: Parquet that anyone reads, and that we read only after checking it."""

import hashlib
import io

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fakes.attack import assert_cuts_are_noticed
from fakes.entry_batches import batch_of, entry_rows, rows_of
from hypothesis import given, settings
from hypothesis import strategies as st

from loki_py.chunks import pack_format, pack_writer
from loki_py.chunks.pack_reader import Pack, PackFooter
from loki_py.chunks.pack_writer import PackWriter
from loki_py.chunks.sorting import sort_and_deduplicate
from loki_py.errors import BadMagic, CorruptData, TruncatedData, UnknownVersion
from loki_py.model.batch import METADATA_COLUMNS_MAX
from loki_py.model.canonical import labels_of_canonical
from loki_py.model.chunk_refs import CHUNK_COLUMNS
from loki_py.model.scan import Columns

A, B = {"app": "a"}, {"app": "b"}
ALL_TIME = {"start_ns": -(2**63), "end_ns": 2**63}
NO_METADATA = frozenset()


def written(*batches, names=None, **options):
    """Return the bytes and the summary of a pack of these batches."""
    sink = io.BytesIO()
    every = dict.fromkeys(name for batch in batches for name in batch.metadata)
    options.setdefault("has_rest", any(b.metadata_rest is not None for b in batches))
    writer = PackWriter(
        sink,
        tenant="t",
        writer="ingester-0",
        metadata_names=list(every) if names is None else names,
        **options,
    )
    for batch in batches:
        writer.append(batch)
    summary = writer.close()
    return sink.getvalue(), summary


def opened(data):
    return Pack.open(pa.py_buffer(data))


def parts_of(pack, chunks=None, **time):
    chunks = pack.footer.chunks if chunks is None else chunks
    streams = [labels_of_canonical(text) for text in chunks["labels"]]
    parts = pack.footer.select(
        np.arange(len(chunks), dtype=np.uint32),
        chunks["row_first"].to_numpy(),
        chunks["rows"].to_numpy(),
        **(time or ALL_TIME),
    )
    return parts, streams


def rows_read(pack, columns=Columns(), chunks=None, **time):  # noqa: B008
    parts, streams = parts_of(pack, chunks, **time)
    if not parts:
        return []
    return rows_of(pack.read(parts, columns, streams))


def sorted_batch(rows):
    return sort_and_deduplicate(batch_of(rows))[0]


def small_pack():
    rows = [(labels, t, f"{t} {labels}", {"trace": str(t)}) for labels in (A, B)
            for t in range(8)]  # fmt: skip
    return written(sorted_batch(rows), row_group_bytes=100)


SMALL, SMALL_SUMMARY = small_pack()


@settings(max_examples=50)
@given(entry_rows, st.integers(1, 200), st.integers(1, 30))
def test_any_batch_comes_back(rows, row_group_bytes, append_rows):
    """However it is cut into appends and row groups, rows and order are the same."""
    batch = sorted_batch(rows)
    pieces = [batch.slice(i, min(i + append_rows, len(batch)))
              for i in range(0, len(batch), append_rows)]  # fmt: skip

    data, summary = written(*pieces, row_group_bytes=row_group_bytes)

    assert rows_read(opened(data)) == rows_of(batch)
    assert summary.rows == len(batch)
    assert summary.line_bytes == int(batch.line_bytes().sum())
    assert summary.object_bytes == len(data)
    assert summary.sha256 == hashlib.sha256(data).hexdigest()


@settings(max_examples=50)
@given(entry_rows, st.integers(-1, 6), st.integers(0, 7), st.data())
def test_select_returns_exactly_the_wanted_chunks_and_time(
    rows, start_ns, length_ns, data
):
    batch = sorted_batch(rows)
    pack = opened(written(batch, row_group_bytes=40)[0])
    chunks = pack.footer.chunks
    wanted = data.draw(
        st.lists(st.booleans(), min_size=len(chunks), max_size=len(chunks))
    )
    chunks = chunks.filter(pl.Series(wanted, dtype=pl.Boolean))
    end_ns = start_ns + length_ns
    expected = [
        row
        for row in rows_of(batch)
        if start_ns <= row[1] < end_ns
        and sorted_batch([row]).streams[0].text in set(chunks["labels"])
    ]

    time = {"start_ns": start_ns, "end_ns": end_ns}

    assert rows_read(pack, chunks=chunks, **time) == expected
    parts, streams = parts_of(pack, chunks, **time)
    for part in parts:
        read = pack.read([part], Columns(), streams)
        assert len(read) <= part.rows_max
        assert int(read.line_bytes().sum()) <= part.line_bytes_max
        assert all(part.min_ns <= t <= part.max_ns for t in read.timestamp_ns)


def test_ranges_suffice_to_read():
    """Only the named ranges are fetched, after the footer alone was."""
    fetched = []

    def read(offset, length):
        fetched.append((offset, length))
        return pa.py_buffer(SMALL[offset : offset + length])

    tail = pa.py_buffer(SMALL[-SMALL_SUMMARY.footer_bytes :])
    footer = PackFooter.decode(tail, object_bytes=len(SMALL))
    pack = Pack(footer, read)
    parts, streams = parts_of(pack)

    assert pack.read(parts, Columns(), streams).line.equals(
        opened(SMALL).read(parts, Columns(), streams).line
    )
    assert fetched == footer.byte_ranges(parts, Columns())


def test_tail_shorter_than_the_footer_is_refused():
    tail = pa.py_buffer(SMALL[-SMALL_SUMMARY.footer_bytes + 1 :])

    with pytest.raises(TruncatedData):
        PackFooter.decode(tail, object_bytes=len(SMALL))


def test_only_wanted_columns_are_read():
    data, _ = written(sorted_batch([(A, 1, "x", {"trace": "7", "span": "8"})]))
    columns = Columns(line=False, metadata=frozenset({"span"}))

    assert rows_read(opened(data), columns) == [(A, 1, None, {"span": "8"}, {})]


def test_name_with_a_dot_does_not_bring_its_neighbour():
    """Parquet takes a dot for a path; the names stay what they are."""
    row = (A, 1, "x", {"http": "1", "http.code": "2"})
    pack = opened(written(batch_of([row]))[0])

    assert rows_read(pack)[0][3] == row[3]
    assert rows_read(pack, Columns(metadata=frozenset({"http"})))[0][3] == {"http": "1"}


def test_chunk_table_names_every_stream_once_also_across_appends():
    batch = sorted_batch([(labels, t, "x" * 30) for labels in (A, B) for t in range(9)])
    _, summary = written(batch.slice(0, 5), batch.slice(5, 18), row_group_bytes=100)

    chunks = summary.chunks

    assert dict(chunks.schema) == CHUNK_COLUMNS
    assert chunks["labels"].to_list() == [s.text for s in _in_order(batch)]
    assert chunks["row_first"].to_list() == [0, 9]
    assert chunks["rows"].to_list() == chunks["entries"].to_list() == [9, 9]
    assert chunks["bytes"].to_list() == [270, 270]
    assert chunks["from"].to_list() == [0, 0]
    assert chunks["through"].to_list() == [8, 8]


def test_chunk_table_of_the_pack_is_the_one_of_the_summary():
    """An index can be rebuilt from packs alone."""
    assert opened(SMALL).footer.chunks.equals(SMALL_SUMMARY.chunks)


def test_row_groups_of_a_chunk_hold_its_rows():
    groups = opened(SMALL).footer.row_groups["rows"].to_numpy()
    ends = np.cumsum(groups)

    for chunk in SMALL_SUMMARY.chunks.iter_rows(named=True):
        first = chunk["row_group_first"]
        last = first + chunk["row_groups"] - 1
        assert ends[first] - groups[first] <= chunk["row_first"] < ends[first]
        assert (
            ends[last] - groups[last] < chunk["row_first"] + chunk["rows"] <= ends[last]
        )


def test_row_groups_end_with_a_stream_where_one_ends_nearby():
    rows = [(A, t, "x" * 11) for t in range(10)] + [(B, t, "x" * 11) for t in range(10)]
    data, _ = written(sorted_batch(rows), row_group_bytes=100)

    assert opened(data).footer.row_groups["rows"].to_list() == [10, 10]


def test_row_groups_have_a_row_limit(monkeypatch):
    monkeypatch.setattr(pack_writer, "ROW_GROUP_ROWS_MAX", 3)
    data, _ = written(sorted_batch([(A, t, "") for t in range(8)]))

    assert opened(data).footer.row_groups["rows"].to_list() == [3, 3, 2]


def test_names_beyond_the_columns_move_to_the_map():
    metadata = {f"name{i:03}": str(i) for i in range(METADATA_COLUMNS_MAX + 1)}
    pack = opened(written(batch_of([(A, 1, "x", metadata)]))[0])

    [row] = rows_read(pack)

    assert {**row[3], **row[4]} == metadata
    assert list(row[4]) == [f"name{METADATA_COLUMNS_MAX:03}"]


def test_metadata_with_few_values_gets_a_dictionary_and_ids_do_not():
    rows = [(A, t, "x", {"level": "info", "trace": f"{t:032x}"}) for t in range(50)]
    data, _ = written(sorted_batch(rows))
    group = pq.read_metadata(io.BytesIO(data)).row_group(0)
    encodings = {group.column(i).path_in_schema: group.column(i).encodings
                 for i in range(group.num_columns)}  # fmt: skip

    assert "RLE_DICTIONARY" in encodings["md:level"]
    assert "RLE_DICTIONARY" not in encodings["md:trace"]
    assert "DELTA_BINARY_PACKED" in encodings["timestamp"]


def test_pack_without_entries_is_whole():
    pack = opened(written()[0])

    assert pack.footer.rows == 0
    assert len(pack.footer.chunks) == 0
    assert rows_read(pack) == []


def test_polars_reads_a_pack_as_it_is():
    """The promise of the bucket: plain Parquet, without us."""
    frame = pl.read_parquet(io.BytesIO(SMALL))

    assert frame.schema["timestamp"] == pl.Datetime("ns", "UTC")
    assert frame["line"].to_list() == [row[2] for row in rows_read(opened(SMALL))]
    assert frame["md:trace"].to_list() == [str(t) for t in range(8)] * 2
    assert set(frame["labels"].cast(pl.String)) == {'{app="a"}', '{app="b"}'}
    assert frame["stream"].n_unique() == 2


def test_pyarrow_reads_a_pack_with_its_page_checksums():
    table = pq.read_table(io.BytesIO(SMALL), page_checksum_verification=True)

    assert table.num_rows == 16


def test_pack_cut_anywhere_is_refused():
    assert_cuts_are_noticed(SMALL, opened, CorruptData)


def test_cut_tail_is_refused_whatever_the_size_says():
    for length in range(len(SMALL)):
        with pytest.raises(CorruptData):
            PackFooter.decode(pa.py_buffer(SMALL[:length]), object_bytes=len(SMALL))


def test_other_format_is_refused():
    with pytest.raises(BadMagic):
        opened(b"LOKI" + SMALL[4:])


def test_parquet_of_others_is_refused():
    sink = io.BytesIO()
    pq.write_table(pa.table({"line": ["x"]}), sink)

    with pytest.raises(CorruptData):
        opened(sink.getvalue())


def test_unknown_version_is_refused(monkeypatch):
    monkeypatch.setattr(pack_format, "FORMAT_VERSION", 2)
    data, _ = written(batch_of([(A, 1, "x")]))
    monkeypatch.setattr(pack_format, "FORMAT_VERSION", 1)

    with pytest.raises(UnknownVersion, match="version 2; known is 1"):
        opened(data)


def test_flipped_bit_of_the_footer_refuses_the_pack(nightly):
    start = len(SMALL) - SMALL_SUMMARY.footer_bytes
    for position in range(start, len(SMALL)):
        for bit in range(8) if nightly else (position % 8,):
            changed = bytearray(SMALL)
            changed[position] ^= 1 << bit
            with pytest.raises(CorruptData):
                opened(bytes(changed))


def test_flipped_bit_of_a_row_group_refuses_it_and_serves_the_others(nightly):
    whole = opened(SMALL)
    parts, streams = parts_of(whole)
    expected = [rows_of(whole.read([part], Columns(), streams)) for part in parts]
    end = len(SMALL) - SMALL_SUMMARY.footer_bytes
    for position in range(4, end, 1 if nightly else 11):
        changed = bytearray(SMALL)
        changed[position] ^= 1 << position % 8
        pack = opened(bytes(changed))
        served = []
        for part in parts:
            try:
                served.append(rows_of(pack.read([part], Columns(), streams)))
            except CorruptData:
                served.append(None)
        refused = [i for i, rows in enumerate(served) if rows is None]
        assert len(refused) <= 1, f"flip in byte {position}"
        # Columns that batches do not need (stream, labels) may have changed.
        assert [r for r in served if r is not None] == [
            r for i, r in enumerate(expected) if i not in refused
        ]


def test_chunk_beyond_the_pack_is_refused():
    pack = opened(SMALL)

    with pytest.raises(CorruptData, match="row 99 of 16"):
        pack.footer.select(
            np.array([0], np.uint32), np.array([90]), np.array([9]), **ALL_TIME
        )


def test_writer_thrown_away_after_an_error_writes_nothing_more():
    """Its Parquet writer closes itself when it is collected, into nothing."""
    sink = io.BytesIO()
    writer = PackWriter(sink, tenant="t", writer="w", metadata_names=[],
                        row_group_bytes=1)  # fmt: skip
    writer.append(batch_of([(A, 1, "x")]))
    size = len(sink.getvalue())

    del writer

    assert len(sink.getvalue()) == size


def _in_order(batch):
    return [batch.streams[s] for s in dict.fromkeys(batch.stream.tolist())]


def test_entry_longer_than_a_row_group_is_a_row_group():
    rows = [(A, 1, "x" * 3_000_000, {"trace": "y" * 200_000}), (A, 2, "")]
    pack = opened(written(sorted_batch(rows))[0])

    assert [row[2:4] for row in rows_read(pack)] == [(rows[0][2], rows[0][3]), ("", {})]
    assert pack.footer.row_groups["rows"].to_list() == [1, 1]
