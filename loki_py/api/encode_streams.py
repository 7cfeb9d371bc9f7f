"""Long answers of log queries in pieces, so that many lines cost little memory.

Put together the pieces are what `encode.encode_result` returns.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from loki_py.api.encode import CATEGORIZE_LABELS, encode_json, shown_categories
from loki_py.model.results import Categories, Streams

PIECE_ROWS = 2_000
"""Rows of one piece."""

PIECED_ROWS_MIN = 5_000
"""Results of more rows than this are answered in pieces."""

_OPEN = b"]}"


def encode_pieces(
    data: Streams,
    stats: Mapping[str, Any],
    warnings: Sequence[str] = (),
    *,
    piece_rows: int = PIECE_ROWS,
) -> Iterator[bytes]:
    """Yield the answer to a range query, some rows at a time."""
    told: dict[str, Any] = {"resultType": "streams"}
    if data.categories is not None:
        told["encodingFlags"] = [CATEGORIZE_LABELS]
    yield b'{"status":"success","data":' + encode_json(told)[:-1] + b',"result":['
    for start in range(0, len(data), piece_rows):
        yield _rows_encoded(data, start, min(start + piece_rows, len(data)))
    end = b'],"stats":' + encode_json(stats) + b"}"
    if warnings:
        end += b',"warnings":' + encode_json(list(warnings))
    yield end + b"}\n"


def _rows_encoded(data: Streams, start: int, end: int) -> bytes:
    """Return the rows [start, end) in their streams.

    A stream that goes on behind them is left open, one that began before them is
    not opened again.
    """
    rows = _rows_of(data, start, end)
    offsets = data.offsets
    stream = int(np.searchsorted(offsets, start, side="right")) - 1
    parts: list[bytes] = []
    at = start
    if offsets[stream] < start:
        at = min(int(offsets[stream + 1]), end)
        parts.append(b"," + encode_json(rows[: at - start])[1:-1])
        if at == offsets[stream + 1]:
            parts.append(_OPEN)
        stream += 1
    objects = []
    while at < end:
        stop = min(int(offsets[stream + 1]), end)
        values = rows[at - start : stop - start]
        objects.append({"stream": dict(data.labels[stream]), "values": values})
        at, stream = stop, stream + 1
    if objects:
        encoded = encode_json(objects)[1:-1]
        is_open = offsets[stream] > end
        comma = b"," if start or parts else b""
        parts.append(comma + (encoded.removesuffix(_OPEN) if is_open else encoded))
    return b"".join(parts)


def _rows_of(data: Streams, start: int, end: int) -> list[tuple[Any, ...]]:
    times = pa.array(data.timestamp_ns[start:end]).cast(pa.string()).to_pylist()
    columns: list[Iterable[Any]] = [
        times,
        data.line.slice(start, end - start).to_pylist(),
    ]
    known = data.categories
    if known is not None:
        part = Categories(
            known.structured_metadata,
            known.structured_metadata_index[start:end],
            known.parsed,
            known.parsed_index[start:end],
        )
        columns.append(shown_categories(part))
    return list(zip(*columns, strict=True))
