"""Write a pack: sorted batches in, one Parquet object out.

Pure but for the sink that is passed in. Memory is bounded by what one call of
`append` brings, one row group and the chunk table.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from loki_py.chunks import pack_format
from loki_py.chunks.chunk_list import ChunkList
from loki_py.chunks.tables import text_of_table
from loki_py.encoding.checksum import crc32c
from loki_py.encoding.parquet_names import KEY_TENANT, KEY_WRITER
from loki_py.model.batch import (
    METADATA_COLUMNS_MAX,
    EntryBatch,
    with_names_in_rest,
)

ROW_GROUP_BYTES = 1 << 20
"""Lines of a row group, about, and a part of its metadata."""

METADATA_WEIGHT_RATIO = 4
"""A byte of metadata counts as this part of a byte of lines: few queries read it."""

ROW_GROUP_SLACK_RATIO = 4
"""A row group ends where a stream does, if that is at most its size divided by
this away."""

ROW_GROUP_ROWS_MAX = 1 << 16
"""Rows of a row group, however short its lines are."""

ZSTD_LEVEL = 1
"""Measured on logfmt lines: level 3 takes twice the time and saves nothing."""

_DATA_PAGE_BYTES = 8 << 20  # one page a column chunk, but for giant rows
_WRITE_BATCH_ROWS = 8192
_SAMPLE_ROWS = 1000
_REST_KEYS = f"{pack_format.REST_NAME}.key_value.key"

_Ints = npt.NDArray[np.int64]


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
    """Writes one pack of one tenant.

    Args:
        sink: where the bytes go, in order.
        writer: the instance that writes, for people who look into the file.
        metadata_names: every metadata name that will occur as a column; the
            first METADATA_COLUMNS_MAX get a column, others go to the map.
        has_rest: whether any batch has `metadata_rest`.
        row_group_bytes: where to cut; smaller in tests.
    """

    def __init__(
        self,
        sink: ByteSink,
        *,
        tenant: str,
        writer: str,
        metadata_names: Sequence[str],
        has_rest: bool = False,
        row_group_bytes: int = ROW_GROUP_BYTES,
    ) -> None:
        assert row_group_bytes > 0
        self._names = list(metadata_names)[:METADATA_COLUMNS_MAX]
        has_rest = has_rest or len(metadata_names) > METADATA_COLUMNS_MAX
        self._schema = pack_format.pack_schema(self._names, has_rest=has_rest)
        self._has_rest = has_rest
        self._tenant, self._writer = tenant, writer
        self._row_group_bytes = row_group_bytes
        self._slack_bytes = row_group_bytes // ROW_GROUP_SLACK_RATIO
        self._sink = _CheckedSink(sink)
        self._parquet: pq.ParquetWriter | None = None
        self._open: list[EntryBatch] = []
        self._open_bytes = 0
        self._row_groups: list[dict[str, int]] = []
        self._chunks = ChunkList()

    def append(self, batch: EntryBatch) -> None:
        """Write the batch's rows, which must follow all earlier ones.

        Order is that of `sort_and_deduplicate`, also between calls.
        """
        if len(batch) == 0:
            return
        batch = with_names_in_rest(batch, keep=self._names)
        assert self._has_rest or batch.metadata_rest is None
        self._chunks.append(batch)
        weights = batch.line_bytes() + batch.metadata_bytes() // METADATA_WEIGHT_RATIO
        ends = np.cumsum(weights)
        stream_ends = np.flatnonzero(batch.stream[1:] != batch.stream[:-1]) + 1
        start = 0
        while start < len(batch):
            end = self._row_group_end(ends, stream_ends, start)
            before = int(ends[start - 1]) if start else 0
            piece = batch.slice(start, min(end, len(batch)))
            self._open.append(piece)
            self._open_bytes += int(ends[start + len(piece) - 1]) - before
            if end <= len(batch):
                self._write_row_group()
            start = end

    def close(self) -> PackSummary:
        """Write the footer and return what was written; the sink stays open."""
        if self._open:
            self._write_row_group()
        parquet = self._parquet or self._new_parquet_writer(None)
        chunks = self._chunks.chunks([g["rows"] for g in self._row_groups])
        row_groups = pl.DataFrame(
            self._row_groups, schema=pack_format.ROW_GROUP_COLUMNS
        )
        parquet.add_key_value_metadata(
            {
                pack_format.KEY_VERSION: str(pack_format.FORMAT_VERSION),
                KEY_TENANT: self._tenant,
                KEY_WRITER: self._writer,
                pack_format.KEY_CHUNKS: text_of_table(chunks),
                pack_format.KEY_ROW_GROUPS: text_of_table(row_groups),
            }
        )
        footer_bytes = self._sink.write_end(parquet)
        return PackSummary(
            chunks,
            self._sink.written,
            self._sink.sha256.hexdigest(),
            footer_bytes,
            int(chunks["rows"].sum()),
            int(chunks["bytes"].sum()),
        )

    def _row_group_end(self, ends: _Ints, stream_ends: _Ints, start: int) -> int:
        """Return where the open row group ends; beyond the rows if they fit."""
        before = int(ends[start - 1]) if start else 0
        wanted = before + self._row_group_bytes - self._open_bytes
        end = max(int(np.searchsorted(ends, wanted)) + 1, start + 1)
        near = np.searchsorted(stream_ends, end)
        for stream_end in stream_ends[max(near - 1, 0) : near + 1].tolist():
            distance = abs(int(ends[stream_end - 1]) - wanted)
            if stream_end > start and distance <= self._slack_bytes:
                end = stream_end
                break
        return min(end, start + ROW_GROUP_ROWS_MAX - sum(map(len, self._open)))

    def _write_row_group(self) -> None:
        pieces, self._open, self._open_bytes = self._open, [], 0
        table = pa.concat_tables([_table_of(piece, self._schema) for piece in pieces])
        if len(pieces) > 1:
            table = table.unify_dictionaries()
        if self._parquet is None:
            self._parquet = self._new_parquet_writer(table)
        with self._sink:
            self._parquet.write_table(table, row_group_size=len(table))
        self._row_groups.append(
            {
                "rows": len(table),
                "line_bytes": sum(int(p.line_bytes().sum()) for p in pieces),
                "min_ns": min(int(p.timestamp_ns.min()) for p in pieces),
                "max_ns": max(int(p.timestamp_ns.max()) for p in pieces),
            }
        )

    def _new_parquet_writer(self, sample: "pa.Table | None") -> "pq.ParquetWriter":
        names = [pack_format.METADATA_PREFIX + name for name in self._names]
        repeating = [n for n in names if sample is None or _repeats(sample[n])]
        encodings = dict.fromkeys(set(names) - set(repeating), "PLAIN")
        encodings |= {
            "stream": "PLAIN",
            "timestamp": "DELTA_BINARY_PACKED",
            "line": "PLAIN",
        }
        with self._sink:
            return pq.ParquetWriter(
                self._sink,
                self._schema,
                compression="zstd",
                compression_level=ZSTD_LEVEL,
                use_dictionary=["labels", _REST_KEYS, *repeating],
                column_encoding=encodings,
                write_statistics=["stream", "timestamp"],
                write_page_checksum=True,
                data_page_size=_DATA_PAGE_BYTES,
                write_batch_size=_WRITE_BATCH_ROWS,
            )


class _CheckedSink:
    """Passes on what Parquet writes, and notes size, hash and checksum of it.

    Takes bytes only inside `with`, so that a Parquet writer that is thrown away
    after an error, and closes itself, does not write to what is gone.
    """

    closed = False

    def __init__(self, sink: ByteSink) -> None:
        self._sink = sink
        self._is_used = False
        self._end: list[bytes] | None = None
        self._lengths: list[int] = []
        self._crcs: list[int] = []
        self.sha256 = hashlib.sha256()
        self.written = 0

    def __enter__(self) -> None:
        self._is_used = True

    def __exit__(self, *_: object) -> None:
        self._is_used = False

    def write(self, data: Any) -> int:
        """Take the next bytes; called by Parquet."""
        length = len(data)
        if not self._is_used or not length:
            return length
        if self._end is not None:
            self._end.append(bytes(data))
            return length
        self._lengths.append(length)
        self._crcs.append(crc32c(data))
        self._pass_on(data)
        return length

    def flush(self) -> None:
        """Do nothing; called by Parquet."""

    def write_end(self, parquet: "pq.ParquetWriter") -> int:
        """Let Parquet write its footer, and the checks before it.

        Returns how many bytes from the end hold both.
        """
        self._end = []
        with self:
            parquet.close()
        end = b"".join(self._end)
        assert pack_format.is_footer(end)
        checks = pack_format.encode_checks(self._lengths, self._crcs, end)
        self._pass_on(checks)
        self._pass_on(end)
        return len(checks) + len(end)

    def _pass_on(self, data: Any) -> None:
        self.sha256.update(data)
        self._sink.write(data)
        self.written += len(data)


def _table_of(batch: EntryBatch, schema: "pa.Schema") -> "pa.Table":
    number, first = _renumbered(batch)
    fingerprints = [batch.streams[s].fingerprint for s in first.tolist()]
    texts = pa.array([batch.streams[s].text for s in first.tolist()], pa.string())
    columns = {
        "stream": pa.array(np.array(fingerprints, dtype=np.uint64)[number]),
        "timestamp": pa.array(batch.timestamp_ns).cast(pack_format.TIMESTAMP_TYPE),
        "line": batch.line,
        "labels": pa.DictionaryArray.from_arrays(pa.array(number), texts),
        pack_format.REST_NAME: batch.metadata_rest,
    }
    prefix = pack_format.METADATA_PREFIX
    columns |= {prefix + name: values for name, values in batch.metadata.items()}
    return pa.table(
        [
            pa.nulls(len(batch), field.type)
            if columns.get(field.name) is None
            else columns[field.name]
            for field in schema
        ],
        schema=schema,
    )


def _renumbered(batch: EntryBatch) -> "tuple[npt.NDArray[np.int32], npt.NDArray[Any]]":
    """Return streams numbered from 0 by row, and the stream of each number."""
    changes = batch.stream[1:] != batch.stream[:-1]
    number = np.concatenate(([0], np.cumsum(changes))).astype(np.int32)
    starts = np.concatenate(([0], np.flatnonzero(changes) + 1))
    return number, batch.stream[starts]


def _repeats(values: "pa.ChunkedArray") -> bool:
    """Return whether values occur often enough for a dictionary to be worth it."""
    sample = values.slice(0, _SAMPLE_ROWS).drop_null()
    return bool(pc.count_distinct(sample).as_py() * 2 <= len(sample))
