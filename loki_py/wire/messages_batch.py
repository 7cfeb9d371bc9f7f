"""Label sets and entry batches as the payload of a message.

    labels := the canonical text of each label set, joined by newlines
              (a newline inside a value is escaped, so none stands in a text)
    batch  := one Arrow IPC record batch message without its schema: `stream`
              u32, `timestamp` i64, `line` large_string, `md:<name>` nullable
              large_string each, `metadata_rest` map; its shape is in the header

Pure: bytes and batches in and out.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loki_py.errors import CorruptData, RequestRejected
from loki_py.model.batch import METADATA_COLUMNS_MAX, REST_TYPE, EntryBatch
from loki_py.model.labels import LabelSet
from loki_py.wire.label_cache import LabelCache
from loki_py.wire.label_text import parse_labels
from loki_py.wire.messages import BatchShape

NAMES_MAX = METADATA_COLUMNS_MAX

COPIED_BYTES_MAX = 128 << 10
"""A batch of fewer bytes is copied once more on its way into a message."""

PIECE_BYTES = 2 << 20
"""Line and metadata bytes of one message, about."""

_SCHEMAS_CACHED_MAX = 256
_NEWLINE = b"\n"


def encode_labels(streams: Sequence[LabelSet]) -> bytes:
    """Return the texts of label sets."""
    return "\n".join([labels.text for labels in streams]).encode()


def decode_labels(payload: memoryview, cache: LabelCache) -> list[LabelSet]:
    """Return the label sets of texts; those seen before are the same objects.

    Raises: CorruptData.
    """
    if not len(payload):
        return []
    try:
        return cache.get_all(bytes(payload).split(_NEWLINE), _parsed)
    except (RequestRejected, UnicodeDecodeError) as error:
        raise CorruptData(f"label text does not parse: {error}") from error


def shape_of(batch: EntryBatch) -> BatchShape:
    """Return what a reader must know of the batch beforehand."""
    return BatchShape(
        len(batch),
        list(batch.metadata),
        has_line=batch.line is not None,
        has_rest=batch.metadata_rest is not None,
    )


def encode_batch(batch: EntryBatch, stream: "npt.NDArray[np.uint32]") -> "EncodedBatch":
    """Return the columns of a batch, where they lie.

    Args:
        stream: u32[n], what stands in the stream column.
    """
    columns = [_array_of(pa.uint32(), stream)]
    columns.append(_array_of(pa.int64(), batch.timestamp_ns))
    if batch.line is not None:
        columns.append(batch.line)
    columns += batch.metadata.values()
    if batch.metadata_rest is not None:
        columns.append(batch.metadata_rest)
    schema = _schema_of(
        tuple(batch.metadata),
        has_line=batch.line is not None,
        has_rest=batch.metadata_rest is not None,
    )
    record = pa.RecordBatch.from_arrays(columns, schema=schema)
    if record.nbytes < COPIED_BYTES_MAX:
        # Looking at each buffer costs more than a copy of so little.
        return EncodedBatch([record.serialize()])
    return EncodedBatch(_buffers_of(record))


@dataclass(frozen=True, slots=True)
class EncodedBatch:
    """The pieces of a batch's bytes, to be joined into a message."""

    pieces: Sequence[Any]

    def __len__(self) -> int:
        return sum(map(len, self.pieces))


class _Pieces(io.RawIOBase):
    """A file that keeps what is written instead of copying it."""

    def __init__(self) -> None:
        self.pieces: list[Any] = []

    def write(self, data: Any) -> int:
        self.pieces.append(data)
        return len(data)

    def writable(self) -> bool:
        return True


