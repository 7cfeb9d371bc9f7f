r"""Flush records: which block files of a tenant are in which packs.

Format (docs/formats/flushed.md, version 1):

    file := crc:hex[8]  " "  JSON object  "\\n"

`crc` is the CRC-32C of the JSON. Pure; `blockstore` reads and writes the files.
"""

import msgspec

from loki_py.encoding.checksum import crc32c
from loki_py.errors import BadChecksum, CorruptData, UnknownVersion

VERSION = 1


class FlushRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A flush that is durable in the object store.

    Attributes:
        ulid: identity, ordered by time.
        tenant: whose entries.
        generations: the block files whose entries of the tenant were flushed.
        packs: object keys of the packs that hold them.
        flushed_ns: wall clock at which pack and index were durable.
        duplicates: entries that several of the generations had.
    """

    version: int = VERSION
    ulid: str
    tenant: str
    generations: tuple[int, ...]
    packs: tuple[str, ...]
    flushed_ns: int
    duplicates: int


def encode_record(record: FlushRecord) -> bytes:
    """Return the bytes of the record's file."""
    body = msgspec.json.encode(record)
    return b"%08x %s\n" % (crc32c(body), body)


def decode_record(data: bytes) -> FlushRecord:
    """Return the record that a file holds.

    Raises: BadChecksum, UnknownVersion, CorruptData.
    """
    checksum, _, body = data.removesuffix(b"\n").partition(b" ")
    if checksum != b"%08x" % crc32c(body):
        raise BadChecksum(f"flush record of {len(data)} bytes changed")
    try:
        record = msgspec.json.decode(body, type=FlushRecord)
    except msgspec.ValidationError as error:
        raise CorruptData(f"flush record is not of its format: {error}") from error
    if record.version != VERSION:
        raise UnknownVersion(
            f"flush record has version {record.version}; known is {VERSION}"
        )
    return record
