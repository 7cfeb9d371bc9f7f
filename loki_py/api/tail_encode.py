"""Frames of tails to JSON.

Entries keep their order; neighbours with equal labels share a stream object.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from loki_py.api.encode import CATEGORIZE_LABELS, encode_json, shown_categories
from loki_py.api.legacy import labels_text, legacy_rows, moment_text
from loki_py.logql.exec.tail_leaf import TailEntries
from loki_py.model.results import Labels
from loki_py.querier.tail import TailFrame


def encode_frame(frame: TailFrame) -> bytes:
    """Return the frame as `/loki/api/v1/tail` sends it."""
    entries = frame.entries
    told: dict[str, Any] = {"streams": [] if entries is None else _streams(entries)}
    if frame.dropped:
        told["dropped_entries"] = [
            {"timestamp": str(each.timestamp_ns), "labels": dict(each.labels)}
            for each in frame.dropped
        ]
    if entries is not None and entries.categories is not None:
        told["encodingFlags"] = [CATEGORIZE_LABELS]
    return encode_json(told) + b"\n"


def encode_legacy_frame(frame: TailFrame) -> bytes:
    """Return the frame as `/api/prom/tail` sends it."""
    entries = frame.entries
    told = {
        "streams": [] if entries is None else _legacy_streams(entries),
        "dropped_entries": [
            {
                "timestamp": moment_text(each.timestamp_ns),
                "labels": labels_text(each.labels),
            }
            for each in frame.dropped
        ]
        or None,
    }
    return encode_json(told) + b"\n"


def _streams(entries: TailEntries) -> list[dict[str, Any]]:
    times = pa.array(entries.timestamp_ns).cast(pa.string()).to_pylist()
    columns: list[list[Any]] = [times, entries.line.to_pylist()]
    if entries.categories is not None:
        columns.append(shown_categories(entries.categories))
    values = list(zip(*columns, strict=True))
    return [
        {"stream": dict(labels), "values": values[start:end]}
        for labels, start, end in _runs(entries)
    ]


def _legacy_streams(entries: TailEntries) -> list[dict[str, Any]]:
    rows = legacy_rows(entries.timestamp_ns.tolist(), entries.line.to_pylist())
    return [
        {"labels": labels_text(labels), "entries": rows[start:end]}
        for labels, start, end in _runs(entries)
    ]


def _runs(entries: TailEntries) -> Iterator[tuple[Labels, int, int]]:
    """Yield (labels, start, end) of neighbours with equal labels."""
    index = entries.labels_index
    edges = [0, *(np.flatnonzero(index[1:] != index[:-1]) + 1).tolist(), len(index)]
    for start, end in pairwise(edges):
        yield entries.labels[int(index[start])], start, end
