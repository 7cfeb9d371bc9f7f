"""Decbuf: numbers and texts come out, and nothing past the end does."""

import pytest

from loki_py.encoding.decbuf import Decbuf
from loki_py.errors import CorruptData, TruncatedData

BYTES = bytes(range(1, 33))


def test_numbers_are_little_endian():
    buf = Decbuf(BYTES)

    assert buf.u8() == 0x01
    assert buf.u16le() == 0x0302
    assert buf.u32le() == 0x07060504
    assert buf.u64le() == 0x0F0E0D0C0B0A0908
    assert buf.u32le_array(2) == (0x13121110, 0x17161514)
    assert (buf.offset, buf.remaining) == (23, 9)


@pytest.mark.parametrize(
    ("method", "width"), [("u8", 1), ("u16le", 2), ("u32le", 4), ("u64le", 8)]
)
def test_number_past_the_end_is_refused(method, width):
    for length in range(width):
        with pytest.raises(TruncatedData, match=f"{length} remain"):
            getattr(Decbuf(BYTES[:length]), method)()


@pytest.mark.parametrize("length", [5, 1 << 40])
def test_bytes_past_the_end_are_refused_before_anything_is_made(length):
    for read in (Decbuf(b"four").take, Decbuf(b"four").text):
        with pytest.raises(TruncatedData, match="4 remain"):
            read(length)
    with pytest.raises(TruncatedData):
        Decbuf(b"four").u32le_array(length)


def test_failed_read_does_not_move():
    buf = Decbuf(b"\x01\x02\x03")
    with pytest.raises(TruncatedData):
        buf.u32le()

    assert buf.u16le() == 0x0201


def test_text_that_is_not_utf8_is_corrupt():
    assert Decbuf("größe".encode()).text(7) == "größe"
    with pytest.raises(CorruptData, match="byte 0 is not UTF-8"):
        Decbuf(b"\xff").text(1)


def test_align_moves_to_the_next_multiple():
    buf = Decbuf(BYTES)
    buf.align(8)
    assert buf.offset == 0
    buf.take(3)
    buf.align(8)
    assert buf.offset == 8
    with pytest.raises(TruncatedData):
        Decbuf(b"abc", 1).align(8)
