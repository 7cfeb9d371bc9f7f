"""Read a pack: a footer that callers may cache, then parts of row groups.

Pure but for the range reader that is passed in. Of an object only the end and
the column chunks that are asked for are touched, and all of that is checked
before it is decoded.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from loki_py.chunks import pack_format
from loki_py.chunks.row_selection import RowSelection, select_rows
from loki_py.chunks.sparse import SparseFile
from loki_py.chunks.tables import table_of_text
from loki_py.encoding.parquet_names import KEY_TENANT, KEY_WRITER, PARQUET_MAGIC
from loki_py.errors import BadMagic, CorruptData, TruncatedData, UnknownVersion
from loki_py.model.batch import EntryBatch, StreamIndex, Timestamps
from loki_py.model.chunk_refs import CHUNK_COLUMNS
from loki_py.model.labels import LabelSet
from loki_py.model.scan import Columns

RangeReader: TypeAlias = Callable[[int, int], pa.Buffer]
"""(offset, length) to exactly these bytes of the object; may raise LokiError."""

RANGE_GAP_BYTES = 1 << 16
"""Ranges so close to each other are fetched as one: a request costs more."""

_Ints = npt.NDArray[np.int64]
_Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class PackPart:
    """The rows of one row group that belong to wanted streams and a wanted time.

    Attributes:
        row_group: position of the row group in the pack.
        stream: uint32[k], each run's stream, as the caller numbers streams.
        row_first, rows: int64[k], where each run lies in the row group.
        start_ns, end_ns: the wanted time, [start_ns, end_ns).
        min_ns, max_ns: bounds of what comes back, max inclusive.
        rows_max: at most this many rows come back.
        line_bytes_max: at most this many line bytes come back.
    """

    row_group: int
    stream: StreamIndex
    row_first: _Ints
    rows: _Ints
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
        row_groups: one row per row group, `pack_format.ROW_GROUP_COLUMNS`.
        row_group_rows: the rows of each, int64.
        column_names: all columns of the file.
        metadata_names: those of structured metadata, by their names in entries.
        has_rest: whether there is a column for the names beyond them.
        rows: entries in the pack.
        object_bytes: size of the object.
    """

    def __init__(self, tail: pa.Buffer, *, object_bytes: int) -> None:
        """See `decode`."""
        self.pieces, footer = pack_format.split_tail(tail, object_bytes=object_bytes)
        self.object_bytes = object_bytes
        self.parquet = _parquet_metadata_of(footer)
        values = self.parquet.metadata or {}
        version = values.get(pack_format.KEY_VERSION, b"none").decode()
        if version != str(pack_format.FORMAT_VERSION):
            known = pack_format.FORMAT_VERSION
            raise UnknownVersion(f"pack has version {version}; known is {known}")
        self.tenant = values[KEY_TENANT].decode()
        self.writer = values[KEY_WRITER].decode()
        self.row_groups = table_of_text(
            values[pack_format.KEY_ROW_GROUPS], pack_format.ROW_GROUP_COLUMNS
        )
        self.rows = int(self.parquet.num_rows)
        names = self.column_names = self.parquet.schema.to_arrow_schema().names
        prefix = pack_format.METADATA_PREFIX
        self.metadata_names = tuple(
            name.removeprefix(prefix) for name in names if name.startswith(prefix)
        )
        self.has_rest = pack_format.REST_NAME in names
        leaves = range(self.parquet.num_columns)
        self._leaf_paths = [self.parquet.schema.column(i).path for i in leaves]
        self.row_group_rows = self.row_groups["rows"].to_numpy()
        self._row_ends = np.cumsum(self.row_group_rows)
        self._min_ns = self.row_groups["min_ns"].to_numpy()
        self._max_ns = self.row_groups["max_ns"].to_numpy()
        self._line_bytes = self.row_groups["line_bytes"].to_numpy()

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
        return cls(tail, object_bytes=object_bytes)

    @cached_property
    def chunks(self) -> pl.DataFrame:
        """The chunk table, columns `model.chunk_refs.CHUNK_COLUMNS`."""
        text = self.parquet.metadata[pack_format.KEY_CHUNKS]
        return table_of_text(text, CHUNK_COLUMNS)

    def select(
        self,
        stream: StreamIndex,
        row_first: _Ints,
        rows: _Ints,
        *,
        start_ns: int,
        end_ns: int,
    ) -> list[PackPart]:
        """Return a part per row group that has rows of these chunks in the time.

        Args:
            stream: per chunk, the number its rows get in batches read.
            row_first, rows: per chunk, from its index row; ascending.

        Raises: CorruptData where a chunk is beyond the rows of the pack.
        """
        if len(rows) == 0 or start_ns >= end_ns:
            return []
        row_end = row_first + rows
        if int(row_end.max()) > self.rows:
            raise CorruptData(f"chunk ends at row {row_end.max()} of {self.rows}")
        chunk, group = self._row_groups_of(row_first, row_end)
        hit = (self._max_ns[group] >= start_ns) & (self._min_ns[group] < end_ns)
        chunk, group = chunk[hit], group[hit]
        if len(group) == 0:
            return []
        group_start = np.concatenate(([0], self._row_ends))[group]
        low = np.maximum(row_first[chunk], group_start)
        count = np.minimum(row_end[chunk], self._row_ends[group]) - low
        low -= group_start
        starts = np.concatenate(([0], np.flatnonzero(group[1:] != group[:-1]) + 1))
        ends = [*starts[1:].tolist(), len(group)]
        return [
            PackPart(
                number,
                stream[chunk[a:b]],
                low[a:b],
                count[a:b],
                start_ns,
                end_ns,
                max(int(self._min_ns[number]), start_ns),
                min(int(self._max_ns[number]), end_ns - 1),
                int(count[a:b].sum()),
                int(self._line_bytes[number]),
            )
            for number, a, b in zip(
                group[starts].tolist(), starts.tolist(), ends, strict=True
            )
        ]

    def _row_groups_of(self, row_first: _Ints, row_end: _Ints) -> tuple[_Ints, _Ints]:
        """Return (chunk, row group) for each pair of them that share rows."""
        first = np.searchsorted(self._row_ends, row_first, side="right")
        spans = np.searchsorted(self._row_ends, row_end) - first + 1
        chunk = np.repeat(np.arange(len(row_first)), spans)
        group = first[chunk] + np.arange(len(chunk))
        group -= np.repeat(np.cumsum(spans) - spans, spans)
        return chunk, group

    def byte_ranges(self, parts: Sequence[PackPart], columns: Columns) -> list[_Range]:
        """Return the (offset, length) of the object that `read` will ask for.

        Ascending; ranges less than RANGE_GAP_BYTES apart are merged.
        """
        names = self.columns_for(columns)
        exact = [r for part in parts for r in self.column_chunks(part.row_group, names)]
        merged: list[_Range] = []
        for offset, length in sorted(exact):
            if merged and offset - sum(merged[-1]) <= RANGE_GAP_BYTES:
                merged[-1] = (merged[-1][0], offset + length - merged[-1][0])
            else:
                merged.append((offset, length))
        return merged

    def columns_for(self, columns: Columns) -> list[str]:
        """Return the columns of the file that give these columns of a batch."""
        wanted = columns.metadata
        names = ["timestamp"] + (["line"] if columns.line else [])
        names += [
            pack_format.METADATA_PREFIX + name
            for name in self.metadata_names
            if wanted is None or name in wanted
        ]
        if self.has_rest and wanted != frozenset():
            names.append(pack_format.REST_NAME)
        return names

    def column_chunks(self, row_group: int, names: Sequence[str]) -> list[_Range]:
        """Return the (offset, length) of every column chunk that Parquet will read.

        Names are prefixes of paths to it: a column `a` brings a column `a.b`.
        """
        group = self.parquet.row_group(row_group)
        prefixes = tuple(name + "." for name in names)
        exact = set(names)
        found = []
        for leaf, path in enumerate(self._leaf_paths):
            if path in exact or path.startswith(prefixes):
                column = group.column(leaf)
                start = column.data_page_offset
                if column.has_dictionary_page:
                    start = min(start, column.dictionary_page_offset)
                found.append((start, column.total_compressed_size))
        return found


