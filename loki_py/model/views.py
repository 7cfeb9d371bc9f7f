"""Texts by view: columns whose bytes stay where they lie.

A view is sixteen bytes: a length, then the text itself where it has at most
INLINE_BYTES bytes, else its first four bytes, the number of a buffer and the
position in it. Rows of a file are selected so without copying a line.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loki_py.model.words import MASKS, words_of

INLINE_BYTES = 12
ROOT_BYTES_MAX = 2**31 - 1
"""A position in a buffer has 31 bits."""

Views: TypeAlias = npt.NDArray[np.uint32]
Rows: TypeAlias = npt.NDArray[np.int64]

_VIEW_WORDS = 4
_ONE_BUFFER = 3


def is_viewed(values: "pa.Array") -> bool:
    """Return whether a text column is one of views."""
    return bool(values.type == pa.string_view())


def views_of(values: "pa.StringViewArray") -> Views:
    """Return the views of a column, uint32[n, 4], without copying."""
    views: Views = np.frombuffer(values.buffers()[1], "<u4").reshape(-1, _VIEW_WORDS)
    return views[values.offset : values.offset + len(values)]


def lengths_of(values: "pa.StringViewArray") -> Rows:
    """Return the bytes of each text of a column without null, int64[n]."""
    return views_of(values)[:, 0].astype(np.int64)


def viewed(views: Views, root: "pa.Buffer") -> "pa.StringViewArray":
    """Return the column of views into one buffer."""
    return pa.Array.from_buffers(
        pa.string_view(), len(views), [None, pa.py_buffer(views), root]
    )


def root_of(values: "pa.StringViewArray") -> "pa.Buffer | None":
    """Return the one buffer that long texts lie in; None where there are others."""
    buffers = values.buffers()
    return (
        buffers[-1] if len(buffers) == _ONE_BUFFER and not values.null_count else None
    )


def viewed_in(root: "pa.Buffer", start: Rows, length: Rows) -> "pa.StringViewArray":
    """Return the column of the texts `root[start:start + length]`.

    Args:
        root: at most ROOT_BYTES_MAX bytes, of which no text takes the last
            INLINE_BYTES.
    """
    raw = np.frombuffer(root, np.uint8)
    heads: Views = np.ndarray(
        (len(raw) - 3,), dtype="<u4", buffer=raw.data, strides=(1,)
    )
    views: Views = np.empty((len(start), _VIEW_WORDS), "<u4")
    views[:, 0] = length
    views[:, 1] = heads[start]
    views[:, 2] = 0
    views[:, 3] = start
    short = np.flatnonzero(length <= INLINE_BYTES)
    if len(short):
        at, size = start[short], length[short]
        words = words_of(raw)
        low = words[at] & MASKS[np.minimum(size, 8)]
        high = heads[at + 8] & MASKS[np.clip(size - 8, 0, 4)]
        views[short, 1] = low & MASKS[4]
        views[short, 2] = low >> np.uint64(32)
        views[short, 3] = high
    return viewed(views, root)


def taken(values: "pa.StringViewArray", rows: Rows) -> "pa.StringViewArray":
    """Return the given rows of a column without null; its bytes are shared."""
    views = np.ascontiguousarray(views_of(values)[rows])
    return pa.Array.from_buffers(
        pa.string_view(),
        len(views),
        [None, pa.py_buffer(views), *values.buffers()[2:]],
    )


def joined(columns: "Sequence[pa.Array]") -> "pa.Array":
    """Return one column of all rows, of views where all columns are.

    Columns that share one buffer are joined without naming it twice.
    """
    if not all(map(is_viewed, columns)):
        return pa.concat_arrays([column.cast(pa.large_string()) for column in columns])
    roots = [root_of(column) for column in columns]
    places = {None if root is None else (root.address, root.size) for root in roots}
    if len(places) > 1 or None in places:
        return pa.concat_arrays(columns)
    return viewed(np.concatenate([views_of(column) for column in columns]), roots[0])
