"""Count entries by series and bucket from times alone, many runs of streams at once.

A run is sorted by time. Where edges of buckets inside of runs are few, they are
sought there, and no other entry is looked at; else entries are counted one by one.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from loki_py.logql.exec.grid import Ints, Windows
from loki_py.logql.exec.run_edges import Crossings
from loki_py.logql.exec.stream_table import StreamTable
from loki_py.logql.exec.summaries import Block
from loki_py.model.results import Floats, Labels
from loki_py.model.scan import TimeRuns

_GAP_ROWS_MAX = 64
"""Rows between two runs that are rather counted for nothing than left out."""

_ROWS_PER_CHANGE = 8
"""Rows of one series and bucket, on average, from which on they count at once."""

_SPARE_CELLS = 4096
_CELLS_PER_KEY = 16
"""Cells that may stay empty, however few entries there are, and for each of them."""

_WORD_MAX = 2**32 - 1

Keys: TypeAlias = npt.NDArray[Any]
"""Whole numbers: the series by the width, which is the number of buckets, and the
bucket. Of few bits where they suffice."""


def counted(
    runs: TimeRuns, table: StreamTable, names: tuple[str, ...], windows: Windows
) -> tuple[Sequence[Labels], Block]:
    """Return the series of the runs, and their entries by series and bucket.

    Args:
        table: of the runs' streams.
        names: the labels that make a series.
        windows: of plain edges, which all times lie between.
    """
    edges_ns = windows.edges_ns
    assert edges_ns is not None
    groups, code = table.groups(names, runs.stream)
    is_used = np.bincount(code, minlength=len(groups)) > 0
    used, series = np.flatnonzero(is_used), (np.cumsum(is_used) - 1)[code]
    bounds_ns = runs.timestamp_ns[np.concatenate((runs.first, runs.last - 1))]
    begun, ended = windows.bucket_of(bounds_ns).reshape(2, -1)
    low = int(begun.min())
    edges_ns = edges_ns[low : int(ended.max()) + 2]
    width = len(edges_ns) - 1
    crossings = Crossings(runs, begun - low, ended - low, edges_ns)
    key, count = _counts(crossings, series, len(used))
    at = key // width
    bucket = key - at * width + low
    return [groups[i] for i in used.tolist()], Block(at, bucket, (count,))


def _counts(
    crossings: Crossings, series: Ints, series_count: int
) -> tuple[Ints, Floats]:
    """Return keys and their counts, found the cheapest way."""
    runs, edges_ns = crossings.runs, crossings.edges_ns
    width = len(edges_ns) - 1
    cells = series_count * width
    alone, together = crossings.cost_alone(series_count), crossings.cost_together()
    if alone < together and alone <= crossings.rows:
        counts = np.diff(crossings.ranks(series, series_count), axis=1).ravel()
        key = np.flatnonzero(counts)
        return key, counts[key].astype(np.float64)
    if together <= crossings.rows:
        key = series * width + crossings.begun
        parts = _parts(runs, key, crossings.crossed, crossings.rows_behind())
        return _folded(*parts, cells)
    return _folded(_keys(runs, series, edges_ns, series_count), None, cells)


def _parts(runs: TimeRuns, key: Ints, crossed: Ints, behind: Ints) -> tuple[Ints, Ints]:
    """Return the key of each part of a run between edges, and its rows.

    Args:
        key: of each run's first row; it grows by one at each edge.
        crossed: how many edges are in each run.
        behind: the first row behind each of those.
    """
    parts = crossed + 1
    head = np.cumsum(parts) - parts
    run = np.repeat(np.arange(len(parts)), parts)
    nth = np.arange(len(run)) - head[run]
    start = runs.first[run]
    start[nth > 0] = behind
    end = np.append(start[1:], 0)
    end[head + crossed] = runs.last
    return key[run] + nth, end - start


def _keys(runs: TimeRuns, series: Ints, edges_ns: Ints, series_count: int) -> Keys:
    """Return the key of each row; rows between runs have those of no series."""
    first, last = runs.first, runs.last
    gap = np.append(0, first[1:] - last[:-1])
    apart = np.flatnonzero((gap < 0) | (gap > _GAP_ROWS_MAX))
    gap[apart] = 0
    starts = first[np.append(0, apart)].tolist()
    ends = last[np.append(apart, len(last)) - 1].tolist()
    pieces = [runs.timestamp_ns[a:b] for a, b in zip(starts, ends, strict=True)]
    times = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
    width = len(edges_ns) - 1
    key = np.empty((len(series), 2), np.int64)
    key[:, 0], key[:, 1] = series_count * width, series * width
    if (series_count + 1) * width <= _WORD_MAX:
        key = key.astype(np.uint32)
    lengths = np.column_stack((gap, last - first))
    return np.repeat(key.ravel(), lengths.ravel()) + _buckets(times, edges_ns)


def _buckets(times: Ints, edges_ns: Ints) -> Keys:
    """Return which span between edges holds each time; any for a time beyond them."""
    step_ns = int(edges_ns[1] - edges_ns[0])
    since = times - (edges_ns[0] + 1)
    # Half as many bits are divided much faster, and the low ones decide nothing
    # where the step has none: it is a round number.
    low_bits = (step_ns & -step_ns).bit_length() - 1
    if int(edges_ns[-1] - edges_ns[0]) >> low_bits <= _WORD_MAX:
        short = (since >> low_bits).astype(np.uint32)
        span: Keys = short // np.uint32(step_ns >> low_bits)
        return np.minimum(span, len(edges_ns) - 2)
    span = since.view(np.uint64) // np.uint64(step_ns)
    return np.minimum(span, len(edges_ns) - 2).view(np.int64)


def _folded(key: Keys, entries: Ints | None, cells: int) -> tuple[Ints, Floats]:
    """Return the distinct keys below `cells`, and how many entries each has.

    Args:
        entries: of each key; one where it is None.
    """
    if entries is None:
        changes = key[1:] != key[:-1]
        if np.count_nonzero(changes) * _ROWS_PER_CHANGE <= len(key):
            start = np.append(0, np.flatnonzero(changes) + 1)
            key, entries = key[start], np.diff(start, append=len(key))
    if cells <= _CELLS_PER_KEY * len(key) + _SPARE_CELLS:
        counts = np.bincount(key, entries, cells)[:cells]
        used = np.flatnonzero(counts)
        return used, counts[used].astype(np.float64)
    distinct, index = np.unique(key, return_inverse=True)
    counts = np.bincount(index, entries)
    used = np.flatnonzero((distinct < cells) & (counts > 0))
    return distinct[used].astype(np.int64), counts[used].astype(np.float64)
