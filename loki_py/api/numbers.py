"""Sample values and times as text, the way Loki's answers hold them."""

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loki_py.model.results import Floats, Indices

_NAMED = {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}
_EXACT_MAX = 2.0**53
_SAMPLE_VALUES = 512


def texts_of(values: Floats) -> list[str]:
    """Return each value with the fewest digits that name it, never an exponent.

    Source: Go's strconv.FormatFloat(v, 'f', -1, 64).
    """
    if len(values) == 0:
        return []
    column, at = distinct_texts_of(values)
    texts: list[str] = column.to_pylist()
    return texts if at is None else np.array(texts, object)[at].tolist()


def distinct_texts_of(values: Floats) -> "tuple[pa.StringArray, Indices | None]":
    """Return texts as `texts_of` does, and which of them each value has.

    None stands for one text for each value: where few are alike, none is sought.

    Args:
        values: one or more.
    """
    sample = values[:: max(len(values) // _SAMPLE_VALUES, 1)]
    if len(values) > _SAMPLE_VALUES and len(np.unique(sample)) < len(sample) // 2:
        # By bits, so that 0 and -0 stay two.
        bits = pa.array(np.ascontiguousarray(values).view(np.int64)).dictionary_encode()
        distinct = bits.dictionary.to_numpy().view(np.float64)
        return _texts(distinct), bits.indices.to_numpy()
    return _texts(values), None


def _texts(values: Floats) -> "pa.StringArray":
    with np.errstate(invalid="ignore"):
        whole = bool(np.all((np.abs(values) < _EXACT_MAX) & (values == values.round())))
    if whole and not np.any(np.signbit(values) & (values == 0)):
        return pa.array(values.astype(np.int64)).cast(pa.string())
    column = pa.array(values).cast(pa.string())
    odd = pc.match_substring_regex(column, "[ein]").to_numpy(zero_copy_only=False)
    if not odd.any():
        return column
    texts = column.to_pylist()
    for row in np.flatnonzero(odd).tolist():
        text = texts[row]
        texts[row] = _NAMED.get(text) or format(Decimal(text), "f")
    return pa.array(texts, pa.string())


def text_of(value: float) -> str:
    """Return one value as `texts_of` does."""
    return texts_of(np.array([value]))[0]


def seconds_of(timestamp_ns: Indices) -> list[int | float]:
    """Return unix seconds with millisecond fractions, whole ones as integers."""
    ms = timestamp_ns // 1_000_000
    if not np.any(ms % 1_000):
        whole: list[int | float] = (ms // 1_000).tolist()
        return whole
    return [m // 1_000 if m % 1_000 == 0 else m / 1_000 for m in ms.tolist()]
