"""Query results: what the engine hands to whoever encodes or merges them.

Rows and points stay columns; labels are few and are plain tuples. A result's
labels may hold empty values: a parser stage can set a label to "".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Labels: TypeAlias = tuple[tuple[str, str], ...]
"""(name, value) pairs, sorted by name, names unique."""

Floats: TypeAlias = npt.NDArray[np.float64]
Mask: TypeAlias = npt.NDArray[np.bool_]
Indices: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Categories:
    """The labels of a log result's rows that are not stream labels.

    Attributes:
        structured_metadata: the distinct combinations that occur.
        structured_metadata_index: int64[n], row to position in those.
        parsed: the distinct combinations of parsed labels.
        parsed_index: int64[n], row to position in those.
    """

    structured_metadata: Sequence[Labels]
    structured_metadata_index: Indices
    parsed: Sequence[Labels]
    parsed_index: Indices


@dataclass(frozen=True, slots=True)
class Streams:
    """The result of a log query: n rows grouped into s streams.

    Attributes:
        labels: s distinct label sets, sorted by their text.
        offsets: int64[s + 1]; rows [offsets[i], offsets[i + 1]) are stream i's,
            in the direction of the query.
        timestamp_ns: int64[n].
        line: large_string[n].
        categories: set where the caller asked for categorised labels; `labels`
            are then stream labels alone.
    """

    labels: Sequence[Labels]
    offsets: Indices
    timestamp_ns: Indices
    line: "pa.LargeStringArray"
    categories: Categories | None = None

    def __len__(self) -> int:
        return len(self.timestamp_ns)


@dataclass(frozen=True, slots=True)
class Matrix:
    """The result of a metric query over a range: s series on one grid of p points.

    Attributes:
        labels: s distinct label sets, in label order.
        timestamp_ns: int64[p], the evaluation times.
        values: float64[s, p]; NaN and infinities are values.
        present: bool[s, p]; where false the series has no point. Every series
            has at least one.
    """

    labels: Sequence[Labels]
    timestamp_ns: Indices
    values: Floats
    present: Mask


@dataclass(frozen=True, slots=True)
class Vector:
    """The result of an instant metric query: one value for each of s series.

    Attributes:
        labels: s label sets, distinct unless label_replace made them equal; in
            label order, or in value order where the query sorts.
        timestamp_ns: the evaluation time.
        values: float64[s].
    """

    labels: Sequence[Labels]
    timestamp_ns: int
    values: Floats


@dataclass(frozen=True, slots=True)
class Scalar:
    """The result of an instant query that is a number."""

    timestamp_ns: int
    value: float


Data: TypeAlias = Streams | Matrix | Vector | Scalar


@dataclass(frozen=True, slots=True)
class Result:
    """What a query came to.

    Attributes:
        data: the result proper.
        rows_kept: entries that survived the pipeline (`totalPostFilterLines`).
        warnings: shown beside the result, in order.
    """

    data: Data
    rows_kept: int = 0
    warnings: tuple[str, ...] = ()
