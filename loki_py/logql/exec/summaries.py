"""Summaries: samples by series, kept as they come and valued per window at the end."""

import itertools
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from loki_py.errors import LimitExceeded
from loki_py.logql import ast_metric as metric
from loki_py.logql.ast_metric import RangeFunction
from loki_py.logql.exec.frame import Mask
from loki_py.logql.exec.grid import Fields, Ints, Windows
from loki_py.logql.exec.reductions import COUNT, FUNCTIONS, RATE_OF_ENTRIES, Function
from loki_py.logql.exec.table import SeriesValues
from loki_py.logql.exec.whole_windows import (
    Valued,
    WindowRuns,
    counter_rates,
    group_quantiles,
    quantiles_at,
)
from loki_py.model.results import Floats

_HELD_STATES_MAX = 1_000_000
"""States held before equal ones are folded, or twice as many as that left last."""

_SAMPLES_MAX = 30_000_000
"""Distinct states, or samples where all are needed, that a range may have: the
largest of them take 1.4 GB."""


@dataclass(frozen=True, slots=True)
class Block:
    """What one batch adds to a summary.

    Attributes:
        series: of each sample or state, by the batch's own count.
        when: its timestamp or bucket.
        fields: the sample or state.
    """

    series: Ints
    when: Ints
    fields: Fields


class Summary(Protocol):
    """What is kept of samples until all are seen.

    Attributes:
        ranks: whether samples of equal time must come with ranks.
        counts: whether how many samples there are is all that matters; a block
            may then hold counts by bucket as its one field.
    """

    ranks: bool
    counts: bool

    def block_of(
        self, series: Ints, timestamp_ns: Ints, values: Floats, ranks: Floats
    ) -> Block:
        """Return what a batch adds; thread-safe, changes nothing."""
        ...

    def add(self, series: Ints, block: Block) -> None:
        """Take a block, its series given by the query's count."""
        ...

    def finish(self, place: Ints) -> SeriesValues:
        """Return what gives the values of series; nothing is added later.

        Args:
            place: int64, by series, its place in the order in which they are asked for.
        """
        ...


def summary_of(aggregation: metric.RangeAggregation, windows: Windows) -> Summary:
    """Return the summary that the aggregation's function needs."""
    match aggregation.function:
        case RangeFunction.QUANTILE_OVER_TIME:
            quantile = aggregation.parameter
            assert quantile is not None
            if windows.are_disjoint and 0 <= quantile <= 1:
                return QuantileSummary(windows, quantile)
            return SampleSummary(windows, quantiles_at(quantile))
        case RangeFunction.RATE_COUNTER:
            return SampleSummary(windows, counter_rates)
        case RangeFunction.ABSENT_OVER_TIME:
            present = Function(COUNT, lambda state, _: np.ones_like(state[0]))
            return StateSummary(windows, present)
        case RangeFunction.RATE if aggregation.range.unwrap is None:
            return StateSummary(windows, RATE_OF_ENTRIES)
        case function:
            return StateSummary(windows, FUNCTIONS[function])


