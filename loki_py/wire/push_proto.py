"""Decode protobuf push bodies (logproto.PushRequest) into columns.

    PushRequest := streams=1: Stream*
    Stream      := labels=1: text  entries=2: Entry*
    Entry       := timestamp=1: Timestamp  line=2: text  metadata=3: LabelPair*
    Timestamp   := seconds=1: varint  nanos=2: varint
    LabelPair   := name=1: text  value=2: text

The protobuf runtime finds the entries, as bytes; what is inside all of them is
read at once by `wire_scan`, which knows the field order that every encoder
writes. Entries in any other form are read one by one by the runtime.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from loki_py.config.units import NS_PER_S
from loki_py.errors import ValidationFailed
from loki_py.model.batch import EntryBatch, Rows, Timestamps
from loki_py.model.labels import LabelSet
from loki_py.wire.label_cache import LabelCache
from loki_py.wire.label_text import (
    check_count,
    check_labels_bytes,
    parse_labels,
)
from loki_py.wire.metadata import metadata_columns
from loki_py.wire.text import texts_of, texts_of_spans, valid_utf8_of
from loki_py.wire.wire_scan import PADDING, Mask, Scanner, usual_entries

ENTRIES_MAX = 2_000_000
"""Entries of a body; each takes more memory than the two bytes it may be."""
METADATA_ROUNDS_MAX = 64
"""Pairs an entry may have before it is read one by one."""

_SECONDS_MAX = 2**63 // NS_PER_S - 1
_TIMESTAMP, _LINE, _PAIR = 0x0A, 0x12, 0x1A
_SECONDS, _NANOS = 0x08, 0x10
_NAME, _VALUE = 0x0A, 0x12

_FIELD = descriptor_pb2.FieldDescriptorProto
_SCHEMA: dict[str, tuple[tuple[str, int, bool], ...]] = {
    # message: (field, type or message, repeated), numbered from 1
    "Request": (("Stream", _FIELD.TYPE_MESSAGE, True),),
    "Stream": (
        ("labels", _FIELD.TYPE_BYTES, False),
        ("entries", _FIELD.TYPE_BYTES, True),
    ),
    "Timestamp": (
        ("seconds", _FIELD.TYPE_INT64, False),
        ("nanos", _FIELD.TYPE_INT32, False),
    ),
    "Pair": (("name", _FIELD.TYPE_BYTES, False), ("value", _FIELD.TYPE_BYTES, False)),
    "Entry": (
        ("Timestamp", _FIELD.TYPE_MESSAGE, False),
        ("line", _FIELD.TYPE_BYTES, False),
        ("Pair", _FIELD.TYPE_MESSAGE, True),
    ),
}


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Structured metadata as found: which row, which name, which value."""

    rows: Rows
    names: "pa.LargeStringArray"
    values: "pa.LargeStringArray"


