"""Block files: what is written is read, by parts, and damage stays in its block."""

import numpy as np
import pyarrow as pa
import pytest
from fakes.attack import assert_cuts_are_noticed
from fakes.entry_batches import batch_of, entry_rows, rows_of
from hypothesis import given
from hypothesis import strategies as st

from loki_py.chunks import blocks, line_checks
from loki_py.chunks.block_reader import BlockFile
from loki_py.chunks.block_writer import encode_block_file
from loki_py.chunks.blocks import BlockFileHeader
from loki_py.chunks.sorting import sort_and_deduplicate
from loki_py.errors import (
    BadChecksum,
    BadMagic,
    CorruptData,
    TruncatedData,
    UnknownVersion,
)
from loki_py.model.batch import METADATA_COLUMNS_MAX
from loki_py.model.scan import Columns

HEADER = BlockFileHeader("ingester-0", generation=7, segment_max=42)
A, B = {"app": "a"}, {"app": "b"}
NO_METADATA = frozenset()
ALL_TIME = {"start_ns": -(2**63), "end_ns": 2**63}


def encoded(batches, **options):
    ordered = [(tenant, sort_and_deduplicate(b)[0]) for tenant, b in batches]
    return b"".join(bytes(b) for b in encode_block_file(HEADER, ordered, **options))


def opened(data):
    return BlockFile.open(pa.py_buffer(data))


def rows_read(file, tenant, columns=Columns(), wanted=None, **time):  # noqa: B008
    parts = file.select(tenant, wanted, **(time or ALL_TIME))
    return [row for part in parts for row in rows_of(file.read(part, columns))]


def small_file():
    rows = [(labels, t, f"{t} {labels}", {"trace": str(t)}) for labels in (A, B)
            for t in range(6)]  # fmt: skip
    return encoded([("t1", batch_of(rows)), ("t2", batch_of(rows[:2]))], block_bytes=80)


SMALL = small_file()


@given(st.lists(entry_rows, max_size=3), st.integers(1, 60))
def test_any_batches_come_back(parts, block_bytes):
    """Whatever the blocks, each tenant reads what was written, in order."""
    batches = [(f"tenant-{i}", batch_of(rows)) for i, rows in enumerate(parts)]

    file = opened(encoded(batches, block_bytes=block_bytes))

    assert file.header == HEADER
    assert file.tenants == tuple(t for t, batch in batches if len(batch))
    for tenant, batch in batches:
        assert rows_read(file, tenant) == rows_of(sort_and_deduplicate(batch)[0])


@given(entry_rows, st.integers(1, 60), st.integers(-1, 6), st.integers(0, 7), st.data())
def test_select_returns_exactly_the_wanted_streams_and_time(
    rows, block_bytes, start_ns, length_ns, data
):
    file = opened(encoded([("t", batch_of(rows))], block_bytes=block_bytes))
    streams = file.streams("t")
    wanted = np.array(data.draw(st.lists(st.booleans(), min_size=len(streams),
                      max_size=len(streams))), dtype=np.bool_)  # fmt: skip
    end_ns = start_ns + length_ns
    expected = [
        row
        for row in rows_read(file, "t")
        if start_ns <= row[1] < end_ns
        and wanted[[dict(s.pairs) for s in streams].index(row[0])]
    ]

    parts = file.select("t", wanted, start_ns=start_ns, end_ns=end_ns)
    batches = [file.read(part, Columns()) for part in parts]

    assert [row for batch in batches for row in rows_of(batch)] == expected
    for part, batch in zip(parts, batches, strict=True):
        assert len(batch) <= part.rows_max
        assert part.is_cut or len(batch) == part.rows_max
        assert all(part.min_ns <= t <= part.max_ns for t in batch.timestamp_ns)
        assert batch.streams is streams


def test_lines_are_not_copied():
    """A whole block is read where it lies."""
    buffer = pa.py_buffer(encoded([("t", batch_of([(A, 1, "x"), (B, 1, "y")]))]))
    file = BlockFile.open(buffer)

    [part] = file.select("t", None, **ALL_TIME)
    batch = file.read(part, Columns())

    for address in (batch.line.buffers()[2].address, batch.timestamp_ns.ctypes.data):
        assert buffer.address <= address < buffer.address + buffer.size


def test_columns_that_are_not_wanted_are_not_read():
    """A flip in the lines does not disturb who reads times and metadata."""
    data = encoded([("t", batch_of([(A, 1, "needle", {"trace": "7", "span": "8"})]))])
    file = opened(data.replace(b"needle", b"needlE"))

    read = rows_read(file, "t", Columns(line=False, metadata=frozenset({"span"})))

    assert read == [({"app": "a"}, 1, None, {"span": "8"}, {})]
    with pytest.raises(BadChecksum):
        rows_read(file, "t", Columns(metadata=NO_METADATA))


