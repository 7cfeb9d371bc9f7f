"""Split the bytes of a WAL segment into records, and make its header.

Format (docs/formats/wal.md, version 1), integers little-endian:

    segment := header  header  frame*
    header  := magic:u8[8]  version:u32  seed:u32  number:u64
               ingester_bytes:u32  ingester:u8[96]  crc:u32

`crc` is the CRC-32C of the 124 bytes before it. The header stands there twice,
since without its `seed` no frame can be checked. Frames are those of
`encoding.framing` with that seed; a frame's kind is a `RecordKind`. A series
record is written as two equal frames, one behind the other: without it no entry
of its streams can be placed.

Pure: bytes in, bytes out. Files, fsync and rotation are the job of `wal.log`.

Invariants:
- A record is never split across two segments.
- Only the last record of a segment may be torn, and only where it was never
  acknowledged.
- One changed bit costs one entries record at most.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from loki_py.encoding.checksum import Buffer, crc32c
from loki_py.encoding.framing import (
    Damaged,
    Frame,
    encode_frame,
    iter_frames_or_damage,
)
from loki_py.errors import (
    BadChecksum,
    BadMagic,
    CorruptData,
    TruncatedData,
    UnknownVersion,
)
from loki_py.wal.records import (
    EntriesRecord,
    Record,
    RecordKind,
    SeriesRecord,
    decode_entries,
    decode_series,
)

SEGMENT_MAGIC = b"lokiwal\n"
SEGMENT_VERSION = 1
INGESTER_BYTES_MAX = 96

_HEADER = struct.Struct("<8sIIQI96s")
_CRC = struct.Struct("<I")
_COPY_BYTES = _HEADER.size + _CRC.size
_COPIES = 2
SEGMENT_HEADER_BYTES = _COPIES * _COPY_BYTES

_FRAMES_PER_RECORD = {RecordKind.SERIES: 2, RecordKind.ENTRIES: 1}
_DECODERS: dict[int, Callable[[Buffer], SeriesRecord | EntriesRecord]] = {
    RecordKind.SERIES: decode_series,
    RecordKind.ENTRIES: decode_entries,
}


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """What a segment says about itself.

    Attributes:
        number: segments are replayed in the order of their numbers.
        seed: random per segment; checksums of frame headers continue from it.
        ingester: who wrote it, for people; cut to INGESTER_BYTES_MAX bytes.
    """

    number: int
    seed: int
    ingester: str


def encode_header(header: SegmentHeader) -> bytes:
    """Return the first SEGMENT_HEADER_BYTES bytes of a segment."""
    ingester = header.ingester.encode()[:INGESTER_BYTES_MAX]
    raw = _HEADER.pack(
        SEGMENT_MAGIC,
        SEGMENT_VERSION,
        header.seed,
        header.number,
        len(ingester),
        ingester,
    )
    return (raw + _CRC.pack(crc32c(raw))) * _COPIES


def decode_header(buffer: Buffer) -> SegmentHeader:
    """Return the header, from the first of its copies that is whole.

    Raises:
        TruncatedData: the bytes end inside the header, so no record follows.
        BadMagic, BadChecksum: both copies changed.
        UnknownVersion: the segment is of another version.
    """
    if len(buffer) < SEGMENT_HEADER_BYTES:
        raise TruncatedData(
            f"segment header wants {SEGMENT_HEADER_BYTES} bytes, {len(buffer)} remain"
        )
    try:
        return _decode_copy(buffer, 0)
    except (BadMagic, BadChecksum):
        return _decode_copy(buffer, _COPY_BYTES)


def encode_record(record: Record, header: SegmentHeader) -> list[Buffer]:
    """Return the buffers that append the record to the segment of the header."""
    frame = encode_frame(record.kind, record.payload, seed=header.seed)
    return frame * _FRAMES_PER_RECORD[record.kind]


def iter_records_or_damage(buffer: Buffer) -> Iterator[Frame | Damaged]:
    """Yield the good frames of a segment and the spans that are none.

    `decode` tells what is in a frame.

    A segment that ends inside its header is one torn span: it never had a
    record. One whose header copies both changed is one damaged span.

    Raises: UnknownVersion: versions are never guessed.
    """
    buffer = pa.py_buffer(buffer)
    try:
        header = decode_header(buffer)
    except UnknownVersion:
        raise
    except CorruptData as error:
        torn = isinstance(error, TruncatedData)
        yield Damaged(0, len(buffer), str(error), torn)
        return
    for start in range(0, SEGMENT_HEADER_BYTES, _COPY_BYTES):
        try:
            _decode_copy(buffer, start)
        except CorruptData as error:
            yield Damaged(start, start + _COPY_BYTES, str(error), torn=False)
    yield from iter_frames_or_damage(
        buffer, offset=SEGMENT_HEADER_BYTES, seed=header.seed
    )


def decode(frame: Frame) -> SeriesRecord | EntriesRecord:
    """Return what is in a record.

    Raises:
        UnknownVersion: the record is of a kind that this version does not know.
        CorruptData: the payload is not of its kind's format.
    """
    decoder = _DECODERS.get(frame.kind)
    if decoder is None:
        raise UnknownVersion(
            f"record at byte {frame.offset} is of unknown kind {frame.kind}"
        )
    return decoder(frame.payload)


def _decode_copy(buffer: Buffer, start: int) -> SegmentHeader:
    raw = bytes(memoryview(buffer)[start : start + _COPY_BYTES])
    magic, version, seed, number, ingester_bytes, ingester = _HEADER.unpack_from(raw)
    if magic != SEGMENT_MAGIC:
        raise BadMagic(f"segment begins with {magic!r}, not {SEGMENT_MAGIC!r}")
    found, wanted = crc32c(raw[: _HEADER.size]), _CRC.unpack_from(raw, _HEADER.size)[0]
    if found != wanted:
        raise BadChecksum(
            f"segment header at byte {start} has checksum {found:08x}, not {wanted:08x}"
        )
    if version != SEGMENT_VERSION:
        raise UnknownVersion(f"segment is of version {version}, not {SEGMENT_VERSION}")
    name = ingester[:ingester_bytes].decode(errors="replace")
    return SegmentHeader(number, seed, name)