def _buffers_of(record: "pa.RecordBatch") -> list[Any]:
    """Return the message of a record batch as buffers that nobody copied."""
    kept = _Pieces()
    with pa.ipc.new_stream(pa.PythonFile(kept, mode="w"), record.schema) as stream:
        stream.write_batch(record)
        pieces = list(kept.pieces)
    # The stream begins with the schema, which is not part of the message.
    skipped = _schema_bytes_of(record.schema)
    at = 0
    while skipped > 0:
        skipped -= len(pieces[at])
        at += 1
    assert skipped == 0
    return pieces[at:]


def pieces_of(batch: EntryBatch) -> Iterator[EntryBatch]:
    """Yield the rows in pieces that fit into messages, at least one."""
    weight = batch.total_metadata_bytes() + 12 * len(batch)
    if batch.line is not None:
        weight += batch.total_line_bytes()
    count = max(-(-weight // PIECE_BYTES), 1)
    edges = np.linspace(0, len(batch), count + 1).astype(int).tolist()
    for start, end in pairwise(edges):
        yield batch.slice(start, end)


def encode_own(batch: EntryBatch) -> tuple[EncodedBatch, bytes, list[int]]:
    """Return a batch with only its own label sets: columns, texts, positions.

    Positions are those of its label sets in the batch's `streams`.
    """
    used = np.zeros(len(batch.streams), np.bool_)
    used[batch.stream] = True
    present = np.flatnonzero(used)
    number_of = np.zeros(len(used), np.uint32)
    number_of[present] = np.arange(len(present), dtype=np.uint32)
    positions: list[int] = present.tolist()
    columns = encode_batch(batch, number_of[batch.stream])
    return columns, encode_labels([batch.streams[n] for n in positions]), positions


def decode_batch(
    payload: memoryview, shape: BatchShape, streams: Sequence[LabelSet]
) -> EntryBatch:
    """Return the batch; its columns share the payload's memory.

    Raises: CorruptData where the payload is not of the shape, or its rows
    refer to streams that are not there.
    """
    if len(shape.names) > NAMES_MAX:
        raise CorruptData(f"batch has {len(shape.names)} names; limit is {NAMES_MAX}")
    schema = _schema_of(
        tuple(shape.names), has_line=shape.has_line, has_rest=shape.has_rest
    )
    try:
        found = pa.ipc.read_record_batch(pa.py_buffer(payload), schema)
        found.validate()
    except (pa.ArrowException, OSError, EOFError) as error:
        raise CorruptData(f"message holds no record batch: {error}") from error
    stream = found.column(0).to_numpy()
    if len(stream) != shape.rows:
        raise CorruptData(f"batch has {len(stream)} rows; its header {shape.rows}")
    if len(stream) and int(stream.max()) >= len(streams):
        raise CorruptData(f"row refers to stream {stream.max()} of {len(streams)}")
    first = 2 + shape.has_line
    return EntryBatch(
        streams,
        stream,
        found.column(1).to_numpy(),
        found.column(2) if shape.has_line else None,
        dict(zip(shape.names, found.columns[first:], strict=False)),
        found.columns[-1] if shape.has_rest else None,
    )


def _parsed(key: bytes) -> LabelSet:
    return parse_labels(key.decode())


@lru_cache(maxsize=_SCHEMAS_CACHED_MAX)
def _schema_bytes_of(schema: "pa.Schema") -> int:
    return len(schema.serialize())


@lru_cache(maxsize=_SCHEMAS_CACHED_MAX)
def _schema_of(
    names: tuple[str, ...], *, has_line: bool, has_rest: bool
) -> "pa.Schema":
    fields = [pa.field("stream", pa.uint32()), pa.field("timestamp", pa.int64())]
    if has_line:
        fields.append(pa.field("line", pa.large_string()))
    fields += [pa.field(f"md:{name}", pa.large_string()) for name in names]
    if has_rest:
        fields.append(pa.field("metadata_rest", REST_TYPE))
    return pa.schema(fields)


def _array_of(kind: "pa.DataType", values: "npt.NDArray[np.generic]") -> "pa.Array":
    data = pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(kind, len(values), [None, data])
