"""Write a pack: sorted batches in, one Parquet object out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import polars as pl

from loki_py.model.batch import EntryBatch


class ByteSink(Protocol):
    """Takes bytes in order; a file, or what uploads parts."""

    def write(self, data: Any, /) -> object: ...


@dataclass(frozen=True, slots=True)
class PackSummary:
    """What was written, as the index needs it.

    Attributes:
        chunks: one row per chunk with the columns of
            `model.chunk_refs.CHUNK_COLUMNS`.
        object_bytes: size of the object.
        sha256: hex digest of the whole object.
        footer_bytes: bytes from the end that hold everything but row groups.
        rows: entries written.
        line_bytes: bytes of their lines.
    """

    chunks: pl.DataFrame
    object_bytes: int
    sha256: str
    footer_bytes: int
    rows: int
    line_bytes: int


class PackWriter:
    """Writes one pack of one tenant; memory is bounded by a few row groups.

    Args:
        sink: where the bytes go, in order.
        writer: the instance that writes, for people who look into the file.
        metadata_names: every metadata name that will occur as a column; the
            first METADATA_COLUMNS_MAX get a column, others go to the map.
        has_rest: whether any batch has `metadata_rest`.
    """

    def __init__(
        self,
        sink: ByteSink,
        *,
        tenant: str,
        writer: str,
        metadata_names: Sequence[str],
        has_rest: bool = False,
    ) -> None:
        raise NotImplementedError

    def append(self, batch: EntryBatch) -> None:
        """Write the batch's rows, which must follow all earlier ones.

        Order is that of `sort_and_deduplicate`, also between calls.
        """
        raise NotImplementedError

    def close(self) -> PackSummary:
        """Write the footer and return what was written; the sink stays open."""
        raise NotImplementedError
