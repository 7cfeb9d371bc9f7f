"""Block files: their bytes, and the header that both twins share.

Format (docs/formats/blocks.md, version 2; 1 is read too), numbers little-endian:

    file     := preamble header section* footer trailer
    preamble := magic:u8[8] version:u32le crc:u32le
    header   := frame(HEADER, seed 0) of
                generation:u64le segment_max:u64le id_bytes:u16le id:u8[id_bytes]
    section  := frame(TIMESTAMPS | METADATA | LINES, seed)
    footer   := frame(FOOTER, seed) of tenants, series, blocks, runs; each is
                length:u64le bytes:u8[length] zeros to a multiple of 8
    trailer  := footer_offset:u64le file_bytes:u64le crc:u32le magic:u32le

Frames are those of `encoding.framing`. `seed` is the CRC-32C of the header's
payload. The crc of preamble and trailer covers the bytes before it in them. A
section and each part of the footer is one Arrow record batch message without
its schema, which is fixed or, for METADATA, named in `blocks`.

A block is the rows of one tenant, about BLOCK_BYTES of lines and metadata, in
file order (`sorting`), as up to three sections, so that a reader touches only
what it needs. Which rows belong to which stream is said by `runs` alone.

Pure: writing to a temporary name, fsync, rename and mapping are the caller's.

Invariants:
- The trailer is written last: a file without a good one is torn as a whole.
- Every byte is covered by a checksum that is compared before the byte is used:
  that of its section, or, of lines, those of what stands before them and of the
  runs that are wanted.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import pyarrow as pa

from loki_py.encoding.checksum import Buffer, crc32c
from loki_py.encoding.decbuf import Decbuf
from loki_py.encoding.framing import decode_frame, encode_frame
from loki_py.errors import BadChecksum, BadMagic, TruncatedData, UnknownVersion
from loki_py.model.batch import REST_TYPE

MAGIC = b"LOKIBLK\n"
VERSION = 2
VERSION_WITHOUT_LINE_CHECKS = 1
TRAILER_MAGIC = 0x4B4C425A

BLOCK_BYTES = 1 << 20
"""Lines and metadata of a block: at least this, up to the row that passes it."""

BLOCK_ROWS_MAX = 1 << 16
"""Rows of a block, however short its lines are."""

RUN_CHECKED_BYTES = 4 << 10
"""Runs of a block have checksums where their lines have so many bytes on average."""

FRAMES_SEED_OF_HEADER = 0

_PREAMBLE = struct.Struct("<8sI")
_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")
_HEADER = struct.Struct("<QQH")
_TRAILER = struct.Struct("<QQ")
_TRAILER_END = struct.Struct("<II")
PREAMBLE_BYTES = _PREAMBLE.size + _U32.size
TRAILER_BYTES = _TRAILER.size + _TRAILER_END.size


class FrameKind(IntEnum):
    """What a frame of a block file holds; numbers are never reused."""

    HEADER = 1
    TIMESTAMPS = 2
    METADATA = 3
    LINES = 4
    FOOTER = 5


TIMESTAMPS_SCHEMA = pa.schema([pa.field("timestamp", pa.int64(), nullable=False)])
LINES_SCHEMA = pa.schema([pa.field("line", pa.large_string(), nullable=False)])
REST_FIELD = pa.field("metadata", REST_TYPE)
METADATA_PREFIX = "md:"

TENANTS_SCHEMA = pa.schema([("tenant", pa.string())])
SERIES_SCHEMA = pa.schema(
    [
        ("tenant", pa.uint32()),
        ("names", pa.list_(pa.large_string())),
        ("values", pa.list_(pa.large_string())),
    ]
)
BLOCKS_SCHEMA = pa.schema(
    [
        ("tenant", pa.uint32()),
        ("timestamps_offset", pa.uint64()),
        ("metadata_offset", pa.uint64()),
        ("lines_offset", pa.uint64()),
        ("rows", pa.uint32()),
        ("line_bytes", pa.uint64()),
        ("metadata_bytes", pa.uint64()),
        ("min_ns", pa.int64()),
        ("max_ns", pa.int64()),
        ("metadata_names", pa.list_(pa.large_string())),
        ("has_rest", pa.bool_()),
        ("lines_head_bytes", pa.uint64()),
        ("lines_head_crc", pa.uint32()),
    ]
)
RUNS_SCHEMA = pa.schema(
    [
        ("block", pa.uint32()),
        ("stream", pa.uint32()),
        ("row_first", pa.int64()),
        ("rows", pa.int64()),
        ("min_ns", pa.int64()),
        ("max_ns", pa.int64()),
        ("line_bytes", pa.int64()),
        ("lines_crc", pa.uint32()),
    ]
)
FOOTER_SCHEMAS = [TENANTS_SCHEMA, SERIES_SCHEMA, BLOCKS_SCHEMA, RUNS_SCHEMA]
LINE_CHECK_COLUMNS = {"lines_head_bytes", "lines_head_crc", "lines_crc"}
"""What version 1 has not; read as 0, which stands for no checksums of runs."""


@dataclass(frozen=True, slots=True)
class BlockFileHeader:
    """Where the entries of a block file came from.

    Attributes:
        ingester_id: the instance that wrote it.
        generation: the generation that was sealed.
        segment_max: highest WAL segment whose entries are all in this file.
    """

    ingester_id: str
    generation: int
    segment_max: int


def metadata_schema(names: list[str], *, has_rest: bool) -> "pa.Schema":
    """Return the schema of a METADATA section with these names."""
    fields = [pa.field(METADATA_PREFIX + name, pa.large_string()) for name in names]
    return pa.schema([*fields, REST_FIELD] if has_rest else fields)


def encode_header(header: BlockFileHeader) -> tuple[bytes, int]:
    """Return preamble and header frame, and the seed of the frames behind them."""
    raw_id = header.ingester_id.encode()
    payload = _HEADER.pack(header.generation, header.segment_max, len(raw_id)) + raw_id
    preamble = _PREAMBLE.pack(MAGIC, VERSION)
    frame = encode_frame(FrameKind.HEADER, [payload], seed=FRAMES_SEED_OF_HEADER)
    joined = b"".join([preamble, _U32.pack(crc32c(preamble)), *frame])
    return joined, crc32c(payload)


def decode_header(buffer: "pa.Buffer") -> tuple[BlockFileHeader, int, int]:
    """Return the header, the seed of the frames behind it, and the file's version.

    Raises:
        TruncatedData, BadMagic, BadChecksum, UnknownVersion.
    """
    fields = Decbuf(buffer.slice(0, min(PREAMBLE_BYTES, len(buffer))))
    magic, version, crc = fields.take(len(MAGIC)), fields.u32le(), fields.u32le()
    if magic != MAGIC:
        raise BadMagic(f"block file starts with {magic!r}, not {MAGIC!r}")
    if crc32c(_PREAMBLE.pack(magic, version)) != crc:
        raise BadChecksum("preamble of block file changed")
    if version not in {VERSION_WITHOUT_LINE_CHECKS, VERSION}:
        raise UnknownVersion(
            f"block file has version {version}; known are "
            f"{VERSION_WITHOUT_LINE_CHECKS} and {VERSION}"
        )
    frame = decode_frame(buffer, PREAMBLE_BYTES, seed=FRAMES_SEED_OF_HEADER)
    if frame.kind != FrameKind.HEADER:
        raise BadMagic(f"header of block file has kind {frame.kind}")
    payload = Decbuf(frame.payload)
    generation, segment_max = payload.u64le(), payload.u64le()
    ingester_id = payload.text(payload.u16le())
    header = BlockFileHeader(ingester_id, generation, segment_max)
    return header, crc32c(frame.payload), version


def encode_trailer(*, footer_offset: int, footer_end: int) -> bytes:
    """Return the trailer, the last bytes of a file, which follow the footer."""
    checked = _TRAILER.pack(footer_offset, footer_end + TRAILER_BYTES)
    return checked + _TRAILER_END.pack(crc32c(checked), TRAILER_MAGIC)


def decode_trailer(buffer: "pa.Buffer") -> int:
    """Return where the footer starts.

    Raises:
        TruncatedData: no good trailer ends the bytes, or they are not all there.
    """
    start = len(buffer) - TRAILER_BYTES
    if start < PREAMBLE_BYTES:
        raise TruncatedData(f"block file is only {len(buffer)} bytes")
    fields = Decbuf(buffer.slice(start))
    footer_offset, file_bytes = fields.u64le(), fields.u64le()
    crc, magic = fields.u32le(), fields.u32le()
    if magic != TRAILER_MAGIC or crc32c(buffer.slice(start, _TRAILER.size)) != crc:
        raise TruncatedData(f"no trailer ends the {len(buffer)} bytes of a block file")
    if file_bytes != len(buffer):
        raise TruncatedData(f"block file is {len(buffer)} bytes, not {file_bytes}")
    if not PREAMBLE_BYTES <= footer_offset <= start:
        raise TruncatedData(f"footer at byte {footer_offset} is not in the file")
    return footer_offset


def encode_footer(tables: "list[pa.RecordBatch]") -> list[Buffer]:
    """Return the payload of the footer: tenants, series, blocks, runs."""
    buffers: list[Buffer] = []
    for table, schema in zip(tables, FOOTER_SCHEMAS, strict=True):
        assert table.schema.equals(schema)
        part = table.serialize()
        buffers += [_U64.pack(len(part)), part, bytes(-len(part) % 8)]
    return buffers


def decode_footer(payload: "pa.Buffer", *, version: int) -> "list[pa.RecordBatch]":
    """Return tenants, series, blocks and runs, not copied.

    Args:
        version: of the file.

    Raises:
        TruncatedData: the payload, whose checksum was good, is too short.
    """
    tables = []
    offset = 0
    for schema in FOOTER_SCHEMAS:
        fields = Decbuf(payload, offset)
        length = fields.u64le()
        start = fields.offset
        if length > fields.remaining:
            raise TruncatedData(
                f"footer part wants {length} bytes, {fields.remaining} remain"
            )
        stored = _stored_schema(schema, version)
        table = pa.ipc.read_record_batch(payload.slice(start, length), stored)
        for field in list(schema)[len(stored) :]:
            nothing = np.zeros(len(table), field.type.to_pandas_dtype())
            table = table.append_column(field, pa.array(nothing))
        tables.append(table)
        offset = start + length + -length % 8
    return tables


def _stored_schema(schema: "pa.Schema", version: int) -> "pa.Schema":
    if version == VERSION:
        return schema
    return pa.schema([f for f in schema if f.name not in LINE_CHECK_COLUMNS])
