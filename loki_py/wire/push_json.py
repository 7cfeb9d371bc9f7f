"""Decode JSON push bodies into columns: the v1 shape and the legacy one.

    v1     := {"streams": [{"stream": {name: value}, "values": [entry]}]}
    entry  := [ns, line] | [ns, line, {name: value}]     all of them strings
    legacy := {"streams": [{"labels": text, "entries": [{"ts": time, "line": line}]}]}

Most bodies hold pairs of strings only; they are decoded as tuples. A body that
has anything else is decoded again by the next, more tolerant, decoder.
"""

from collections.abc import Callable, Sequence
from itertools import chain
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from loki_py.errors import ValidationFailed
from loki_py.model.batch import EntryBatch
from loki_py.model.labels import LabelSet
from loki_py.wire.label_cache import LabelCache
from loki_py.wire.label_text import (
    check_count,
    check_labels_bytes,
    labels_of_json,
    parse_labels,
)
from loki_py.wire.metadata import metadata_columns
from loki_py.wire.text import valid_utf8_of
from loki_py.wire.timestamps import NotTimestamp, parse_timestamps

BRACKETS_MAX = 2_000_000
"""Arrays, and objects, in a body, those in its texts included.

A body of nothing but tiny values would take thirty times its size in memory.
No honest body under 100 MB has so many.
"""

TYPED_BODY_BYTES_MAX = 4 << 20
"""Bodies up to this size are decoded at once, structured metadata and all.

Of a larger one the metadata is measured before it becomes objects.
"""

PREFIX = "loghttp.PushRequest.Streams: []loghttp.LogProtoStream: unmarshalerDecoder: "
"""How Loki's decoder starts each error about a body's streams."""

_NOT_TEXT = "Value is string, but can't find closing '\"' symbol"
_NOT_OBJECT = "Value looks like object, but can't find closing '}' symbol"
_NOT_ARRAY = "Value is array, but can't find closing ']' symbol"
_EXPECTED = {"`str": _NOT_TEXT, "`object": _NOT_OBJECT, "`array": _NOT_ARRAY}

_NOTHING = msgspec.Raw(b"")


class _Entry(msgspec.Struct, array_like=True, gc=False):
    timestamp: str = ""
    line: str = ""
    metadata: msgspec.Raw = _NOTHING


_NO_METADATA: dict[str, str] = {}


class _TypedEntry(msgspec.Struct, array_like=True, gc=False):
    timestamp: str = ""
    line: str = ""
    metadata: dict[str, str] = msgspec.field(default_factory=lambda: _NO_METADATA)


class _PairStream(msgspec.Struct, gc=False):
    stream: msgspec.Raw = _NOTHING
    values: list[tuple[str, str]] = []


class _EntryStream(msgspec.Struct, gc=False):
    stream: msgspec.Raw = _NOTHING
    values: list[_Entry] = []


class _TypedStream(msgspec.Struct, gc=False):
    stream: msgspec.Raw = _NOTHING
    values: list[_TypedEntry] = []


class _NullableStream(msgspec.Struct, gc=False):
    stream: msgspec.Raw = _NOTHING
    values: list[_Entry | None] | None = None


class _LegacyEntry(msgspec.Struct, gc=False):
    ts: str = ""
    line: str = ""


class _LegacyStream(msgspec.Struct, gc=False):
    labels: str = ""
    entries: list[_LegacyEntry] = []


class _Pairs(msgspec.Struct):
    streams: list[_PairStream] = []


class _Entries(msgspec.Struct):
    streams: list[_EntryStream] = []


class _Typed(msgspec.Struct):
    streams: list[_TypedStream] = []


class _Nullables(msgspec.Struct):
    streams: list[_NullableStream | None] | None = None


class _Legacy(msgspec.Struct):
    streams: list[_LegacyStream] = []


