"""Short texts of a number and a unit, such as `12.5ms`, as numbers, by column.

A text of at most twelve bytes lies in its view, so a column of them is a
matrix of bytes; digits are summed up for all texts at once.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from loki_py.logql.exec.frame import Mask
from loki_py.model.results import Floats

_BYTES_MAX = 12
_UNIT_BYTES_MAX = 3
_ZERO, _DOT = ord("0"), ord(".")
_PLACES = np.arange(_BYTES_MAX, dtype=np.uint8)
_POWERS = 10.0 ** np.arange(_BYTES_MAX + 1)


def scaled_numbers(
    texts: pl.Series, units: Mapping[str, float]
) -> tuple[Floats, Mask] | None:
    """Return number times unit per text, and where the text is plainly that.

    Plain is `digits` or `digits.digits` and a unit of `units`, in at most
    twelve bytes. Where it is not, the number means nothing. None where the
    column is not of views.
    """
    column = texts.rechunk().to_arrow(compat_level=pl.CompatLevel.newest())
    if column.type != pa.string_view():
        return None
    views = np.frombuffer(column.buffers()[1], np.uint8).reshape(-1, 16)
    views = views[column.offset : column.offset + len(column)]
    length = np.ascontiguousarray(views[:, :4]).view("<u4")[:, 0]
    raw = views[:, 4:]
    plain = (length > 0) & (length <= _BYTES_MAX)
    if column.null_count:
        plain &= texts.is_not_null().to_numpy()
    size = np.where(plain, length, 0).astype(np.uint8)
    digit = raw - np.uint8(_ZERO)
    is_digit = digit < 10
    is_dot = raw == _DOT
    in_number = np.logical_and.accumulate(
        (is_digit | is_dot) & (size[:, None] > _PLACES), axis=1
    )
    count = in_number.sum(axis=1, dtype=np.uint8)
    is_dot &= in_number
    behind = np.logical_or.accumulate(is_dot, axis=1)
    is_digit &= in_number
    plain &= is_dot.sum(axis=1, dtype=np.uint8) <= 1
    rows = np.arange(len(size))
    plain &= is_digit[:, 0] & is_digit[rows, np.maximum(count, 1) - 1]
    whole = np.zeros(len(size), np.int64)
    for place in range(_BYTES_MAX):
        here = is_digit[:, place]
        whole = np.where(here, whole * 10 + digit[:, place], whole)
    fraction = (is_digit & behind).sum(axis=1, dtype=np.uint8)
    scale, known = _scales_of(raw, count, size, units)
    return whole / _POWERS[fraction] * scale, plain & known


def _scales_of(
    raw: npt.NDArray[np.uint8],
    start: npt.NDArray[np.uint8],
    end: npt.NDArray[np.uint8],
    units: Mapping[str, float],
) -> tuple[Floats, Mask]:
    """Return the unit that stands in each row from `start` to `end`."""
    spelled = np.zeros(len(start), np.uint32)
    rows = np.arange(len(start))
    for place in range(_UNIT_BYTES_MAX):
        at = start + place
        byte = raw[rows, np.minimum(at, _BYTES_MAX - 1)].astype(np.uint32)
        spelled |= np.where(at < end, byte, 0).astype(np.uint32) << np.uint32(8 * place)
    scale = np.zeros(len(start))
    known = np.zeros(len(start), np.bool_)
    for unit, factor in units.items():
        text = unit.encode()
        if len(text) <= _UNIT_BYTES_MAX:
            is_this = spelled == int.from_bytes(text, "little")
            scale[is_this] = factor
            known |= is_this
    return scale, known & (end - start <= _UNIT_BYTES_MAX)
