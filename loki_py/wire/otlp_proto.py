"""Decode OTLP log bodies in protobuf (ExportLogsServiceRequest) into columns.

The protobuf runtime finds the records, as bytes; their fields, attributes and
values are read at once by `proto_fields`. Values that are lists or maps, which
few are, are read one by one by the runtime.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource as ResourceMessage

from loki_py.config.otlp import OtlpRules
from loki_py.errors import ValidationFailed
from loki_py.model.batch import Rows
from loki_py.wire.label_text import check_count
from loki_py.wire.otlp_batch import (
    SEVERITY_TEXT,
    Attributes,
    Pairs,
    Records,
    Resource,
    Texts,
    resource_of,
    scope_metadata_of,
    split_attributes,
    texts_of_numbers,
)
from loki_py.wire.otlp_values import text_of, value_of_message
from loki_py.wire.proto_fields import (
    BYTES,
    FIXED32,
    FIXED64,
    VARINT,
    FieldReader,
    Found,
)
from loki_py.wire.text import texts_of_spans
from loki_py.wire.wire_scan import PADDING

RECORDS_MAX = 2_000_000
"""Records of a body; each takes more memory than the two bytes it may be."""
RESOURCES_KEPT_MAX = 10_000
"""Resources whose labels are remembered."""

_TIME, _SEVERITY, _SEVERITY_TEXT, _BODY, _ATTRIBUTES = 1, 2, 3, 5, 6
_DROPPED, _FLAGS, _TRACE, _SPAN, _OBSERVED, _EVENT = 7, 8, 9, 10, 11, 12
_STRING, _BOOL, _INT, _DOUBLE, _ARRAY, _MAP, _BYTES = 1, 2, 3, 4, 5, 6, 7
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)
_TEXT = pa.large_string()

_FIELD = descriptor_pb2.FieldDescriptorProto
_SCHEMA = {
    # message: (field, number, type), messages by name
    "Scope": (("scope", 1, _FIELD.TYPE_BYTES), ("records", 2, _FIELD.TYPE_BYTES)),
    "Group": (("resource", 1, _FIELD.TYPE_BYTES), ("Scope", 2, _FIELD.TYPE_MESSAGE)),
    "Request": (("Group", 1, _FIELD.TYPE_MESSAGE),),
}
_REPEATED = {"records", "Scope", "Group"}


class OtlpProtoDecoder:
    """Turns protobuf bodies into records; remembers the resources it has seen."""

    def __init__(self) -> None:
        pool = descriptor_pool.DescriptorPool()
        pool.Add(_file_descriptor())
        self._request = message_factory.GetMessageClass(
            pool.FindMessageTypeByName("otlp.Request")
        )
        self._rules = OtlpRules()
        self._resources: dict[bytes, Resource] = {}

    def decode(self, body: bytes, rules: OtlpRules) -> Records:
        """Return the records of an uncompressed body; they may be none.

        Raises: ValidationFailed, BodyTooLarge.
        """
        try:
            groups = self._request.FromString(body).Group  # type: ignore[attr-defined]
            return self._records(groups, rules)
        except DecodeError as error:
            raise ValidationFailed(f"proto: {error}") from None

    def _records(self, groups: Any, rules: OtlpRules) -> Records:
        resources, scopes, resource, parts = [], [], [], []
        for position, group in enumerate(groups):
            resources.append(self._resource(group.resource, rules))
            for scope in group.Scope:
                scopes.append(_scope_metadata(scope.scope, rules))
                resource.append(position)
                parts.append(scope.records)
        counts = np.array([len(part) for part in parts], np.int64)
        check_count(int(counts.sum()), what="records", count_max=RECORDS_MAX)
        messages = [record for part in parts for record in part]
        data = b"".join([*messages, PADDING])
        end = np.cumsum(np.fromiter(map(len, messages), np.int64, len(messages)))
        start = np.concatenate([[0], end[:-1]]).astype(np.int64)[: len(messages)]
        read = _RecordReader(data, start, end)
        attributes, labels = split_attributes(*read.attributes(), rules)
        return Records(
            np.repeat(np.arange(len(parts)), counts),
            scopes,
            np.array(resource, np.int64),
            resources,
            read.time_ns(_TIME),
            read.time_ns(_OBSERVED),
            read.body(),
            read.columns(),
            attributes,
            labels,
        )

    def _resource(self, message: bytes, rules: OtlpRules) -> Resource:
        if rules is not self._rules or len(self._resources) >= RESOURCES_KEPT_MAX:
            self._rules, self._resources = rules, {}
        known = self._resources.get(message)
        if known is None:
            read = ResourceMessage.FromString(message)
            pairs = [(a.key, value_of_message(a.value)) for a in read.attributes]
            known = self._resources[message] = resource_of(pairs, rules)
        return known


def _scope_metadata(message: bytes, rules: OtlpRules) -> Pairs:
    if not message:
        return ()
    read = InstrumentationScope.FromString(message)
    return scope_metadata_of(
        [(each.key, value_of_message(each.value)) for each in read.attributes],
        name=read.name,
        version=read.version,
        dropped_count=read.dropped_attributes_count,
        rules=rules,
    )


class _RecordReader:
    """The records of one body, field by field."""

    def __init__(self, data: bytes, start: Rows, end: Rows) -> None:
        self._data = data
        self._reader = FieldReader(data)
        self._count = len(start)
        self._start = start
        self._fields = self._reader.read(start, end)

    def time_ns(self, number: int) -> Rows:
        """Return a time of each record, 0 where it has none."""
        found = self._fields.of(number, FIXED64)
        times = np.zeros(self._count, np.int64)
        words = self._reader.numbers_at(found.start, size=8)
        times[found.rows] = np.minimum(words, np.uint64(2**63 - 1)).astype(np.int64)
        return times

    def columns(self) -> dict[str, Texts]:
        """Return the fields that are set in any record."""
        numbers = {
            "severity_number": self._varints(_SEVERITY),
            "dropped_attributes_count": self._varints(_DROPPED),
            "flags": self._fixed32(_FLAGS),
        }
        columns = {
            name: texts_of_numbers(values, values != 0)
            for name, values in numbers.items()
            if values.any()
        }
        texts = {
            SEVERITY_TEXT: self._text(_SEVERITY_TEXT),
            "trace_id": self._hex(_TRACE, size=16, name="TraceID"),
            "span_id": self._hex(_SPAN, size=8, name="SpanID"),
            "event_name": self._text(_EVENT),
        }
        return columns | {n: v for n, v in texts.items() if v is not None}

    def body(self) -> Texts:
        """Return the body of each record as text, "" where it has none."""
        found = _last_of(self._fields.of(_BODY, BYTES))
        texts, nested = self._values(found.start, found.end)
        if nested:
            texts = _replaced(texts, {i: text_of(v) for i, v in nested.items()})
        if len(found.rows) == self._count:
            return texts
        position = np.full(self._count, len(texts), np.int64)
        position[found.rows] = np.arange(len(texts))
        return pa.concat_arrays([texts, pa.array([""], _TEXT)]).take(pa.array(position))

    def attributes(self) -> tuple[Attributes, Mapping[int, Any]]:
        """Return the attributes of all records, and the values that are maps."""
        found = self._fields.of(_ATTRIBUTES, BYTES)
        order = np.argsort(found.start, kind="stable")
        start, end = found.start[order], found.end[order]
        parts = self._reader.read(start, end)
        names = _spans_of(parts.of(1, BYTES), start)
        values = _spans_of(parts.of(2, BYTES), start)
        texts, nested = self._values(*values)
        return (
            Attributes(found.rows[order], texts_of_spans(self._data, *names), texts),
            nested,
        )

    def _values(self, start: Rows, end: Rows) -> tuple[Texts, dict[int, Any]]:
        """Return the text of each AnyValue, and the maps, by position."""
        fields = self._reader.read(start, end)
        strings = fields.of(_STRING, BYTES)
        texts = texts_of_spans(self._data, *_spans_of(strings, start))
        if len(strings.rows) == len(start):
            return texts, {}
        changed: dict[int, str] = {}
        numbers = fields.of(_INT, VARINT)
        nested: dict[int, Any] = {}
        for number, wire_type in (
            (_BOOL, VARINT), (_DOUBLE, FIXED64), (_ARRAY, BYTES), (_MAP, BYTES),
            (_BYTES, BYTES),
        ):  # fmt: skip
            for row in fields.of(number, wire_type).rows.tolist():
                read = AnyValue.FromString(self._data[start[row] : end[row]])
                value = value_of_message(read)
                if isinstance(value, dict):
                    nested[row] = value
                else:
                    changed[row] = text_of(value)
        position = np.arange(len(texts))
        position[numbers.rows] = len(texts) + np.arange(len(numbers.rows))
        digits = pa.array(numbers.number).cast(_TEXT)
        texts = pa.concat_arrays([texts, digits]).take(pa.array(position))
        return _replaced(texts, changed), nested

    def _varints(self, number: int) -> Rows:
        found = self._fields.of(number, VARINT)
        values = np.zeros(self._count, np.int64)
        values[found.rows] = found.number
        return values

    def _fixed32(self, number: int) -> Rows:
        found = self._fields.of(number, FIXED32)
        values = np.zeros(self._count, np.int64)
        words = self._reader.numbers_at(found.start, size=4)
        values[found.rows] = words.astype(np.int64)
        return values

    def _text(self, number: int) -> Texts | None:
        found = _last_of(self._fields.of(number, BYTES))
        filled = found.end > found.start
        if not filled.any():
            return None
        rows, start, end = found.rows[filled], found.start[filled], found.end[filled]
        return self._scattered(rows, texts_of_spans(self._data, start, end))

    def _hex(self, number: int, *, size: int, name: str) -> Texts | None:
        """Return ids as hexadecimal digits; null where all of it is zero."""
        found = _last_of(self._fields.of(number, BYTES))
        lengths = found.end - found.start
        if not np.isin(lengths, (0, size)).all():
            raise ValidationFailed(f"proto: invalid length for {name}")
        start, rows = found.start[lengths > 0], found.rows[lengths > 0]
        buffer = np.frombuffer(self._data, np.uint8)
        ids = buffer[start[:, None] + np.arange(size)]
        is_set = ids.any(axis=1)
        if not is_set.any():
            return None
        ids, rows = ids[is_set], rows[is_set]
        digits = np.stack([_HEX[ids >> 4], _HEX[ids & 15]], axis=2)
        offsets = np.arange(len(ids) + 1, dtype=np.int64) * (2 * size)
        texts = pa.LargeStringArray.from_buffers(
            len(ids), pa.py_buffer(offsets), pa.py_buffer(digits.tobytes())
        )
        return self._scattered(rows, texts)

    def _scattered(self, rows: Rows, texts: Texts) -> Texts:
        """Return a value per record, null where `rows` does not name it."""
        if len(rows) == self._count:
            return texts
        position = np.full(self._count, -1, np.int64)
        position[rows] = np.arange(len(rows))
        return texts.take(pa.array(position, mask=position < 0))


def _last_of(found: Found) -> Found:
    """Return one occurrence for each message, the last, in their order."""
    rows = found.rows
    if len(rows) < 2 or (np.diff(rows) > 0).all():
        return found
    _, last = np.unique(rows[::-1], return_index=True)
    index = len(rows) - 1 - last
    return Found(rows[index], found.start[index], found.end[index], found.number[index])


def _spans_of(found: Found, default: Rows) -> tuple[Rows, Rows]:
    """Return where a field lies in each message; an empty span where it is not."""
    start, end = default.copy(), default.copy()
    start[found.rows] = found.start
    end[found.rows] = found.end
    return start, end


def _replaced(texts: Texts, by_position: Mapping[int, str]) -> Texts:
    if not by_position:
        return texts
    position = np.arange(len(texts))
    position[list(by_position)] = len(texts) + np.arange(len(by_position))
    others = pa.array(list(by_position.values()), _TEXT)
    return pa.concat_arrays([texts, others]).take(pa.array(position))


def _file_descriptor() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="otlp.proto", package="otlp", syntax="proto3"
    )
    for name, fields in _SCHEMA.items():
        message = file.message_type.add(name=name)
        for field, number, kind in fields:
            added = message.field.add(name=field, number=number, type=kind)
            repeated = field in _REPEATED
            added.label = _FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
            if kind == _FIELD.TYPE_MESSAGE:
                added.type_name = f".otlp.{field}"
    return file
