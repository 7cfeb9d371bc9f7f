"""Packs: their Parquet schema, and the checks and trailer that are ours.

Format (docs/formats/pack.md, version 1), numbers little-endian:

    pack    := "PAR1" row_group* checks footer footer_bytes:u32le "PAR1"
    checks  := piece* pieces:u32le crc:u32le magic:u8[8]
    piece   := length:u32le crc:u32le

The pack is a Parquet file like any other; `checks` lies where readers of
Parquet do not look. Pieces cover the file from byte 0 to `checks`, in order and
without gaps; a column chunk begins and ends where a piece does. Each piece's
crc is the CRC-32C of its bytes. The crc of `checks` is the CRC-32C of its bytes
before it and of everything after `checks`.

So whoever holds the end of the object can check it, and then each column chunk
before it is decoded: Parquet's own page checksums (written too, for others)
cover neither page headers nor the footer.
"""

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from loki_py.encoding.checksum import crc32c
from loki_py.encoding.parquet_names import PARQUET_MAGIC
from loki_py.errors import BadChecksum, BadMagic, CorruptData, TruncatedData
from loki_py.model.batch import REST_TYPE

FORMAT_VERSION = 1
CHECKS_MAGIC = b"lokichk1"

KEY_VERSION = b"loki_py.pack.version"
KEY_CHUNKS = b"loki_py.chunks"
KEY_ROW_GROUPS = b"loki_py.row_groups"

ROW_GROUP_COLUMNS: dict[str, type[pl.DataType]] = {
    "rows": pl.Int64,
    "line_bytes": pl.Int64,
    "min_ns": pl.Int64,
    "max_ns": pl.Int64,
}
"""Columns of the table of row groups: sizes, and inclusive bounds of times."""

METADATA_PREFIX = "md:"
REST_NAME = "metadata"
TIMESTAMP_TYPE = pa.timestamp("ns", tz="UTC")
LABELS_TYPE = pa.dictionary(pa.int32(), pa.string())

_CHECKS_END = struct.Struct("<II8s")
_FOOTER_END = struct.Struct("<I4s")

_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Pieces:
    """The checksummed pieces of an object, from byte 0 on.

    Attributes:
        ends: int64, where each piece ends, ascending.
        crcs: uint32, CRC-32C of each.
    """

    ends: _Ints
    crcs: npt.NDArray[np.uint32]

    def check(self, start: int, data: "pa.Buffer") -> None:
        """Check the bytes that lie at `start` of the object; whole pieces only.

        Raises: BadChecksum.
        """
        end = start + len(data)
        first = int(np.searchsorted(self.ends, start, side="right"))
        last = int(np.searchsorted(self.ends, end))
        edges = [int(self.ends[first - 1]) if first else 0]
        edges += self.ends[first : last + 1].tolist()
        if edges[0] != start or edges[-1] != end:
            raise CorruptData(f"bytes {start} to {end} are not whole pieces")
        for number, crc in enumerate(self.crcs[first : last + 1].tolist()):
            offset = edges[number] - start
            piece = data.slice(offset, edges[number + 1] - edges[number])
            if crc32c(piece) != crc:
                raise BadChecksum(
                    f"{len(piece)} bytes at byte {edges[number]} do not match "
                    f"checksum {crc:08x}"
                )


def pack_schema(names: "list[str]", *, has_rest: bool) -> "pa.Schema":
    """Return the schema of a pack with these metadata columns."""
    fields = [
        pa.field("stream", pa.uint64(), nullable=False),
        pa.field("timestamp", TIMESTAMP_TYPE, nullable=False),
        pa.field("line", pa.large_string(), nullable=False),
        pa.field("labels", LABELS_TYPE, nullable=False),
    ]
    fields += [pa.field(METADATA_PREFIX + name, pa.large_string()) for name in names]
    return pa.schema([*fields, pa.field(REST_NAME, REST_TYPE)] if has_rest else fields)


def encode_checks(lengths: list[int], crcs: list[int], footer: bytes) -> bytes:
    """Return the checks of pieces of these lengths, and of the footer behind.

    Args:
        footer: everything from the footer to the end of the object.
    """
    pieces = np.array([lengths, crcs], dtype="<u4").T.tobytes()
    count = struct.pack("<I", len(lengths))
    crc = crc32c(footer, seed=crc32c(pieces + count))
    return pieces + _CHECKS_END.pack(len(lengths), crc, CHECKS_MAGIC)


def split_tail(tail: "pa.Buffer", *, object_bytes: int) -> tuple[Pieces, "pa.Buffer"]:
    """Return the pieces and the Parquet footer at the end of an object, checked.

    Raises:
        TruncatedData: the object is cut, or the tail too short.
        BadMagic, BadChecksum.
    """
    footer = _footer_of(tail)
    checks_end = len(tail) - len(footer)
    start = checks_end - _CHECKS_END.size
    if start < 0:
        raise TruncatedData(f"{len(tail)} bytes do not hold the checks of a pack")
    count, crc, magic = _CHECKS_END.unpack_from(tail, start)
    if magic != CHECKS_MAGIC:
        raise BadMagic(f"checks of pack end with {magic!r}, not {CHECKS_MAGIC!r}")
    pieces_bytes = 8 * count
    if pieces_bytes > start:
        raise TruncatedData(f"{len(tail)} bytes do not hold {count} checks of a pack")
    checked = tail.slice(start - pieces_bytes, pieces_bytes + 4)
    if crc32c(footer, seed=crc32c(checked)) != crc:
        raise BadChecksum("footer of pack changed")
    table = np.frombuffer(checked, dtype="<u4", count=2 * count).reshape(count, 2)
    ends = np.cumsum(table[:, 0], dtype=np.int64)
    covered = int(ends[-1]) if count else 0
    if covered + len(tail) - (start - pieces_bytes) != object_bytes:
        raise TruncatedData(f"pack is not the {object_bytes} bytes it was written as")
    return Pieces(ends, table[:, 1].astype(np.uint32)), footer


def is_footer(end: bytes) -> bool:
    """Return whether the bytes are a Parquet footer and nothing else."""
    return len(_footer_of(pa.py_buffer(end))) == len(end)


def _footer_of(tail: "pa.Buffer") -> "pa.Buffer":
    start = len(tail) - _FOOTER_END.size
    if start < 0:
        raise TruncatedData(f"{len(tail)} bytes do not hold the end of a pack")
    footer_bytes, magic = _FOOTER_END.unpack_from(tail, start)
    if magic != PARQUET_MAGIC:
        raise TruncatedData(f"pack ends with {magic!r}, not {PARQUET_MAGIC!r}")
    if footer_bytes > start:
        raise TruncatedData(f"{len(tail)} bytes do not hold a footer of {footer_bytes}")
    return tail.slice(start - footer_bytes)
