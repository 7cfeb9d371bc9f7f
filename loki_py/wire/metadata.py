"""Turn (row, name, value) pairs of structured metadata into columns."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from loki_py.model.batch import METADATA_COLUMNS_MAX, REST_TYPE, Rows


def metadata_columns(
    rows: Rows,
    names: "pa.LargeStringArray",
    values: "pa.LargeStringArray",
    *,
    count: int,
) -> tuple[Mapping[str, "pa.LargeStringArray"], "pa.MapArray | None"]:
    """Return a column of `count` rows per name, and the map of names beyond.

    Of a name that a row has twice, the last value counts. The first
    METADATA_COLUMNS_MAX names get a column each.
    """
    if not len(names):
        return {}, None
    encoded = names.dictionary_encode()
    codes = encoded.indices.to_numpy()
    order = np.argsort(codes, kind="stable")
    edges = np.searchsorted(codes[order], np.arange(METADATA_COLUMNS_MAX + 1))
    columns = {}
    for code, name in enumerate(encoded.dictionary[:METADATA_COLUMNS_MAX].to_pylist()):
        pairs = order[edges[code] : edges[code + 1]]
        columns[name] = _column(rows[pairs], pairs, values, count=count)
    if len(encoded.dictionary) <= METADATA_COLUMNS_MAX:
        return columns, None
    beyond = order[edges[-1] :]
    beyond = beyond[np.argsort(rows[beyond], kind="stable")]
    offsets = np.searchsorted(rows[beyond], np.arange(count + 1))
    index = pa.array(beyond)
    rest = pa.MapArray.from_arrays(
        pa.array(offsets, pa.int32()), names.take(index), values.take(index)
    )
    return columns, rest.cast(REST_TYPE)


def _column(
    rows: Rows, pairs: Rows, values: "pa.LargeStringArray", *, count: int
) -> "pa.LargeStringArray":
    pair_of = np.full(count, -1, np.int64)
    pair_of[rows] = pairs
    missing = pair_of < 0
    return values.take(pa.array(pair_of, mask=missing if missing.any() else None))