class Pack:
    """An open pack: immutable, shared by threads.

    Args:
        footer: the pack's own.
        source: the whole object as one (memory-mapped) buffer, or what reads
            ranges of it.
    """

    def __init__(self, footer: PackFooter, source: pa.Buffer | RangeReader) -> None:
        self.footer = footer
        self._source = source

    @classmethod
    def open(cls, buffer: pa.Buffer) -> "Pack":
        """Return the pack that the whole object `buffer` holds.

        Raises: CorruptData.
        """
        magic = bytes(buffer.slice(0, min(len(buffer), 4)))
        if magic != PARQUET_MAGIC:
            raise BadMagic(f"pack starts with {magic!r}, not PAR1")
        return cls(PackFooter.decode(buffer, object_bytes=len(buffer)), buffer)

    def read(
        self, parts: Sequence[PackPart], columns: Columns, streams: Sequence[LabelSet]
    ) -> EntryBatch:
        """Return the rows of all parts, in the order given; `streams` as numbered.

        The parts come from one `select`. Blocking where the source blocks. Every
        byte that is used was checked.

        Raises:
            CorruptData: one of the row groups' bytes changed; others still read.
        """
        assert parts
        names = self.footer.columns_for(columns)
        file = self._file_of(parts, columns)
        row_groups = [part.row_group for part in parts]
        for row_group in row_groups:
            for offset, length in self.footer.column_chunks(row_group, names):
                self.footer.pieces.check(offset, file.slice(offset, length))
        table = _decoded(file, self.footer.parquet, row_groups, names)
        timestamps = _whole(table["timestamp"]).view(pa.int64()).to_numpy()
        selection = self._selection_of(parts, timestamps)
        selected = {
            name: selection.of_column(_whole(table[name]))
            for name in names
            if name != "timestamp"
        }
        line = selected.pop("line", None)
        rest = selected.pop(pack_format.REST_NAME, None)
        prefix = pack_format.METADATA_PREFIX
        return EntryBatch(
            streams,
            selection.stream,
            selection.of_numbers(timestamps),
            line,
            {
                name.removeprefix(prefix): values
                for name, values in selected.items()
                if values.null_count < len(values)
            },
            None if rest is None or rest.null_count == len(rest) else rest,
        )

    def _selection_of(
        self, parts: Sequence[PackPart], timestamps: Timestamps
    ) -> RowSelection:
        """Return which rows of the parts' row groups, one behind the other, to take."""
        counts = self.footer.row_group_rows[[part.row_group for part in parts]].tolist()
        starts = accumulate(counts, initial=0)
        return select_rows(
            np.concatenate([part.stream for part in parts]),
            np.concatenate(
                [p.row_first + start for p, start in zip(parts, starts, strict=False)]
            ),
            np.concatenate([part.rows for part in parts]),
            timestamps,
            start_ns=parts[0].start_ns,
            end_ns=parts[0].end_ns,
        )

    def _file_of(self, parts: Sequence[PackPart], columns: Columns) -> SparseFile:
        size = self.footer.object_bytes
        if isinstance(self._source, pa.Buffer):
            return SparseFile([(0, self._source)], size=size)
        ranges = self.footer.byte_ranges(parts, columns)
        return SparseFile([(o, self._source(o, n)) for o, n in ranges], size=size)


def _decoded(
    file: SparseFile,
    metadata: "pq.FileMetaData",
    row_groups: list[int],
    names: list[str],
) -> "pa.Table":
    try:
        parquet = pq.ParquetFile(file.as_file(), metadata=metadata)
        return parquet.read_row_groups(row_groups, columns=names, use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise CorruptData(f"row groups {row_groups}: {error}") from error


def _whole(column: "pa.ChunkedArray") -> "pa.Array":
    """Return the column as one array, without copying where it is one already."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _parquet_metadata_of(footer: "pa.Buffer") -> "pq.FileMetaData":
    sink = pa.BufferOutputStream()
    sink.write(PARQUET_MAGIC)
    sink.write(footer)
    try:
        return pq.read_metadata(pa.BufferReader(sink.getvalue()))
    except (pa.ArrowException, OSError) as error:
        raise TruncatedData(f"footer of pack: {error}") from error
