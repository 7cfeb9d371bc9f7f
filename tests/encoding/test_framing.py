"""Framing: every way a run of frames can be whole, torn or damaged."""

import pyarrow as pa
import pytest
from fakes.attack import (
    assert_cuts_are_noticed,
    assert_flips_are_noticed,
    bit_flips,
    cuts,
)
from hypothesis import given
from hypothesis import strategies as st

from loki_py.encoding import framing
from loki_py.encoding.framing import (
    FRAME_HEADER_BYTES,
    Damaged,
    Frame,
    decode_frame,
    encode_frame,
    find_frame,
    frame_bytes,
    iter_frames_or_damage,
)
from loki_py.errors import BadChecksum, CorruptData, TruncatedData

SEED = 0x5EED


def frames_of(*payloads, seed=SEED):
    return b"".join(
        bytes(memoryview(buffer))
        for payload in payloads
        for buffer in encode_frame(1, [payload], seed=seed)
    )


def payloads_in(data, *, seed=SEED):
    items = iter_frames_or_damage(data, seed=seed)
    return [bytes(item.payload) for item in items if isinstance(item, Frame)]


def first_of(data):
    return decode_frame(pa.py_buffer(data), 0, seed=SEED)


FIRST, SECOND, THIRD = b"the first", b"second", b"the third one"
ONE = frames_of(FIRST)
THREE = frames_of(FIRST, SECOND, THIRD)
SECOND_AT = frame_bytes(len(FIRST))
THIRD_AT = SECOND_AT + frame_bytes(len(SECOND))


@given(st.lists(st.binary(max_size=40)), st.integers(0, 2**32 - 1))
def test_frames_come_back_as_they_were_written(payloads, seed):
    data = frames_of(*payloads, seed=seed)

    assert payloads_in(data, seed=seed) == payloads
    assert len(data) == sum(frame_bytes(len(payload)) for payload in payloads)


@given(st.lists(st.binary(max_size=9), max_size=5))
def test_payload_in_pieces_is_the_payload_joined(pieces):
    buffers = encode_frame(1, pieces, seed=SEED)

    assert b"".join(map(bytes, buffers)) == frames_of(b"".join(pieces))


def test_kind_and_place_come_back():
    data = frames_of(FIRST) + b"".join(encode_frame(7, [SECOND], seed=SEED))
    last = list(iter_frames_or_damage(data, seed=SEED))[-1]

    assert (last.offset, last.kind, last.end) == (SECOND_AT, 7, THIRD_AT)


def test_payload_is_not_copied():
    """A payload of a mapped file stays in the map."""
    data = pa.py_buffer(THREE)
    frame = decode_frame(data, 0, seed=SEED)

    assert frame.payload.address == data.address + FRAME_HEADER_BYTES


@pytest.mark.parametrize("cut", range(THIRD_AT + 1, len(THREE)))
def test_torn_tail_keeps_the_frames_before_it(cut):
    *found, tail = iter_frames_or_damage(THREE[:cut], seed=SEED)

    assert [bytes(frame.payload) for frame in found] == [FIRST, SECOND]
    assert (tail.offset, tail.end, tail.torn) == (THIRD_AT, cut, True)
    assert tail.reason.endswith(f"{cut - THIRD_AT} remain")


def test_every_cut_of_a_frame_is_noticed():
    assert_cuts_are_noticed(ONE, first_of, TruncatedData)


def test_every_flipped_bit_is_noticed():
    assert_flips_are_noticed(ONE, first_of, CorruptData)


def test_frames_of_another_seed_are_no_frames():
    with pytest.raises(BadChecksum):
        decode_frame(pa.py_buffer(ONE), 0, seed=SEED + 1)
    assert payloads_in(THREE, seed=SEED + 1) == []


def test_flipped_bit_costs_its_own_frame_only():
    """Whichever bit of the second frame changes, the others are read."""
    for _, changed in bit_flips(THREE, start=SECOND_AT, end=THIRD_AT):
        items = list(iter_frames_or_damage(changed, seed=SEED))

        assert [bytes(f.payload) for f in items if isinstance(f, Frame)] == [
            FIRST,
            THIRD,
        ]
        damage = items[1]
        assert isinstance(damage, Damaged)
        assert (damage.offset, damage.end, damage.torn) == (SECOND_AT, THIRD_AT, False)


def test_spans_cover_the_bytes_for_every_cut_and_flip():
    damaged = [data for _, data in bit_flips(THREE)] + [d for _, d in cuts(THREE)]
    for data in damaged:
        position = 0
        for item in iter_frames_or_damage(data, seed=SEED):
            assert item.offset == position
            position = item.end
        assert position == len(data)


def test_cut_in_the_last_frame_is_torn_not_damaged():
    for length, data in cuts(THREE, start=THIRD_AT + 1):
        last = list(iter_frames_or_damage(data, seed=SEED))[-1]

        assert isinstance(last, Damaged)
        assert (last.offset, last.end, last.torn) == (THIRD_AT, length, True)


def test_zeros_at_the_end_are_torn():
    """A file system may lengthen a file before its bytes arrive."""
    *_, last = iter_frames_or_damage(THREE + bytes(4096), seed=SEED)

    assert last.torn


def test_garbage_at_the_end_is_damage():
    *_, last = iter_frames_or_damage(THREE + b"garbage!" * 8, seed=SEED)

    assert not last.torn


def test_flipped_header_of_the_last_frame_is_damage_not_a_torn_write():
    """An acknowledged frame that changed is never taken for an unfinished one."""
    for _, changed in bit_flips(THREE, start=THIRD_AT):
        *_, last = iter_frames_or_damage(changed, seed=SEED)

        assert not last.torn


def test_length_beyond_the_maximum_is_refused(monkeypatch):
    monkeypatch.setattr(framing, "FRAME_PAYLOAD_BYTES_MAX", len(FIRST) - 1)

    with pytest.raises(CorruptData, match="limit is 8"):
        first_of(ONE)


def test_search_finds_a_frame_behind_much_garbage(monkeypatch):
    """The search goes on behind a step, and does not stop at look-alikes."""
    monkeypatch.setattr(framing, "_SEARCH_STEP_BYTES", 64)
    alike = frames_of(b"not of this file", seed=SEED + 1)
    garbage = (alike + b"\x01\x00\x00\x00\x01\x00\x00\x00" * 5) * 20
    garbage += bytes(-len(garbage) % 8)
    data = garbage + frames_of(FIRST)

    assert find_frame(data, 0, seed=SEED) == len(garbage)
    assert find_frame(garbage, 0, seed=SEED) is None
