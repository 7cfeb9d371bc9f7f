"""WAL segments: every way a segment can be whole, torn or damaged."""

import pytest
from fakes.attack import bit_flips, byte_flips, cuts
from fakes.entry_batches import batch_of

from loki_py.encoding.checksum import crc32c
from loki_py.encoding.framing import Damaged, Frame, encode_frame
from loki_py.errors import (
    BadMagic,
    UnknownVersion,
)
from loki_py.model.labels import LabelSet
from loki_py.wal.records import encode_entries, encode_series
from loki_py.wal.segment import (
    INGESTER_BYTES_MAX,
    SEGMENT_HEADER_BYTES,
    SegmentHeader,
    decode,
    decode_header,
    encode_header,
    encode_record,
    iter_records_or_damage,
)

HEADER = SegmentHeader(number=7, seed=0xC0FFEE, ingester="ingester-0")
APP = LabelSet.of({"app": "a"})


def bytes_of(buffers):
    return b"".join(bytes(memoryview(buffer)) for buffer in buffers)


def entries_of(line):
    batch = batch_of([({"app": "a"}, 1, line)])
    return bytes_of(encode_record(encode_entries("t", batch.stream, batch), HEADER))


SERIES = bytes_of(encode_record(encode_series("t", [(0, APP)]), HEADER))
FIRST, SECOND, LAST = entries_of("first"), entries_of("second"), entries_of("last")
SEGMENT = encode_header(HEADER) + SERIES + FIRST + SECOND + LAST
LAST_AT = len(SEGMENT) - len(LAST)
FIRST_AT = SEGMENT_HEADER_BYTES + len(SERIES)


def lines_in(items):
    """Return the lines of the good records, and assert that all can be placed."""
    known, lines = set(), []
    for item in items:
        if isinstance(item, Frame):
            record = decode(item)
            if hasattr(record, "series"):
                known |= {ref for ref, _ in record.series}
            else:
                assert known >= set(record.ref.tolist())
                lines += record.line.to_pylist()
    return lines


def test_header_comes_back():
    assert decode_header(SEGMENT) == HEADER


def test_long_name_of_an_ingester_is_cut():
    header = SegmentHeader(1, 2, "i" * 200)

    assert decode_header(encode_header(header)).ingester == "i" * INGESTER_BYTES_MAX


def test_records_come_back_in_order():
    assert lines_in(iter_records_or_damage(SEGMENT)) == ["first", "second", "last"]


def test_flipped_bit_of_the_last_record_leaves_the_others():
    for _, changed in bit_flips(SEGMENT, start=LAST_AT):
        *items, damage = iter_records_or_damage(changed)

        assert lines_in(items) == ["first", "second"]
        assert (damage.offset, damage.end) == (LAST_AT, len(SEGMENT))


def test_flipped_byte_costs_one_record_of_entries_at_most():
    """Header and series records are there twice; all other lines are read."""
    spans = {
        "first": (FIRST_AT, FIRST_AT + len(FIRST)),
        "second": (FIRST_AT + len(FIRST), LAST_AT),
        "last": (LAST_AT, len(SEGMENT)),
    }
    for position, changed in byte_flips(SEGMENT):
        items = list(iter_records_or_damage(changed))
        wanted = [
            line for line, (start, end) in spans.items() if not start <= position < end
        ]

        assert lines_in(items) == wanted
        damage = [item for item in items if isinstance(item, Damaged)]
        assert len(damage) == 1
        assert damage[0].offset <= position < damage[0].end
        assert not damage[0].torn


def test_cut_last_record_leaves_the_others():
    for length, cut in cuts(SEGMENT, start=LAST_AT + 1):
        *items, tail = iter_records_or_damage(cut)

        assert lines_in(items) == ["first", "second"]
        assert (tail.offset, tail.end, tail.torn) == (LAST_AT, length, True)


def test_segment_cut_in_its_header_has_no_records_and_is_torn():
    for length, cut in cuts(SEGMENT[:SEGMENT_HEADER_BYTES]):
        if length:
            assert [item.torn for item in iter_records_or_damage(cut)] == [True]
    assert list(iter_records_or_damage(SEGMENT[:SEGMENT_HEADER_BYTES])) == []


def test_both_headers_flipped_is_damage_as_a_whole():
    changed = bytearray(SEGMENT)
    changed[20] ^= 1
    changed[20 + SEGMENT_HEADER_BYTES // 2] ^= 1
    (item,) = iter_records_or_damage(bytes(changed))

    assert (item.offset, item.end, item.torn) == (0, len(SEGMENT), False)


def test_other_magic_is_refused():
    with pytest.raises(BadMagic, match="notawal"):
        decode_header(b"notawal!" * 40)


@pytest.mark.parametrize("version", [0, 2, 2**32 - 1])
def test_unknown_version_is_refused_not_guessed(version):
    raw = bytearray(encode_header(HEADER)[: SEGMENT_HEADER_BYTES // 2])
    raw[8:12] = version.to_bytes(4, "little")
    raw[-4:] = crc32c(bytes(raw[:-4])).to_bytes(4, "little")
    data = bytes(raw) * 2 + FIRST

    with pytest.raises(UnknownVersion, match=f"version {version}, not 1"):
        list(iter_records_or_damage(data))


def test_flipped_version_is_damage_not_an_unknown_version():
    for _, changed in bit_flips(SEGMENT, start=8, end=12):
        assert decode_header(changed) == HEADER


def test_unknown_kind_of_record_is_refused():
    data = encode_header(HEADER) + bytes_of(encode_frame(9, [b"x"], seed=HEADER.seed))
    (frame,) = iter_records_or_damage(data)

    with pytest.raises(UnknownVersion, match="unknown kind 9"):
        decode(frame)


def test_record_inside_a_line_is_not_taken_for_one():
    """Who does not know the segment's seed cannot smuggle a record into a line."""
    stranger = SegmentHeader(7, seed=1, ingester="")
    forged = bytes_of(encode_record(encode_series("victim", [(0, APP)]), stranger))
    changed = bytearray(encode_header(HEADER) + SERIES + b"????????" + forged + LAST)

    assert lines_in(iter_records_or_damage(bytes(changed))) == ["last"]
