"""Read a pack: a footer that callers may cache, then parts of row groups."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from loki_py.model.batch import EntryBatch
from loki_py.model.labels import LabelSet
from loki_py.model.scan import Columns

RangeReader: TypeAlias = Callable[[int, int], pa.Buffer]
"""(offset, length) to exactly these bytes of the object; may raise LokiError."""


@dataclass(frozen=True, slots=True)
class PackPart:
    """The rows of one row group that belong to wanted streams and a wanted time.

    Attributes:
        row_group: position of the row group in the pack.
        stream: uint32[k], each run's stream, as the caller numbers streams.
        row_first, rows: int64[k], where each run lies in the row group.
        min_ns, max_ns: bounds of what can come back, max inclusive.
        rows_max: at most this many rows come back.
        line_bytes_max: at most this many line bytes come back (row group's).
    """

    row_group: int
    stream: npt.NDArray[np.uint32]
    row_first: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    start_ns: int
    end_ns: int
    min_ns: int
    max_ns: int
    rows_max: int
    line_bytes_max: int


class PackFooter:
    """All of a pack but its row groups: immutable, to be cached, no I/O.

    Attributes:
        tenant, writer: as written.
        chunks: the chunk table, columns `model.chunk_refs.CHUNK_COLUMNS`.
        metadata_names: metadata columns of the file.
        rows: entries in the pack.
    """

    tenant: str
    writer: str
    chunks: pl.DataFrame
    metadata_names: tuple[str, ...]
    rows: int

    @classmethod
    def decode(cls, tail: pa.Buffer, *, object_bytes: int) -> "PackFooter":
        """Return the footer found at the end of the object.

        Args:
            tail: the last bytes of the object, at least its `footer_bytes`
                (the index names them); all of it is fine too.

        Raises:
            CorruptData: TruncatedData (tail too short), BadMagic, BadChecksum,
                UnknownVersion.
        """
        raise NotImplementedError

    def select(
        self,
        stream: npt.NDArray[np.uint32],
        row_first: npt.NDArray[np.int64],
        rows: npt.NDArray[np.int64],
        *,
        start_ns: int,
        end_ns: int,
    ) -> list[PackPart]:
        """Return a part per row group that has rows of these chunks in the time.

        Args:
            stream: per chunk, the number its rows get in batches read.
            row_first, rows: per chunk, from its index row.
        """
        raise NotImplementedError

    def byte_ranges(
        self, parts: Sequence[PackPart], columns: Columns
    ) -> list[tuple[int, int]]:
        """Return the (offset, length) of the object that `read` will ask for.

        Adjoining ranges are merged; ascending.
        """
        raise NotImplementedError


class Pack:
    """An open pack: immutable, shared by threads.

    Args:
        source: the whole object as one (memory-mapped) buffer, or what reads
            ranges of it.
    """

    footer: PackFooter

    def __init__(self, footer: PackFooter, source: pa.Buffer | RangeReader) -> None:
        raise NotImplementedError

    @classmethod
    def open(cls, buffer: pa.Buffer) -> "Pack":
        """Return the pack that the whole object `buffer` holds.

        Raises: CorruptData.
        """
        raise NotImplementedError

    def read(
        self, parts: Sequence[PackPart], columns: Columns, streams: Sequence[LabelSet]
    ) -> EntryBatch:
        """Return the rows of all parts, in file order; `streams` as numbered.

        Blocking where the source blocks. Every byte that is used was checked.

        Raises:
            CorruptData: one of the row groups' bytes changed; others still read.
        """
        raise NotImplementedError
