"""Replay: what is whole comes back, what is not is told and set aside."""

import pytest
from fakes.attack import byte_flips, cuts
from fakes.entry_batches import batch_of

from loki_py.encoding.framing import encode_frame
from loki_py.errors import UnknownVersion
from loki_py.model.labels import LabelSet
from loki_py.wal.records import (
    EntriesRecord,
    RecordKind,
    SeriesRecord,
    encode_entries,
    encode_series,
)
from loki_py.wal.replay import QUARANTINE_FOLDER, ReplayStats, replay
from loki_py.wal.segment import (
    SEGMENT_HEADER_BYTES,
    SegmentHeader,
    encode_header,
    encode_record,
)
from loki_py.wal.segment_file import segment_path

APP = LabelSet.of({"app": "a"})


def some(changes):
    """Return every 23rd: each costs fsyncs; `wal.segment` is tested with all."""
    return list(changes)[::23]


def segment_of(number, *lines):
    """Return the bytes of a segment, and where each line's record begins."""
    header = SegmentHeader(number, seed=1000, ingester="ingester-0")
    data = encode_header(header)
    starts = []
    records = [encode_series("t", [(0, APP)])]
    for line in lines:
        batch = batch_of([({"app": "a"}, 1, line)])
        records.append(encode_entries("t", batch.stream, batch))
    for record in records:
        starts.append(len(data))
        buffers = encode_record(record, header)
        data += b"".join(bytes(memoryview(buffer)) for buffer in buffers)
    return data, starts[1:]


def replayed(folder):
    """Return ([(segment, line)], stats), all entries behind their series."""
    stats = ReplayStats()
    known, lines = set(), []
    for number, record in replay(folder, stats):
        if isinstance(record, SeriesRecord):
            known |= {(number, ref) for ref, _ in record.series}
        else:
            assert isinstance(record, EntriesRecord)
            assert known >= {(number, ref) for ref in record.ref.tolist()}
            lines += [(number, line) for line in record.line.to_pylist()]
    return lines, stats


def test_segments_come_back_in_the_order_of_their_numbers(tmp_path):
    for number in (10, 9, 123456789012):
        data, _ = segment_of(number, f"in {number}")
        segment_path(tmp_path, number).write_bytes(data)
    (tmp_path / "notes.txt").write_bytes(b"not a segment")
    lines, stats = replayed(tmp_path)

    assert [number for number, _ in lines] == [9, 10, 123456789012]
    assert (stats.segments, stats.records, stats.quarantined) == (3, 6, 0)


def test_folder_without_segments_is_an_empty_log(tmp_path):
    assert replayed(tmp_path)[0] == []
    assert replayed(tmp_path / "missing")[0] == []


def test_torn_tail_is_cut_off_once(tmp_path):
    """A crash in the middle of a write costs nothing that was acknowledged."""
    data, (_, last) = segment_of(1, "kept", "torn")
    path = segment_path(tmp_path, 1)
    for length, cut in some(cuts(data, start=last + 1)):
        path.write_bytes(cut)
        lines, stats = replayed(tmp_path)
        assert lines == [(1, "kept")]
        assert (stats.torn_bytes, stats.quarantined) == (length - last, 0)
        assert path.read_bytes() == data[:last]

    assert replayed(tmp_path)[1].torn_bytes == 0
    assert not (tmp_path / QUARANTINE_FOLDER).exists()


@pytest.mark.parametrize("length", [0, 1, SEGMENT_HEADER_BYTES - 1])
def test_segment_that_was_never_finished_does_not_block_the_others(tmp_path, length):
    data, _ = segment_of(1, "never written")
    segment_path(tmp_path, 1).write_bytes(data[:length])
    segment_path(tmp_path, 2).write_bytes(segment_of(2, "next")[0])

    assert replayed(tmp_path)[0] == [(2, "next")]


def test_changed_record_is_set_aside_and_the_rest_replayed(tmp_path):
    data, (_, start, end) = segment_of(1, "before", "changed", "after")
    path = segment_path(tmp_path, 1)
    for _, changed in some(byte_flips(data, start=start, end=end)):
        path.write_bytes(changed)
        lines, stats = replayed(tmp_path)

        assert lines == [(1, "before"), (1, "after")]
        assert (stats.quarantined, stats.quarantined_bytes) == (1, end - start)
        assert stats.torn_bytes == 0
        (copy,) = (tmp_path / QUARANTINE_FOLDER).iterdir()
        assert copy.read_bytes() == changed[start:end]
        assert path.read_bytes() == changed
    assert stats.reasons == [
        f"{path}: frame at byte {start} has checksum "
        + stats.reasons[0].partition("has checksum ")[2]
    ]


def test_changed_last_record_is_damage_not_a_torn_write(tmp_path):
    """What was acknowledged once is never silently taken for unfinished."""
    data, (_, last) = segment_of(1, "kept", "changed")
    for _, changed in some(byte_flips(data, start=last)):
        segment_path(tmp_path, 1).write_bytes(changed)
        lines, stats = replayed(tmp_path)

        assert lines == [(1, "kept")]
        assert (stats.quarantined, stats.torn_bytes) == (1, 0)


def test_replaying_twice_gives_the_same_twice(tmp_path):
    data, (_, start, _) = segment_of(1, "before", "changed", "after")
    changed = bytearray(data)
    changed[start + 40] ^= 1
    segment_path(tmp_path, 1).write_bytes(changed)
    lines, stats = replayed(tmp_path)

    assert replayed(tmp_path) == (lines, stats)
    assert len(list((tmp_path / QUARANTINE_FOLDER).iterdir())) == 1


def test_payload_that_its_writer_got_wrong_is_set_aside(tmp_path):
    data, _ = segment_of(1, "kept")
    wrong = encode_frame(RecordKind.ENTRIES, [bytes(64)], seed=1000)
    segment_path(tmp_path, 1).write_bytes(data + b"".join(wrong))
    lines, stats = replayed(tmp_path)

    assert lines == [(1, "kept")]
    assert "no record batch" in stats.reasons[0]


def test_record_of_an_unknown_kind_stops_the_start(tmp_path):
    """A newer version wrote here; going on would lose what it acknowledged."""
    data, _ = segment_of(1, "kept")
    frame = b"".join(encode_frame(9, [b"new"], seed=1000))
    path = segment_path(tmp_path, 1)
    path.write_bytes(data + frame)

    with pytest.raises(UnknownVersion, match=rf"{path}: .* unknown kind 9"):
        replayed(tmp_path)
    assert path.read_bytes() == data + frame


def test_columns_outlive_the_deletion_of_their_segment(tmp_path):
    data, _ = segment_of(1, "kept")
    path = segment_path(tmp_path, 1)
    path.write_bytes(data)
    *_, (_, record) = replay(tmp_path, ReplayStats())
    path.unlink()

    assert record.line.to_pylist() == ["kept"]
