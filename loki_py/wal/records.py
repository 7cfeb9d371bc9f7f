"""Turn what an ingester accepted into WAL records, and back.

Format of the payloads (docs/formats/wal.md, version 1), integers little-endian:

    series  := tenant_bytes:u32  count:u32  tenant:u8[tenant_bytes]  one_series*
    one_series := ref:u32  texts:u32  text_bytes:u32[texts]  text*
    entries := tenant_bytes:u32  names:u32  flags:u32  name_bytes:u32[names]
               tenant:u8[tenant_bytes]  name*  zeros:u8[to a multiple of 8]
               Arrow record batch message, without its schema

The texts of a series are name, value, name, value, … in label order. The
columns of the record batch are `ref` u32, `timestamp` i64 (ns), `line`
large_string, one large_string `md:<name>` per name of the header, and
`metadata_rest` map<large_string, large_string> where flag 1 is set.

A ref stands for a stream of the tenant within one segment: a series record
comes before the first entry with its ref, in the same segment, so that every
segment can be read without the others.

Pure: bytes in, bytes out. Framing and checksums are the job of `wal.segment`.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loki_py.encoding.checksum import Buffer
from loki_py.encoding.decbuf import Decbuf
from loki_py.encoding.framing import FRAME_PAYLOAD_BYTES_MAX
from loki_py.errors import BodyTooLarge, CorruptData
from loki_py.model.batch import REST_TYPE, EntryBatch, Timestamps
from loki_py.model.labels import LabelSet

Refs = npt.NDArray[np.uint32]

RECORD_BYTES_MAX = FRAME_PAYLOAD_BYTES_MAX
"""A batch whose record would be longer is refused before it is written."""

_HAS_REST = 1
_HEADERS_CACHED_MAX = 256
_SCHEMAS_CACHED_MAX = 256


class RecordKind(IntEnum):
    """What a record holds; numbers are on disk and never reused."""

    SERIES = 1
    ENTRIES = 2


class Record(NamedTuple):
    """A record to be written.

    Attributes:
        kind: what the payload is.
        payload: its bytes, in pieces for `os.writev`; never joined.
    """

    kind: RecordKind
    payload: Sequence[Buffer]


class SeriesRecord(NamedTuple):
    """Streams of one tenant with the refs that stand for them."""

    tenant: str
    series: Sequence[tuple[int, LabelSet]]


@dataclass(frozen=True, slots=True)
class EntriesRecord:
    """Entries of one tenant; the columns lie in the bytes they were read from.

    Attributes:
        ref: u32[n], which stream of the segment each row belongs to.
        timestamp_ns: i64[n].
        line: large_string[n].
        metadata: name to nullable large_string[n].
        metadata_rest: as in `EntryBatch`.
    """

    tenant: str
    ref: Refs
    timestamp_ns: Timestamps
    line: "pa.LargeStringArray"
    metadata: Mapping[str, "pa.LargeStringArray"]
    metadata_rest: "pa.MapArray | None"


def encode_series(tenant: str, series: Iterable[tuple[int, LabelSet]]) -> Record:
    """Return the record that gives each ref its label set."""
    tenant_raw = tenant.encode()
    parts = []
    for ref, labels in series:
        texts = [text.encode() for pair in labels.pairs for text in pair]
        head = struct.pack(f"<{len(texts) + 2}I", ref, len(texts), *map(len, texts))
        parts.append(head + b"".join(texts))
    head = struct.pack("<II", len(tenant_raw), len(parts))
    payload = b"".join((head, tenant_raw, *parts))
    _check_size(len(payload), tenant)
    return Record(RecordKind.SERIES, [payload])


def decode_series(payload: Buffer) -> SeriesRecord:
    """Return what `encode_series` was given.

    Raises: CorruptData where the payload is not of the format.
    """
    buf = Decbuf(payload)
    tenant_bytes, count = buf.u32le(), buf.u32le()
    tenant = buf.text(tenant_bytes)
    return SeriesRecord(tenant, [_one_series(buf) for _ in range(count)])


def _one_series(buf: Decbuf) -> tuple[int, LabelSet]:
    ref, count = buf.u32le(), buf.u32le()
    if count % 2:
        raise CorruptData(f"series {ref} has {count} texts, not pairs")
    ends = list(accumulate(buf.u32le_array(count)))
    raw = buf.take(ends[-1] if ends else 0)
    try:
        texts = [raw[start:end].decode() for start, end in pairwise([0, *ends])]
    except UnicodeDecodeError as error:
        raise CorruptData(f"labels of series {ref} are not UTF-8") from error
    return ref, LabelSet(tuple(zip(texts[0::2], texts[1::2], strict=True)))


def encode_entries(tenant: str, refs: Refs, batch: EntryBatch) -> Record:
    """Return the record of the batch's rows.

    Args:
        refs: u32[n], the ref of each row's stream.

    Raises: BodyTooLarge where the record would exceed RECORD_BYTES_MAX.
    """
    assert len(refs) == len(batch)
    assert batch.line is not None
    names = tuple(batch.metadata)
    rest = batch.metadata_rest
    columns = [
        _array_of(pa.uint32(), refs),
        _array_of(pa.int64(), batch.timestamp_ns),
        batch.line,
        *batch.metadata.values(),
    ]
    if rest is not None:
        columns.append(rest)
    schema = _schema_of(names, has_rest=rest is not None)
    message = pa.RecordBatch.from_arrays(columns, schema=schema).serialize()
    head = _entries_head(tenant, names, has_rest=rest is not None)
    _check_size(len(head) + len(message), tenant)
    return Record(RecordKind.ENTRIES, [head, message])


def decode_entries(payload: Buffer) -> EntriesRecord:
    """Return the rows of a record; columns share the payload's memory.

    Raises: CorruptData where the payload is not of the format.
    """
    buf = Decbuf(payload)
    tenant_bytes, names_count, flags = buf.u32le(), buf.u32le(), buf.u32le()
    lengths = buf.u32le_array(names_count)
    tenant = buf.text(tenant_bytes)
    names = tuple(buf.text(length) for length in lengths)
    buf.align(8)
    schema = _schema_of(names, has_rest=bool(flags & _HAS_REST))
    message = pa.py_buffer(payload).slice(buf.offset)
    try:
        batch = pa.ipc.read_record_batch(message, schema)
    except (pa.ArrowException, OSError, EOFError) as error:
        raise CorruptData(f"entries record holds no record batch: {error}") from error
    columns = batch.columns
    return EntriesRecord(
        tenant,
        columns[0].to_numpy(),
        columns[1].to_numpy(),
        columns[2],
        dict(zip(names, columns[3:], strict=False)),
        columns[-1] if flags & _HAS_REST else None,
    )


@lru_cache(maxsize=_HEADERS_CACHED_MAX)
def _entries_head(tenant: str, names: tuple[str, ...], *, has_rest: bool) -> bytes:
    tenant_raw = tenant.encode()
    raw = [name.encode() for name in names]
    flags = _HAS_REST if has_rest else 0
    head = struct.pack(
        f"<{3 + len(raw)}I", len(tenant_raw), len(raw), flags, *map(len, raw)
    )
    head = b"".join((head, tenant_raw, *raw))
    return head + bytes(-len(head) % 8)


@lru_cache(maxsize=_SCHEMAS_CACHED_MAX)
def _schema_of(names: tuple[str, ...], *, has_rest: bool) -> "pa.Schema":
    fields = [
        pa.field("ref", pa.uint32()),
        pa.field("timestamp", pa.int64()),
        pa.field("line", pa.large_string()),
        *(pa.field(f"md:{name}", pa.large_string()) for name in names),
    ]
    if has_rest:
        fields.append(pa.field("metadata_rest", REST_TYPE))
    return pa.schema(fields)


def _array_of(kind: "pa.DataType", values: "npt.NDArray[np.generic]") -> "pa.Array":
    # Several times cheaper than pa.array() for the columns of a small push.
    data = pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(kind, len(values), [None, data])


def _check_size(payload_bytes: int, tenant: str) -> None:
    if payload_bytes > RECORD_BYTES_MAX:
        raise BodyTooLarge(
            f"batch of tenant {tenant} is {payload_bytes} bytes in the write-ahead "
            f"log; limit is {RECORD_BYTES_MAX}"
        )
