"""Results to JSON bytes, in the shapes of Loki's query API.

Invariant: `<`, `>`, `&` and the two Unicode line separators leave as escapes,
as Go's encoder writes them, so that an answer may stand inside a page.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from loki_py.api.numbers import seconds_of, text_of, texts_of
from loki_py.api.points import points_of
from loki_py.model.labels import LabelSet
from loki_py.model.results import (
    Categories,
    Data,
    Labels,
    Matrix,
    Scalar,
    Streams,
    Vector,
)

CATEGORIZE_LABELS = "categorize-labels"
_ESCAPES = (
    (b"<", b"\\u003c"),
    (b">", b"\\u003e"),
    (b"&", b"\\u0026"),
    ("\u2028".encode(), b"\\u2028"),
    ("\u2029".encode(), b"\\u2029"),
)
_encoder = msgspec.json.Encoder()


def encode_json(value: Any) -> bytes:
    """Return JSON with everything that HTML could take for markup escaped."""
    encoded = _encoder.encode(value)
    for plain, escaped in _ESCAPES:
        # One byte is found at memory's speed, and mostly there is none.
        if plain[:1] in encoded:
            encoded = encoded.replace(plain, escaped)
    return encoded


def encode_result(
    data: Data, stats: Mapping[str, Any], warnings: Sequence[str] = ()
) -> bytes:
    """Return the answer to a query or a range query."""
    if isinstance(data, Matrix):
        return _encoded_matrix(data, stats, warnings)
    kind, shown = _shown(data)
    told: dict[str, Any] = {"resultType": kind}
    if isinstance(data, Streams) and data.categories is not None:
        told["encodingFlags"] = [CATEGORIZE_LABELS]
    told["result"] = shown
    told["stats"] = stats
    answer: dict[str, Any] = {"status": "success", "data": told}
    if warnings:
        answer["warnings"] = list(warnings)
    encoded = encode_json(answer)
    return encoded + b"\n" if kind == "streams" else encoded


def encode_names(names: Sequence[str]) -> bytes:
    """Return the answer to a labels or label values request.

    Loki leaves `data` out where there is nothing.
    """
    answer: dict[str, Any] = {"status": "success"}
    if names:
        answer["data"] = list(names)
    return encode_json(answer) + b"\n"


def encode_series(series: Iterable[LabelSet]) -> bytes:
    """Return the answer to a series request."""
    shown = [labels.as_dict for labels in series]
    return encode_json({"status": "success", "data": shown}) + b"\n"


def _shown(data: Streams | Vector | Scalar) -> tuple[str, list[Any]]:
    match data:
        case Streams():
            return "streams", _shown_streams(data)
        case Vector():
            return "vector", _shown_vector(data)
        case Scalar():
            seconds = seconds_of(np.array([data.timestamp_ns]))[0]
            return "scalar", [seconds, text_of(data.value)]


def _shown_streams(streams: Streams) -> list[dict[str, Any]]:
    timestamps: list[str] = pa.array(streams.timestamp_ns).cast(pa.string()).to_pylist()
    columns: list[Iterable[Any]] = [timestamps, streams.line.to_pylist()]
    if streams.categories is not None:
        columns.append(shown_categories(streams.categories))
    rows = list(zip(*columns, strict=True))
    offsets = streams.offsets.tolist()
    return [
        {"stream": dict(labels), "values": rows[start:end]}
        for labels, start, end in zip(
            streams.labels, offsets[:-1], offsets[1:], strict=True
        )
    ]


def shown_categories(categories: Categories) -> list[dict[str, dict[str, str]]]:
    """Return the third element of each value; equal ones are one object."""
    known: dict[tuple[int, int], dict[str, dict[str, str]]] = {}
    shown = []
    for pair in zip(
        categories.structured_metadata_index.tolist(),
        categories.parsed_index.tolist(),
        strict=True,
    ):
        extra = known.get(pair)
        if extra is None:
            metadata = categories.structured_metadata[pair[0]]
            parsed = categories.parsed[pair[1]]
            extra = known[pair] = _shown_extra(metadata, parsed)
        shown.append(extra)
    return shown


def _shown_extra(metadata: Labels, parsed: Labels) -> dict[str, dict[str, str]]:
    extra = {}
    if metadata:
        extra["structuredMetadata"] = dict(metadata)
    if parsed:
        extra["parsed"] = dict(parsed)
    return extra


def _shown_vector(vector: Vector) -> list[dict[str, Any]]:
    seconds = seconds_of(np.array([vector.timestamp_ns]))[0]
    return [
        {"metric": dict(labels), "value": (seconds, text)}
        for labels, text in zip(vector.labels, texts_of(vector.values), strict=True)
    ]


def _encoded_matrix(
    matrix: Matrix, stats: Mapping[str, Any], warnings: Sequence[str]
) -> bytes:
    """Return the answer that a matrix is; points need no escapes."""
    parts: list[bytes | memoryview] = [
        b'{"status":"success","data":{"resultType":"matrix","result":['
    ]
    for labels, points in zip(matrix.labels, points_of(matrix), strict=True):
        parts += b'{"metric":', encode_json(dict(labels)), b',"values":['
        parts += points, b"]}", b","
    if len(parts) > 1:
        parts.pop()
    parts += b'],"stats":', encode_json(stats), b"}"
    if warnings:
        parts += b',"warnings":', encode_json(list(warnings))
    parts.append(b"}")
    return b"".join(parts)
