"""Files of patterns: rows of one tenant, one writer and one day, as Parquet.

Format (docs/formats/patterns.md, version 1): Parquet, with the check of
`encoding.parquet_check` before its footer. They are read whole, so one checksum
serves.

Pure: bytes in, bytes out.
"""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from loki_py.encoding.parquet_check import verify, with_check
from loki_py.encoding.parquet_names import KEY_TENANT, KEY_WRITER
from loki_py.errors import CorruptData, UnknownVersion
from loki_py.model.pattern_rows import SCHEMA, PatternRows, check_rows

FORMAT_VERSION = 1
CHECK_MAGIC = b"lokipat1"
FILE_BYTES_MAX = 64 << 20
"""A larger object is none of ours."""

KEY_VERSION = b"loki_py.patterns.version"

ZSTD_LEVEL = 3
WHAT = "pattern file"
_TEXTS = ["stream", "level", "pattern"]


@dataclass(frozen=True, slots=True)
class PatternFile:
    """A decoded file."""

    tenant: str
    writer: str
    rows: PatternRows


def encode_pattern_file(file: PatternFile) -> bytes:
    """Return the bytes of a file."""
    values = {
        KEY_VERSION: str(FORMAT_VERSION),
        KEY_TENANT: file.tenant,
        KEY_WRITER: file.writer,
    }
    sink = pa.BufferOutputStream()
    pq.write_table(
        file.rows.unify_dictionaries().replace_schema_metadata(values),
        sink,
        row_group_size=max(len(file.rows), 1),
        compression="zstd",
        compression_level=ZSTD_LEVEL,
        use_dictionary=_TEXTS,
        column_encoding={"time": "DELTA_BINARY_PACKED"},
        dictionary_pagesize_limit=FILE_BYTES_MAX,
        write_page_checksum=True,
    )
    return with_check(sink.getvalue(), magic=CHECK_MAGIC, what=WHAT)


def decode_pattern_file(data: "pa.Buffer | bytes") -> PatternFile:
    """Return what a file holds, all of its bytes checked.

    Raises:
        CorruptData: TruncatedData, BadMagic, BadChecksum, UnknownVersion.
    """
    buffer = pa.py_buffer(data)
    if len(buffer) > FILE_BYTES_MAX:
        raise CorruptData(f"{WHAT} is {len(buffer)} bytes; limit is {FILE_BYTES_MAX}")
    verify(buffer, magic=CHECK_MAGIC, what=WHAT)
    try:
        parquet = pq.ParquetFile(pa.BufferReader(buffer), read_dictionary=_TEXTS)
        values = parquet.schema_arrow.metadata or {}
        version = values.get(KEY_VERSION, b"none").decode()
        if version != str(FORMAT_VERSION):
            raise UnknownVersion(
                f"{WHAT} has version {version}; known is {FORMAT_VERSION}"
            )
        rows = parquet.read(columns=SCHEMA.names, use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise CorruptData(f"{WHAT}: {error}") from error
    tenant, writer = values[KEY_TENANT].decode(), values[KEY_WRITER].decode()
    return PatternFile(tenant, writer, check_rows(rows.unify_dictionaries()))
