"""A checksum over a whole Parquet file, before its footer.

Format, numbers little-endian:

    file  := "PAR1" row_group* check footer footer_bytes:u32le "PAR1"
    check := crc:u32le magic:u8[8]

`crc` is the CRC-32C of all bytes of the file but the twelve of `check`. For
files that are read whole; Parquet readers do not see it.

Pure: bytes in, bytes out.
"""

import struct

import pyarrow as pa

from loki_py.encoding.checksum import crc32c
from loki_py.encoding.parquet_names import PARQUET_MAGIC
from loki_py.errors import BadChecksum, BadMagic, TruncatedData

_CHECK = struct.Struct("<I8s")
_FOOTER_END = struct.Struct("<I4s")


def with_check(parquet: "pa.Buffer", *, magic: bytes, what: str) -> bytes:
    """Return the file with its check before the footer.

    Args:
        parquet: a Parquet file without one.
        magic: eight bytes, the kind of file.
        what: the kind of file, in words.
    """
    start = _footer_start(parquet, what)
    head, footer = parquet.slice(0, start), parquet.slice(start)
    crc = crc32c(footer, seed=crc32c(head))
    return b"".join([head, _CHECK.pack(crc, magic), footer])


def verify(buffer: "pa.Buffer", *, magic: bytes, what: str) -> None:
    """Look at all bytes of a file that `with_check` made.

    Raises: TruncatedData, BadMagic, BadChecksum.
    """
    footer_start = _footer_start(buffer, what)
    start = footer_start - _CHECK.size
    if start < len(PARQUET_MAGIC):
        raise TruncatedData(f"{what} of {len(buffer)} bytes has no check")
    crc, found_magic = _CHECK.unpack_from(buffer, start)
    if found_magic != magic:
        raise BadMagic(f"check of {what} ends with {found_magic!r}, not {magic!r}")
    found = crc32c(buffer.slice(footer_start), seed=crc32c(buffer.slice(0, start)))
    if found != crc:
        raise BadChecksum(f"{what} has checksum {found:08x}, not {crc:08x}")


def _footer_start(buffer: "pa.Buffer", what: str) -> int:
    end = len(buffer) - _FOOTER_END.size
    if end < len(PARQUET_MAGIC):
        raise TruncatedData(f"{what} is only {len(buffer)} bytes")
    footer_bytes, magic = _FOOTER_END.unpack_from(buffer, end)
    if magic != PARQUET_MAGIC:
        raise TruncatedData(f"{what} ends with {magic!r}, not {PARQUET_MAGIC!r}")
    if footer_bytes > end:
        raise TruncatedData(f"footer of {footer_bytes} bytes is longer than the file")
    return int(end - footer_bytes)
