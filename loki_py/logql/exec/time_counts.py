"""Count entries by series and bucket from times alone, a run of a stream at a time.

A run is sorted by time, so its entries are counted between the edges of buckets
and never looked at. Where runs are short, or buckets as many as entries, rows
are counted one by one.
"""

from collections.abc import Sequence

import numpy as np

from loki_py.logql.exec.grid import Ints, Windows
from loki_py.logql.exec.stream_table import StreamTable
from loki_py.logql.exec.summaries import Block
from loki_py.model.results import Labels
from loki_py.model.scan import TimeRuns

_RUN_ROWS_MIN = 128
"""Rows of a run, on average, from which on a step for each run is worth it."""

_ROWS_PER_EDGE = 4
"""A binary search costs about as much as counting so many rows."""


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
    times = runs.timestamp_ns
    low, high = windows.bucket_of(
        np.array([times[runs.first].min(), times[runs.last - 1].max()])
    ).tolist()
    inner = edges_ns[low + 1 : high + 1]
    rows = runs.last - runs.first
    shape = (len(used), high - low + 1)
    count = int(rows.sum())
    if count >= len(rows) * max(_RUN_ROWS_MIN, _ROWS_PER_EDGE * len(inner)):
        counts = _by_run(runs, series, inner, shape)
    else:
        counts = _by_row(runs, np.repeat(series, rows), low, windows, shape)
    at, bucket = np.nonzero(counts)
    state = (counts[at, bucket].astype(np.float64),)
    return [groups[i] for i in used.tolist()], Block(at, bucket + low, state)


def _by_run(runs: TimeRuns, series: Ints, inner: Ints, shape: tuple[int, int]) -> Ints:
    counts = np.zeros(shape, np.int64)
    cuts = np.zeros(len(inner) + 2, np.int64)
    times = runs.timestamp_ns
    for first, last, own in zip(
        runs.first.tolist(), runs.last.tolist(), series.tolist(), strict=True
    ):
        cuts[1:-1] = times[first:last].searchsorted(inner, "right")
        cuts[-1] = last - first
        counts[own] += cuts[1:] - cuts[:-1]
    return counts


def _by_row(
    runs: TimeRuns,
    series: Ints,
    low: int,
    windows: Windows,
    shape: tuple[int, int],
) -> Ints:
    rows = runs.last - runs.first
    if (runs.first[1:] == runs.last[:-1]).all():
        times = runs.timestamp_ns[int(runs.first[0]) : int(runs.last[-1])]
    else:
        skipped = runs.first - (np.cumsum(rows) - rows)
        at = np.arange(len(series)) + np.repeat(skipped, rows)
        times = runs.timestamp_ns[at]
    key = series * shape[1] + (windows.bucket_of(times) - low)
    return np.bincount(key, minlength=shape[0] * shape[1]).reshape(shape)