class StateSummary:
    """States of a reduction by series and bucket."""

    def __init__(self, windows: Windows, function: Function) -> None:
        self.ranks = function.reduction.ranks
        self.counts = function.reduction is COUNT
        self._windows = windows
        self._function = function
        self._keys: list[Ints] = []
        self._states: list[Fields] = []
        self._held = 0
        self._folded_to = 0

    def block_of(
        self, series: Ints, timestamp_ns: Ints, values: Floats, ranks: Floats
    ) -> Block:
        reduction = self._function.reduction
        bucket = self._windows.bucket_of(timestamp_ns)
        key, states = self._folded(
            series * self._windows.buckets + bucket,
            reduction.begin(values, timestamp_ns, ranks),
        )
        at, bucket = np.divmod(key, self._windows.buckets)
        return Block(at, bucket, states)

    def add(self, series: Ints, block: Block) -> None:
        self._keys.append(series * self._windows.buckets + block.when)
        self._states.append(block.fields)
        self._held += len(series)
        if self._held > max(2 * self._folded_to, _HELD_STATES_MAX):
            self._compact()
            _check_samples(self._held)

    def _compact(self) -> None:
        states = tuple(map(np.concatenate, zip(*self._states, strict=True)))
        key, states = self._folded(np.concatenate(self._keys), states)
        self._keys, self._states = [key], [states]
        self._held = len(key)
        self._folded_to = len(key)

    def _folded(self, key: Ints, states: Fields) -> tuple[Ints, Fields]:
        """Return the distinct keys in order, and the state of each."""
        fold = self._function.reduction.fold
        size = int(key.max()) + 1 if len(key) else 0
        if size <= 2 * len(key) + 4096:
            state = fold(key, size, states)
            used = np.flatnonzero(state[0] > 0)
            return used, tuple(field[used] for field in state)
        distinct, index = np.unique(key, return_inverse=True)
        return distinct, fold(index, len(distinct), states)

    def finish(self, place: Ints) -> SeriesValues:
        if not self._keys:
            return _nothing(self._windows.grid.count)
        self._compact()
        key = _placed(self._keys[0], place, self._windows.buckets)
        # Runs of a series, each in order, are sorted quickly.
        order = np.argsort(key, kind="stable")
        key, states = key[order], tuple(field[order] for field in self._states[0])

        def valued(start: int, end: int) -> tuple[Floats, Mask]:
            return self._windowed(key, states, start, end)

        return valued

    def _windowed(
        self, key: Ints, states: Fields, start: int, end: int
    ) -> tuple[Floats, Mask]:
        buckets = self._windows.buckets
        low, high = np.searchsorted(key, (start * buckets, end * buckets))
        at = key[low:high] - start * buckets
        dense = []
        for field in states:
            cells = np.zeros((end - start) * buckets)
            cells[at] = field[low:high]
            dense.append(cells.reshape(end - start, buckets))
        state = self._windows.slide(tuple(dense), self._function.reduction.combine)
        with np.errstate(all="ignore"):
            values = self._function.value(state, self._windows.range_ns / 1e9)
        return values, state[0] > 0


class SampleSummary:
    """All samples, for functions that must see a window's samples together."""

    def __init__(self, windows: Windows, valued: Valued) -> None:
        self.ranks = False
        self.counts = False
        self._windows = windows
        self._valued = valued
        self._series: list[Ints] = []
        self._times: list[Ints] = []
        self._samples: list[Floats] = []
        self._held = 0

    def block_of(
        self,
        series: Ints,
        timestamp_ns: Ints,
        values: Floats,
        ranks: Floats,  # noqa: ARG002
    ) -> Block:
        return Block(series, timestamp_ns, (values,))

    def add(self, series: Ints, block: Block) -> None:
        self._series.append(series)
        self._times.append(block.when)
        self._samples.append(block.fields[0])
        self._held += len(series)
        _check_samples(self._held)

    def finish(self, place: Ints) -> SeriesValues:
        if not self._series:
            return _nothing(self._windows.grid.count)
        series = place[np.concatenate(self._series)]
        times = np.concatenate(self._times)
        samples = np.concatenate(self._samples)
        order = np.lexsort((times, series))
        edges = np.searchsorted(series[order], np.arange(len(place) + 1))
        times, samples = times[order], samples[order]

        def valued(start: int, end: int) -> tuple[Floats, Mask]:
            mine = edges[start : end + 1]
            a, b = int(mine[0]), int(mine[-1])
            return self._windowed(times[a:b], samples[a:b], mine - a)

        return valued

    def _windowed(
        self, times: Ints, samples: Floats, edges: Ints
    ) -> tuple[Floats, Mask]:
        """Return the values of the series whose samples lie between the edges."""
        ends = self._windows.grid.times_ns - self._windows.offset_ns
        lows = np.empty((len(edges) - 1, len(ends)), dtype=np.int64)
        highs = np.empty_like(lows)
        for i, (low, high) in enumerate(itertools.pairwise(edges.tolist())):
            own = times[low:high]
            lows[i] = low + np.searchsorted(
                own, ends - self._windows.range_ns, side="right"
            )
            highs[i] = low + np.searchsorted(own, ends, side="right")
        present = highs > lows
        values = np.zeros(present.shape)
        runs = WindowRuns(
            times_ns=times,
            values=samples,
            lows=lows[present],
            highs=highs[present],
            ends_ns=np.broadcast_to(ends, present.shape)[present],
            range_ns=self._windows.range_ns,
        )
        with np.errstate(all="ignore"):
            values[present] = self._valued(runs)
        return values, present


