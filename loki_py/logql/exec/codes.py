"""Number the distinct values of a text column."""

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from loki_py.logql.exec.frame import Rows
from loki_py.model.views import INLINE_BYTES
from loki_py.model.words import Words

_SLOTS_BITS = 12
"""Few distinct values rarely share one of so many slots."""

_MULTIPLIERS = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F))


def codes_of(values: pl.Series) -> tuple[Rows, int]:
    """Return a code per row, equal where values are equal, and a bound of the codes.

    Codes are below the bound; some may not occur. Null is a value of its own.
    """
    if values.null_count() == len(values):
        return np.zeros(len(values), dtype=np.int64), 1
    column = values.rechunk().to_arrow(compat_level=pl.CompatLevel.newest())
    return _codes_of_short(column) or _codes_of_any(column)


def _codes_of_short(column: "pa.StringViewArray") -> tuple[Rows, int] | None:
    """Return the codes of few distinct values of at most 12 bytes, else None.

    Such a value lies in its view, which is length, bytes and zeros: two words
    that are equal where the values are.
    """
    if column.type != pa.string_view():
        return None
    validity, views = column.buffers()[:2]
    words: Words = np.frombuffer(views, "<u8")[2 * column.offset :]
    low, high = words[: 2 * len(column) : 2], words[1 : 2 * len(column) : 2]
    if validity is not None and column.null_count:
        is_null = pc.is_null(column).to_numpy(zero_copy_only=False)
        # No text has this length; so null is a value like any other.
        low, high = np.where(is_null, ~np.uint64(0), low), np.where(is_null, 0, high)
        longest = int((low[~is_null] & np.uint64(0xFFFFFFFF)).max())
    else:
        longest = int((low & np.uint64(0xFFFFFFFF)).max())
    if longest > INLINE_BYTES:
        return None
    mixed = low * _MULTIPLIERS[0]
    is_wide = bool(high.any())
    if is_wide:
        mixed ^= high * _MULTIPLIERS[1]
    slot = (mixed >> np.uint64(64 - _SLOTS_BITS)).view(np.int64)
    owner = np.zeros(1 << _SLOTS_BITS, dtype=np.int64)
    owner[slot] = np.arange(len(slot))
    if (low[owner].take(slot) != low).any():
        return None
    if is_wide and (high[owner].take(slot) != high).any():
        return None
    return slot, 1 << _SLOTS_BITS


def _codes_of_any(column: "pa.Array") -> tuple[Rows, int]:
    encoded = pc.dictionary_encode(column.cast(pa.large_string()))
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return codes.astype(np.int64) + 1, len(encoded.dictionary) + 1