def test_metadata_beyond_the_columns_comes_back_in_the_map():
    rest = {f"name{i}": str(i) for i in range(METADATA_COLUMNS_MAX)}
    rows = [(A, 1, "x", {"trace": "1"}, rest), (A, 2, "y")]

    file = opened(encoded([("t", batch_of(rows))]))

    assert [row[4] for row in rows_read(file, "t")] == [rest, {}]
    assert file.has_rest("t")
    assert file.metadata_names("t") == ["trace"]


def test_blocks_are_cut_by_bytes_and_by_rows(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_ROWS_MAX", 3)
    rows = [(A, t, "") for t in range(7)] + [(B, t, "x" * 50) for t in range(3)]

    file = opened(encoded([("t", batch_of(rows))], block_bytes=100))
    parts = file.select("t", None, **ALL_TIME)

    assert max(part.rows_max for part in parts) == 3
    assert max(part.line_bytes for part in parts) <= 150
    assert file.extent("t").blocks == len(parts)


def test_extent_adds_up():
    extent = opened(SMALL).extent("t1")

    assert (extent.streams, extent.rows) == (2, 12)
    assert (extent.min_ns, extent.max_ns) == (0, 5)
    assert extent.line_bytes == sum(len(f"{t} {A}") for t in range(6)) * 2
    assert extent.metadata_bytes == 12 * len("trace0")


def test_runs_bound_each_stream():
    runs = opened(SMALL).stream_runs("t1")

    assert set(runs.stream.tolist()) == {0, 1}
    assert runs.min_ns.min() == 0
    assert runs.max_ns.max() == 5


def test_unknown_tenant_has_nothing():
    file = opened(SMALL)

    assert file.select("nobody", None, **ALL_TIME) == ()
    assert file.streams("nobody") == ()


def test_file_without_entries_is_whole():
    assert opened(encoded([])).tenants == ()


def test_file_cut_anywhere_is_refused():
    assert_cuts_are_noticed(SMALL, opened, TruncatedData)


def test_longer_file_is_refused():
    with pytest.raises(TruncatedData):
        opened(SMALL + bytes(8))


def test_unknown_version_is_refused():
    preamble = blocks._PREAMBLE.pack(blocks.MAGIC, 3)
    crc = blocks._U32.pack(blocks.crc32c(preamble))

    with pytest.raises(UnknownVersion, match="version 3; known are 1 and 2"):
        opened(preamble + crc + SMALL[blocks.PREAMBLE_BYTES :])


def test_other_format_is_refused():
    with pytest.raises(BadMagic):
        opened(b"PAR1" * 4 + SMALL[blocks.PREAMBLE_BYTES :])


def test_section_of_another_file_is_refused():
    """Frames carry their file's seed: an old file's bytes are not this one's."""
    other = b"".join(
        bytes(b)
        for b in encode_block_file(
            BlockFileHeader("ingester-1", generation=7, segment_max=42),
            [("t1", sort_and_deduplicate(batch_of([(A, 1, "x")]))[0])],
        )
    )
    start = SMALL.index(b"ingester-0") + 16
    mixed = SMALL[:start] + other[start : start + 64] + SMALL[start + 64 :]

    with pytest.raises(BadChecksum):
        rows_read(opened(mixed), "t1")


def test_flipped_bit_is_noticed_and_other_blocks_are_served(nightly):
    """Wherever the bit, the file or one block is refused; nothing wrong is read."""
    whole = opened(SMALL)
    expected = [rows_of(batch) for batch in _readable(whole)]
    for position in range(0, len(SMALL), 1 if nightly else 5):
        for bit in range(8) if nightly else (position // 5 % 8,):
            changed = bytearray(SMALL)
            changed[position] ^= 1 << bit
            try:
                file = opened(bytes(changed))
            except CorruptData:
                continue
            served = [rows_of(batch) for batch in _readable(file)]
            lost = [rows for rows in expected if rows not in served]
            assert len(lost) == 1, f"flip in byte {position}"
            assert [rows for rows in expected if rows in served] == served


def test_flipped_bit_of_header_footer_or_trailer_refuses_the_file(nightly):
    footer = blocks.decode_trailer(pa.py_buffer(SMALL))
    header = range(blocks.PREAMBLE_BYTES + 48)
    for position in [*header, *range(footer, len(SMALL))]:
        for bit in range(8) if nightly else (position % 8,):
            changed = bytearray(SMALL)
            changed[position] ^= 1 << bit
            with pytest.raises(CorruptData):
                opened(bytes(changed))


LONG = [(A, t, f"line {t} of a") for t in range(40)] + [
    (B, t, f"b's line {t}") for t in range(40)
]


def file_of_long_runs(monkeypatch):
    """A block in which each stream's lines are worth a checksum of their own."""
    monkeypatch.setattr(blocks, "RUN_CHECKED_BYTES", 1)
    monkeypatch.setattr(line_checks, "CHECK_COST_BYTES", -1000)
    return encoded([("t1", batch_of(LONG))])


def only(file, labels):
    return np.array([dict(s.pairs) == labels for s in file.streams("t1")])


def test_lines_of_other_streams_may_be_damaged(monkeypatch):
    """A few streams of a block are checked alone: what is read is right, or refused."""
    data = file_of_long_runs(monkeypatch)
    start = int(opened(data)._blocks["lines_offset"][0])
    served = dict.fromkeys("ab", 0)
    for position in range(start, blocks.decode_trailer(pa.py_buffer(data))):
        changed = bytearray(data)
        changed[position] ^= 1 << position % 8
        file = opened(bytes(changed))
        for labels in (A, B):
            try:
                found = rows_read(file, "t1", wanted=only(file, labels))
            except BadChecksum:
                continue
            assert [row[2] for row in found] == [r[2] for r in LONG if r[0] == labels]
            served[labels["app"]] += 1

    total = {a: sum(len(r[2]) for r in LONG if r[0]["app"] == a) for a in "ab"}
    assert total["b"] <= served["a"] < total["b"] + 16
    assert total["a"] <= served["b"] < total["a"] + 16


def test_damaged_line_that_is_only_searched_is_noticed(monkeypatch):
    data = bytearray(file_of_long_runs(monkeypatch))
    data[data.index(b"line 7 of a")] ^= 1
    file = opened(bytes(data))
    a, b = (file.select("t1", only(file, x), **ALL_TIME)[0] for x in (A, B))

    with pytest.raises(BadChecksum, match="lines from row"):
        file.line_runs(a)
    assert file.line_runs(b) is not None


def test_file_of_version_1_is_read(monkeypatch):
    """It has no checksums of runs: sections are compared as a whole."""
    encode = blocks.encode_footer

    def encode_without_checks(tables):
        schemas = [blocks._stored_schema(t.schema, 1) for t in tables]
        monkeypatch.setattr(blocks, "FOOTER_SCHEMAS", schemas)
        return encode([t.select(s.names) for t, s in zip(tables, schemas, strict=True)])

    with monkeypatch.context() as changed:
        changed.setattr(blocks, "VERSION", 1)
        changed.setattr(blocks, "encode_footer", encode_without_checks)
        data = file_of_long_runs(monkeypatch)
    monkeypatch.undo()
    damaged = bytearray(data)
    damaged[data.index(b"line 7 of a")] ^= 1

    file = opened(data)

    assert [row[2] for row in rows_read(file, "t1", wanted=only(file, A))] == [
        line for labels, _, line in LONG if labels == A
    ]
    with pytest.raises(BadChecksum, match="frame at byte"):
        rows_read(opened(bytes(damaged)), "t1", wanted=only(file, B))


def test_short_runs_have_no_checksums_of_their_own():
    """To compute them would cost more than it saves."""
    file = opened(encoded([("t1", batch_of(LONG))]))

    assert file._blocks["lines_head_bytes"].tolist() == [0]
    assert not file._runs["lines_crc"].any()


def _readable(file):
    for tenant in file.tenants:
        for part in file.select(tenant, None, **ALL_TIME):
            try:
                yield file.read(part, Columns())
            except BadChecksum:
                continue


def test_entry_longer_than_a_block_is_a_block():
    rows = [(A, 1, "x" * 3_000_000, {"trace": "y" * 200_000}), (A, 2, "")]

    file = opened(encoded([("t" * 150, batch_of(rows))]))

    assert [row[2:4] for row in rows_read(file, "t" * 150)] == [
        (rows[0][2], rows[0][3]),
        ("", {}),
    ]
    assert file.extent("t" * 150).blocks == 2


def test_times_that_cover_the_file_are_one_selection():
    """People ask again with a later end; the file has not changed."""
    file = opened(SMALL)

    first = file.select("t1", None, start_ns=0, end_ns=100)

    assert file.select("t1", None, start_ns=-5, end_ns=2**63) is first
    assert file.select("t1", None, start_ns=0, end_ns=3) is not first
    assert file.select("t2", None, start_ns=0, end_ns=100) is not first


def test_few_selections_are_remembered():
    file = opened(SMALL)
    first = file.select("t1", None, start_ns=0, end_ns=1)

    for mask in range(1, 4):
        wanted = np.array([mask & 1, mask & 2], np.bool_)
        for end_ns in range(2, 6):
            file.select("t1", wanted, start_ns=0, end_ns=end_ns)

    again = file.select("t1", None, start_ns=0, end_ns=1)
    assert again is not first
    assert [part.block for part in again] == [part.block for part in first]
