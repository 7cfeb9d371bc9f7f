"""Flush records: round trip, the format page, and every changed byte."""

import re

import pytest
from fakes.format_pages import FORMATS

from loki_py.errors import CorruptData, UnknownVersion
from loki_py.ingester.flush_record import FlushRecord, decode_record, encode_record

RECORD = FlushRecord(
    ulid="01M7XPNWDXTCNT8JC1JFZFNTVA",
    tenant="fake",
    generations=(1, 2),
    packs=("fake/packs/2026-11-21/01M7XPNWDXCCTT1YKC6MFPM5V9-a.parquet",),
    flushed_ns=1_795_219_452_349_289_675,
    duplicates=0,
)
FILE = encode_record(RECORD)


def test_record_is_read_back():
    """What was written is what is read."""
    assert decode_record(FILE) == RECORD


def test_page_shows_what_the_writer_makes():
    """The example on the format page is the record above, byte for byte."""
    page = (FORMATS / "flushed.md").read_text()
    shown = re.search(r"```json flush-record\n(.*?\n)```", page, re.DOTALL)

    assert shown[1].encode() == FILE


@pytest.mark.parametrize("place", range(len(FILE) - 1))
def test_changed_byte_is_noticed(place):
    """No flipped bit goes unnoticed, wherever it is."""
    changed = bytearray(FILE)
    changed[place] ^= 0x01

    with pytest.raises(CorruptData):
        decode_record(bytes(changed))


def test_unknown_version_is_refused():
    """A record of another version is not guessed."""
    other = FlushRecord(
        **{**{f: getattr(RECORD, f) for f in RECORD.__struct_fields__}, "version": 2}
    )

    with pytest.raises(UnknownVersion):
        decode_record(encode_record(other))