class QuantileSummary:
    """All samples by series and window, where no sample is in two windows."""

    def __init__(self, windows: Windows, quantile: float) -> None:
        self.ranks = False
        self.counts = False
        self._windows = windows
        self._quantile = quantile
        self._keys: list[Ints] = []
        self._samples: list[Floats] = []
        self._held = 0

    def block_of(
        self,
        series: Ints,
        timestamp_ns: Ints,
        values: Floats,
        ranks: Floats,  # noqa: ARG002
    ) -> Block:
        return Block(series, self._windows.bucket_of(timestamp_ns), (values,))

    def add(self, series: Ints, block: Block) -> None:
        self._keys.append(series * self._windows.buckets + block.when)
        self._samples.append(block.fields[0])
        self._held += len(series)
        _check_samples(self._held)

    def finish(self, place: Ints) -> SeriesValues:
        if not self._keys:
            return _nothing(self._windows.buckets)
        count = len(place)
        key = _placed(np.concatenate(self._keys), place, self._windows.buckets)
        samples = np.concatenate(self._samples)
        in_order: list[tuple[Ints, Floats]] = []

        def valued(start: int, end: int) -> tuple[Floats, Mask]:
            if start == 0 and end == count:
                return self._windowed(key, samples, count)
            if not in_order:
                order = np.argsort(key, kind="stable")
                in_order.append((key[order], samples[order]))
            ((keys, values),) = in_order
            first = start * self._windows.buckets
            ends = np.searchsorted(keys, (first, end * self._windows.buckets))
            mine = slice(*ends.tolist())
            return self._windowed(keys[mine] - first, values[mine], end - start)

        return valued

    def _windowed(self, key: Ints, samples: Floats, count: int) -> tuple[Floats, Mask]:
        cells = count * self._windows.buckets
        values = np.zeros(cells)
        present = np.zeros(cells, dtype=np.bool_)
        present[key] = True
        used = np.flatnonzero(present)
        group = np.empty(cells, dtype=np.int64)
        group[used] = np.arange(len(used))
        values[used] = group_quantiles(self._quantile, group[key], samples, len(used))
        shape = (count, self._windows.buckets)
        return values.reshape(shape), present.reshape(shape)


def _placed(key: Ints, place: Ints, buckets: int) -> Ints:
    """Return keys, series times buckets plus bucket, of series put in their places."""
    series = key // buckets
    return key + (place[series] - series) * buckets


def _check_samples(held: int) -> None:
    if held > _SAMPLES_MAX:
        raise LimitExceeded(
            f"a range of the query has more than {_SAMPLES_MAX} samples by series and "
            "time; consider fewer streams, a shorter time range, or fewer labels "
            "to group by",
            status=400,
        )


def _nothing(points: int) -> SeriesValues:
    """Return what gives the values of series where there are none."""

    def valued(start: int, end: int) -> tuple[Floats, Mask]:
        shape = (end - start, points)
        return np.zeros(shape), np.zeros(shape, np.bool_)

    return valued