class ProtoDecoder:
    """Turns protobuf bodies into batches; remembers the labels it has seen."""

    def __init__(self, cache: LabelCache) -> None:
        self._cache = cache
        pool = descriptor_pool.DescriptorPool()
        pool.Add(_file_descriptor())
        self._request, self._entry = (
            message_factory.GetMessageClass(pool.FindMessageTypeByName(f"push.{name}"))
            for name in ("Request", "Entry")
        )

    def decode(self, body: bytes) -> EntryBatch:
        """Return the entries of an uncompressed body; its streams may be none.

        Raises: ValidationFailed, BodyTooLarge.
        """
        try:
            streams = self._request.FromString(body).Stream  # type: ignore[attr-defined]
        except DecodeError:
            raise ValidationFailed("proto: illegal or truncated field") from None
        groups = [stream.entries for stream in streams]
        counts = np.fromiter(map(len, groups), np.int64, len(groups))
        check_count(int(counts.sum()), what="entries", count_max=ENTRIES_MAX)
        labels = self._cache.get_all([s.labels for s in streams], _parsed_labels)
        stream = np.repeat(np.arange(len(groups), dtype=np.uint32), counts)
        return self._batch(labels, stream, list(chain.from_iterable(groups)))

    def _batch(
        self, labels: Sequence[LabelSet], stream: Any, entries: Sequence[bytes]
    ) -> EntryBatch:
        data = b"".join(chain(entries, (PADDING,)))
        sizes = np.fromiter(map(len, entries), np.int64, len(entries))
        end = np.cumsum(sizes)
        found = _scan(Scanner(data), end - sizes, end)
        timestamp_ns, pairs = found.timestamp_ns, found.pairs_in(data)
        line = texts_of_spans(data, found.line_start, found.line_end)
        odd = np.flatnonzero(~found.good)
        if len(odd):
            slow = self._read_one_by_one([entries[row] for row in odd.tolist()])
            timestamp_ns[odd] = slow[0]
            line = _replaced(line, odd, texts_of(slow[1]))
            pairs = _joined(pairs, odd[slow[2].rows], slow[2])
        columns, rest = metadata_columns(
            pairs.rows, pairs.names, pairs.values, count=len(entries)
        )
        return EntryBatch(labels, stream, timestamp_ns, line, columns, rest)

    def _read_one_by_one(
        self, entries: Sequence[bytes]
    ) -> tuple[Timestamps, list[bytes], _Pairs]:
        try:
            read: list[Any] = [self._entry.FromString(entry) for entry in entries]
        except DecodeError:
            raise ValidationFailed("proto: illegal or truncated field") from None
        times = [item.Timestamp for item in read]
        if any(abs(time.seconds) > _SECONDS_MAX for time in times):
            raise ValidationFailed("proto: timestamp out of range")
        stamps = [time.seconds * NS_PER_S + time.nanos for time in times]
        counts = [len(item.Pair) for item in read]
        pairs = [pair for item in read for pair in item.Pair]
        return (
            np.array(stamps, np.int64),
            [item.line for item in read],
            _Pairs(
                np.repeat(np.arange(len(read)), counts),
                texts_of([pair.name for pair in pairs]),
                texts_of([pair.value for pair in pairs]),
            ),
        )


@dataclass(frozen=True, slots=True)
class _Found:
    """What the scan found; in rows that are not good nothing counts."""

    timestamp_ns: Timestamps
    line_start: Rows
    line_end: Rows
    good: Mask
    pairs: list[tuple[Rows, Rows, Rows, Rows, Rows]]

    def pairs_in(self, data: bytes) -> _Pairs:
        """Return the pairs of the good rows, in the order of the buffer."""
        if not self.pairs:
            nothing = pa.array([], pa.large_string())
            return _Pairs(np.zeros(0, np.int64), nothing, nothing)
        pairs = np.concatenate([np.stack(part) for part in self.pairs], 1)
        pairs = pairs[:, self.good[pairs[0]]]
        pairs = pairs[:, np.argsort(pairs[1], kind="stable")]
        texts = texts_of_spans(data, pairs[1::2].T.ravel(), pairs[2::2].T.ravel())
        index = np.arange(0, len(texts), 2)
        return _Pairs(
            pairs[0], texts.take(pa.array(index)), texts.take(pa.array(index + 1))
        )


def _parsed_labels(key: bytes) -> LabelSet:
    check_labels_bytes(len(key))
    return parse_labels(valid_utf8_of(key).decode())


def _scan(scanner: Scanner, start: Rows, end: Rows) -> _Found:
    found = usual_entries(scanner, start, end)
    good = found.usual & (found.nanos < NS_PER_S)
    timestamp_ns = found.seconds * NS_PER_S + found.nanos
    line_start, line_end = found.line.start, found.line.end
    other = (~good).nonzero()[0]
    if len(other):
        rest = _scan_other(scanner, start[other], end[other])
        timestamp_ns[other] = rest.timestamp_ns
        line_start[other], line_end[other] = rest.line_start, rest.line_end
        good[other] = rest.good
    pairs, odd = _scan_pairs(scanner, line_end, end, good)
    good[odd] = False
    other = (~good).nonzero()[0]
    timestamp_ns[other] = 0
    line_start[other] = line_end[other] = start[other]
    return _Found(timestamp_ns, line_start, line_end, good, pairs)


