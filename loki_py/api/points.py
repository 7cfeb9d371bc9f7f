"""The points of a matrix as JSON, each distinct time and value written once."""

from collections.abc import Sequence

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loki_py.api.numbers import distinct_texts_of, seconds_of
from loki_py.model.batch import offsets_of
from loki_py.model.results import Matrix

_text = pa.large_string()


def points_of(matrix: Matrix) -> Sequence[memoryview]:
    """Return the points of each series, `[time,"value"],[time,"value"]`, as UTF-8."""
    present = matrix.present
    is_whole = bool(present.all())
    values = matrix.values.ravel() if is_whole else matrix.values[present]
    if not len(values):
        return [memoryview(b"")] * len(matrix.labels)
    times = msgspec.json.encode(seconds_of(matrix.timestamp_ns))[1:-1].split(b",")
    before = _joined("[", pa.array(times, _text), ',"')
    texts, at = distinct_texts_of(values)
    after = _joined("", texts.cast(_text), '"],')
    order = np.empty((len(values), 2), np.int64)
    order[:, 0] = (
        np.tile(np.arange(len(times)), len(present))
        if is_whole
        else np.nonzero(present)[1]
    )
    order[:, 1] = len(times) + (np.arange(len(values)) if at is None else at)
    chain = pa.concat_arrays([before, after]).take(pa.array(order.ravel()))
    ends = offsets_of(chain)[2 * np.cumsum(present.sum(axis=1))].tolist()
    points = memoryview(chain.buffers()[2])
    # The comma behind the last point is no part of it.
    return [
        points[start : max(end - 1, start)]
        for start, end in zip([0, *ends], ends, strict=False)
    ]


def _joined(left: str, texts: "pa.LargeStringArray", right: str) -> "pa.Array":
    scalars = (pa.scalar(text, _text) for text in (left, right, ""))
    before, after, between = scalars
    return pc.binary_join_element_wise(before, texts, after, between)
