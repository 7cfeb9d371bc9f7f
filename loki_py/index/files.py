"""Index files: one row per chunk, as Parquet."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
import pyarrow as pa


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
        chunks: one row per chunk, columns of `INDEX_COLUMNS`.
    """

    tenant: str
    writer: str
    replaces: tuple[str, ...]
    chunks: pl.DataFrame


def encode_index_file(
    packs: Sequence[PackEntry],
    *,
    tenant: str,
    writer: str,
    replaces: Sequence[str] = (),
) -> bytes:
    """Return the bytes of one index file."""
    raise NotImplementedError


def decode_index_file(data: pa.Buffer | bytes) -> IndexFile:
    """Return what an index file says, all of its bytes checked.

    Raises:
        CorruptData: TruncatedData, BadMagic, BadChecksum, UnknownVersion.
    """
    raise NotImplementedError