class JsonDecoder:
    """Turns JSON bodies into batches; remembers the labels it has seen."""

    def __init__(self, cache: LabelCache) -> None:
        self._cache = cache
        self._pairs = msgspec.json.Decoder(_Pairs)
        self._entries = msgspec.json.Decoder(_Entries)
        self._typed = msgspec.json.Decoder(_Typed)
        self._nullables = msgspec.json.Decoder(_Nullables)
        self._legacy = msgspec.json.Decoder(_Legacy)
        self._labels = msgspec.json.Decoder(dict[str, str] | None)
        self._loose_labels = msgspec.json.Decoder(dict[str, msgspec.Raw])
        self._metadata = msgspec.json.Decoder(list[dict[str, str]])

    def decode(self, body: bytes) -> EntryBatch:
        """Return the entries of a v1 body; its streams may be none.

        Raises: ValidationFailed, BodyTooLarge.
        """
        _check_brackets(body)
        return _guarded(self._decode, body)

    def decode_legacy(self, body: bytes) -> EntryBatch:
        """Return the entries of a body of `/api/prom/push`.

        Raises: ValidationFailed, BodyTooLarge.
        """
        _check_brackets(body)
        return _guarded(self._decode_legacy, body)

    def _decode(self, body: bytes) -> EntryBatch:
        try:
            return self._batch_of_pairs(self._pairs.decode(body).streams)
        except msgspec.ValidationError:
            pass
        try:
            if len(body) <= TYPED_BODY_BYTES_MAX:
                return self._batch_of_entries(self._typed.decode(body).streams)
            return self._batch_of_entries(self._entries.decode(body).streams)
        except msgspec.ValidationError:
            found = filter(None, self._nullables.decode(body).streams or ())
            return self._batch_of_entries(
                [
                    _EntryStream(item.stream, list(filter(None, item.values or ())))
                    for item in found
                ]
            )

    def _batch_of_pairs(self, streams: Sequence[_PairStream]) -> EntryBatch:
        values = [stream.values for stream in streams]
        flat = list(chain.from_iterable(chain.from_iterable(values)))
        return EntryBatch(
            self._label_sets(streams),
            _stream_column(values),
            parse_timestamps(flat[::2]),
            pa.array(flat[1::2], pa.large_string()),
        )

    def _batch_of_entries(
        self, streams: Sequence[_TypedStream] | Sequence[_EntryStream]
    ) -> EntryBatch:
        values = [stream.values for stream in streams]
        entries: list[Any] = list(chain.from_iterable(values))
        columns, rest = self._metadata_of(entries)
        return EntryBatch(
            self._label_sets(streams),
            _stream_column(values),
            parse_timestamps(list(map(attrgetter("timestamp"), entries))),
            pa.array(list(map(attrgetter("line"), entries)), pa.large_string()),
            columns,
            rest,
        )

    def _metadata_of(
        self, entries: Sequence[_TypedEntry] | Sequence[_Entry]
    ) -> tuple[Any, Any]:
        objects = list(map(attrgetter("metadata"), entries))
        if objects and isinstance(objects[0], msgspec.Raw):
            objects = self._decoded_metadata(objects)
        counts = np.fromiter(map(len, objects), np.int64, len(objects))
        if not counts.any():
            return {}, None
        return metadata_columns(
            np.repeat(np.arange(len(objects)), counts),
            pa.array(list(chain.from_iterable(objects)), pa.large_string()),
            pa.array(
                list(chain.from_iterable(map(dict.values, objects))),
                pa.large_string(),
            ),
            count=len(entries),
        )

    def _decoded_metadata(self, raw: Sequence[msgspec.Raw]) -> list[dict[str, str]]:
        texts = [bytes(text) or b"{}" for text in raw]
        # One entry's metadata is decoded only if it is not itself a bomb.
        check_labels_bytes(max(map(len, texts)))
        return self._metadata.decode(b"[" + b",".join(texts) + b"]")

    def _label_sets(
        self,
        streams: Sequence[_PairStream]
        | Sequence[_TypedStream]
        | Sequence[_EntryStream],
    ) -> list[LabelSet]:
        keys = list(map(bytes, map(attrgetter("stream"), streams)))
        return self._cache.get_all(keys, self._parsed_labels)

    def _parsed_labels(self, key: bytes) -> LabelSet:
        check_labels_bytes(len(key))
        try:
            labels = self._labels.decode(key or b"{}") or {}
        except msgspec.ValidationError:
            # Loki takes the text of whatever stands for a value.
            loose = self._loose_labels.decode(key)
            labels = {name: _text_of(value) for name, value in loose.items()}
        return labels_of_json(labels)

    def _decode_legacy(self, body: bytes) -> EntryBatch:
        streams = self._legacy.decode(body).streams
        values = [stream.entries for stream in streams]
        entries = list(chain.from_iterable(values))
        return EntryBatch(
            self._cache.get_all(
                [stream.labels.encode() for stream in streams],
                lambda key: parse_labels(key.decode()),
            ),
            _stream_column(values),
            _parse_times([entry.ts for entry in entries]),
            pa.array([entry.line for entry in entries], pa.large_string()),
        )


def _check_brackets(body: bytes) -> None:
    """Raise BodyTooLarge for a body of more tiny values than memory is for."""
    if len(body) <= BRACKETS_MAX:
        return
    data = np.frombuffer(body, np.uint8)
    for bracket, what in ((b"[", "arrays"), (b"{", "objects")):
        count = int(np.count_nonzero(data == bracket[0]))
        check_count(count, what=what, count_max=BRACKETS_MAX)


def _guarded(decode: Callable[[bytes], EntryBatch], body: bytes) -> EntryBatch:
    """Return what `decode` returns; every way a body can be bad is a rejection."""
    try:
        try:
            return decode(body)
        except UnicodeDecodeError:
            return decode(valid_utf8_of(body))
    except RecursionError:
        raise ValidationFailed(PREFIX + "exceeded max depth") from None
    except (msgspec.DecodeError, NotTimestamp) as error:
        raise ValidationFailed(PREFIX + _reason_of(error)) from None


def _reason_of(error: Exception) -> str:
    text = str(error)
    for expected, reason in _EXPECTED.items():
        if text.startswith(f"Expected {expected}"):
            return reason
    return text


def _text_of(value: msgspec.Raw) -> str:
    text = bytes(value)
    if text.startswith(b'"'):
        return msgspec.json.decode(text, type=str)
    return text.decode()


def _stream_column(values: Sequence[Sequence[Any]]) -> Any:
    counts = np.fromiter(map(len, values), np.int64, len(values))
    return np.repeat(np.arange(len(values), dtype=np.uint32), counts)


def _parse_times(texts: Sequence[str]) -> Any:
    try:
        times = pa.array(texts, pa.string()).cast(pa.timestamp("ns", "UTC"))
    except pa.ArrowInvalid:
        raise NotTimestamp("parsing time: not an RFC 3339 time") from None
    return times.cast(pa.int64()).to_numpy()
