"""Texts out of bytes that may not be UTF-8."""

import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from loki_py.model.batch import Rows

_BAD_BYTE = re.compile("[\udc80-\udcff]")


def valid_utf8_of(data: bytes) -> bytes:
    """Return the bytes with a space for each byte that is not part of UTF-8."""
    text = data.decode(errors="surrogateescape")
    return _BAD_BYTE.sub(" ", text).encode()


def texts_of(values: "Sequence[bytes] | pa.LargeBinaryArray") -> "pa.LargeStringArray":
    """Return the bytes as texts; bytes that are not UTF-8 become spaces."""
    binary = pa.array(values, pa.large_binary())
    try:
        return binary.cast(pa.large_string())
    except pa.ArrowInvalid:
        cleaned = [valid_utf8_of(value) for value in binary.to_pylist()]
        return pa.array(cleaned, pa.large_binary()).cast(pa.large_string())


def texts_of_spans(data: bytes, start: Rows, end: Rows) -> "pa.LargeStringArray":
    """Return `data[start[i]:end[i]]` as texts.

    Spans must not overlap and must be in order.
    """
    if not len(start):
        return pa.array([], pa.large_string())
    # Every second value of the array over all edges is a span, the others are
    # the gaps between spans.
    edges = np.empty(2 * len(start), np.int64)
    edges[::2] = start
    edges[1::2] = end
    pieces = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(),
        len(edges) - 1,
        [None, pa.py_buffer(edges), pa.py_buffer(data)],
    )
    return texts_of(pieces.take(pa.array(np.arange(0, len(edges) - 1, 2))))