def _scan_other(scanner: Scanner, start: Rows, end: Rows) -> _Found:
    """Read entries that lack a field, or have a time of long ago."""
    outer = scanner.span(start + 1, end=end)
    good = scanner.has_tag(start, _TIMESTAMP, end=end) & outer.good
    seconds, after, whole = scanner.varint(outer.start + 1, end=outer.end)
    good &= scanner.has_tag(outer.start, _SECONDS, end=outer.end) & whole
    good &= seconds <= _SECONDS_MAX
    has_nanos = scanner.has_tag(after, _NANOS, end=outer.end)
    nanos, after_nanos, whole = scanner.varint(after + 1, end=outer.end)
    good &= np.where(has_nanos, whole & (after_nanos == outer.end), after == outer.end)
    good &= ~has_nanos | (nanos < NS_PER_S)
    timestamp_ns = np.where(good, seconds, 0) * NS_PER_S
    timestamp_ns += np.where(good & has_nanos, nanos, 0)

    has_line = scanner.has_tag(outer.end, _LINE, end=end)
    line = scanner.span(outer.end + 1, end=end)
    good &= ~has_line | line.good
    line_start = np.where(has_line, line.start, outer.end)
    line_end = np.where(has_line, line.end, outer.end)
    return _Found(timestamp_ns, line_start, line_end, good, [])


def _scan_pairs(
    scanner: Scanner, at: Rows, end: Rows, good: Mask
) -> tuple[list[tuple[Rows, Rows, Rows, Rows, Rows]], Rows]:
    """Return (row, name start, name end, value start, value end) and odd rows."""
    pairs: list[tuple[Rows, Rows, Rows, Rows, Rows]] = []
    odd = []
    rows = np.flatnonzero(good & (at < end))
    at, end = at[rows], end[rows]
    while len(rows) and len(pairs) < METADATA_ROUNDS_MAX:
        pair = scanner.span(at + 1, end=end)
        name = scanner.span(pair.start + 1, end=pair.end)
        value = scanner.span(name.end + 1, end=pair.end)
        fits = scanner.has_tag(at, _PAIR, end=end) & pair.good
        fits &= scanner.has_tag(pair.start, _NAME, end=pair.end) & name.good
        has_value = scanner.has_tag(name.end, _VALUE, end=pair.end)
        fits &= np.where(
            has_value, value.good & (value.end == pair.end), name.end == pair.end
        )
        value_start = np.where(has_value, value.start, name.end)
        value_end = np.where(has_value, value.end, name.end)
        columns = (rows, name.start, name.end, value_start, value_end)
        odd.append(rows[~fits])
        pairs.append(tuple(column[fits] for column in columns))  # type: ignore[arg-type]
        more = fits & (pair.end < end)
        rows, at, end = rows[more], pair.end[more], end[more]
    return pairs, np.concatenate([*odd, rows])


def _replaced(
    line: "pa.LargeStringArray", rows: Rows, with_lines: "pa.LargeStringArray"
) -> "pa.LargeStringArray":
    index = np.arange(len(line))
    index[rows] = len(line) + np.arange(len(rows))
    return pa.concat_arrays([line, with_lines]).take(pa.array(index))


def _joined(pairs: _Pairs, rows: Rows, more: _Pairs) -> _Pairs:
    return _Pairs(
        np.concatenate([pairs.rows, rows]),
        pa.concat_arrays([pairs.names, more.names]),
        pa.concat_arrays([pairs.values, more.values]),
    )


def _file_descriptor() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="push.proto", package="push", syntax="proto3"
    )
    for name, fields in _SCHEMA.items():
        message = file.message_type.add(name=name)
        for number, (field, kind, repeated) in enumerate(fields, start=1):
            added = message.field.add(name=field, number=number, type=kind)
            added.label = _FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
            if kind == _FIELD.TYPE_MESSAGE:
                added.type_name = f".push.{field}"
    return file
