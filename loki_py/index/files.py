"""Index files: one row per chunk, as Parquet.

Format (docs/formats/index.md, version 1): Parquet, with the check of
`encoding.parquet_check` before its footer. Index files are read whole, so one
checksum serves.

Pure: bytes in, bytes out.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from loki_py.encoding.parquet_check import verify, with_check
from loki_py.encoding.parquet_names import KEY_TENANT, KEY_WRITER
from loki_py.errors import CorruptData, UnknownVersion
from loki_py.model.chunk_refs import CHUNK_COLUMNS

FORMAT_VERSION = 1
CHECK_MAGIC = b"lokiidx1"
WHAT = "index file"

KEY_VERSION = b"loki_py.index.version"
KEY_REPLACES = b"loki_py.replaces"

ZSTD_LEVEL = 3
DICTIONARY_BYTES_MAX = 256 << 20
"""Labels and packs are always dictionaries: beyond, Parquet would spell them out."""

_TEXTS = pa.dictionary(pa.int32(), pa.string())
_TIMESTAMP = pa.timestamp("ns", tz="UTC")
SCHEMA = pa.schema(
    [
        pa.field("fingerprint", pa.uint64(), nullable=False),
        pa.field("labels", _TEXTS, nullable=False),
        pa.field("from", _TIMESTAMP, nullable=False),
        pa.field("through", _TIMESTAMP, nullable=False),
        pa.field("entries", pa.int64(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("pack", _TEXTS, nullable=False),
        pa.field("row_group_first", pa.int64(), nullable=False),
        pa.field("row_groups", pa.int64(), nullable=False),
        pa.field("row_first", pa.int64(), nullable=False),
        pa.field("rows", pa.int64(), nullable=False),
        pa.field("pack_bytes", pa.int64(), nullable=False),
        pa.field("pack_footer_bytes", pa.int64(), nullable=False),
        pa.field("pack_sha256", _TEXTS, nullable=False),
    ]
)
_NUMBERS = [
    "from", "through", "entries", "bytes",
    "row_group_first", "row_groups", "row_first", "rows",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class PackRef:
    """Where a pack lies and how to check it.

    Attributes:
        key: object key of the pack.
        object_bytes: size of the object.
        footer_bytes: bytes from its end that hold everything but row groups.
        sha256: hex digest of the whole object.
    """

    key: str
    object_bytes: int
    footer_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class PackEntry:
    """One pack and its chunks, as an index file names them.

    Attributes:
        key: object key of the pack.
        object_bytes, footer_bytes, sha256: from its PackSummary.
        chunks: one row per chunk, columns `model.chunk_refs.CHUNK_COLUMNS`.
    """

    key: str
    object_bytes: int
    footer_bytes: int
    sha256: str
    chunks: pl.DataFrame


@dataclass(frozen=True, slots=True)
class IndexFile:
    """A decoded index file.

    Attributes:
        replaces: keys of the index files that this one stands for.
        labels: canonical texts of the streams, distinct, as an Arrow column.
        packs: the packs that chunks lie in.
        chunks: one row per chunk: `series` (u32, position in `labels`), `pack`
            (u32, position in `packs`), and the numbers of
            `model.chunk_refs.CHUNK_COLUMNS`, times in ns.
    """

    tenant: str
    writer: str
    replaces: tuple[str, ...]
    labels: pa.StringArray
    packs: tuple[PackRef, ...]
    chunks: pl.DataFrame


def encode_index_file(
    packs: Sequence[PackEntry],
    *,
    tenant: str,
    writer: str,
    replaces: Sequence[str] = (),
) -> bytes:
    """Return the bytes of one index file, chunks in the order given."""
    tables = [_table_of(pack) for pack in packs]
    table = pa.concat_tables([SCHEMA.empty_table(), *tables]).unify_dictionaries()
    values = {
        KEY_VERSION: str(FORMAT_VERSION),
        KEY_TENANT: tenant,
        KEY_WRITER: writer,
        KEY_REPLACES: json.dumps(list(replaces)),
    }
    sink = pa.BufferOutputStream()
    pq.write_table(
        table.replace_schema_metadata(values),
        sink,
        row_group_size=max(len(table), 1),
        compression="zstd",
        compression_level=ZSTD_LEVEL,
        use_dictionary=["labels", "pack", "pack_sha256"],
        column_encoding={
            "from": "DELTA_BINARY_PACKED",
            "through": "DELTA_BINARY_PACKED",
        },
        dictionary_pagesize_limit=DICTIONARY_BYTES_MAX,
        write_page_checksum=True,
    )
    return with_check(sink.getvalue(), magic=CHECK_MAGIC, what=WHAT)


def decode_index_file(data: "pa.Buffer | bytes") -> IndexFile:
    """Return what an index file says, all of its bytes checked.

    Raises:
        CorruptData: TruncatedData, BadMagic, BadChecksum, UnknownVersion.
    """
    buffer = pa.py_buffer(data)
    verify(buffer, magic=CHECK_MAGIC, what=WHAT)
    try:
        parquet = pq.ParquetFile(pa.BufferReader(buffer))
        values = parquet.schema_arrow.metadata or {}
        _check_version(values)
        table = parquet.read(use_threads=False).unify_dictionaries().combine_chunks()
    except (pa.ArrowException, OSError) as error:
        raise CorruptData(f"index file: {error}") from error
    labels, series = _coded(table["labels"])
    packs, pack = _packs_of(table)
    numbers = {name: table[name].cast(pa.int64()).to_numpy() for name in _NUMBERS}
    return IndexFile(
        values[KEY_TENANT].decode(),
        values[KEY_WRITER].decode(),
        tuple(json.loads(values[KEY_REPLACES])),
        labels,
        packs,
        pl.DataFrame({"series": series, "pack": pack, **numbers}),
    )


def _table_of(pack: PackEntry) -> "pa.Table":
    assert dict(pack.chunks.schema) == CHUNK_COLUMNS
    chunks = pack.chunks.to_arrow(compat_level=pl.CompatLevel.oldest())
    rows = len(chunks)
    columns = {name: chunks[name] for name in CHUNK_COLUMNS}
    columns["labels"] = columns["labels"].cast(pa.string()).dictionary_encode()
    columns |= {
        "pack": pa.repeat(pack.key, rows).cast(pa.string()).dictionary_encode(),
        "pack_bytes": pa.repeat(pack.object_bytes, rows),
        "pack_footer_bytes": pa.repeat(pack.footer_bytes, rows),
        "pack_sha256": pa.repeat(pack.sha256, rows).dictionary_encode(),
    }
    return pa.table(
        [columns[field.name].cast(field.type) for field in SCHEMA], schema=SCHEMA
    )


def _packs_of(
    table: "pa.Table",
) -> "tuple[tuple[PackRef, ...], np.typing.NDArray[np.uint32]]":
    keys, pack = _coded(table["pack"])
    used, first = np.unique(pack, return_index=True)
    rows = table.select(["pack_bytes", "pack_footer_bytes", "pack_sha256"]).take(first)
    refs = tuple(
        PackRef(keys[number].as_py(), *row.values())
        for number, row in zip(used.tolist(), rows.to_pylist(), strict=True)
    )
    return refs, np.searchsorted(used, pack).astype(np.uint32)


def _coded(
    column: "pa.ChunkedArray",
) -> "tuple[pa.StringArray, np.typing.NDArray[np.uint32]]":
    """Return the distinct texts of a dictionary column and each row's position."""
    if column.num_chunks == 0:
        return pa.array([], pa.string()), np.zeros(0, dtype=np.uint32)
    [array] = column.chunks
    return array.dictionary, array.indices.to_numpy().astype(np.uint32)


def _check_version(values: dict[bytes, bytes]) -> None:
    version = values.get(KEY_VERSION, b"none").decode()
    if version != str(FORMAT_VERSION):
        raise UnknownVersion(
            f"index file has version {version}; known is {FORMAT_VERSION}"
        )
