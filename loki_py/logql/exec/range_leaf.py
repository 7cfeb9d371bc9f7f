"""Range aggregations: samples into (series, bucket) states, states into windows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loki_py.errors import QueryInvalid
from loki_py.logql.ast_metric import Grouping
from loki_py.logql.exec.frame import Frame, StreamTables
from loki_py.logql.exec.grid import Fields, Ints, Windows
from loki_py.logql.exec.reductions import Floats, Function
from loki_py.logql.exec.series import series_of
from loki_py.logql.exec.table import Table, empty_table
from loki_py.logql.stages.pipeline import Pipeline
from loki_py.model.batch import EntryBatch
from loki_py.model.labels import quote
from loki_py.model.results import Labels

_HELD_STATES_MAX = 1_000_000
"""States held before those of equal series and bucket are folded."""

_DENSE_CELLS_MAX = 4_000_000
"""Cells of the (series, bucket) arrays that are worked on at a time."""


@dataclass(frozen=True, slots=True)
class RangePartial:
    """States of one batch.

    Attributes:
        labels: the batch's series.
        series, bucket: of each state.
        fields: the states.
        kept: entries that survived the pipeline.
        failure: an error to raise, where a sample has one.
    """

    labels: Sequence[Labels]
    series: Ints
    bucket: Ints
    fields: Fields
    kept: int
    failure: QueryInvalid | None = None


class Samples:
    """What of a frame is aggregated: rows to values, plain or unwrapped."""

    def values(self, frame: Frame) -> Floats:
        """Return a value per row; may drop rows and set errors."""
        return np.ones(len(frame))


class LineBytes(Samples):
    """The bytes of each line, as the pipeline left it."""

    def values(self, frame: Frame) -> Floats:
        return frame.lines.str.len_bytes().to_numpy().astype(np.float64)


class RangeEvaluator:
    """Evaluate one range aggregation over all windows of a grid.

    Args:
        grouping: which labels make a series; None for all.
        without_label: the unwrapped label.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        samples: Samples,
        windows: Windows,
        *,
        function: Function,
        grouping: Grouping | None,
        without_label: str | None,
    ) -> None:
        self.columns = pipeline.columns
        self.rows_kept = 0
        self._pipeline = pipeline
        self._samples = samples
        self._windows = windows
        self._function = function
        self._grouping = grouping
        self._without_label = without_label
        self._tables = StreamTables()
        self._ids: dict[Labels, int] = {}
        self._keys: list[Ints] = []
        self._states: list[Fields] = []
        self._held = 0

    def map(self, batch: EntryBatch) -> RangePartial:
        """Return the states of a batch; thread-safe."""
        frame = self._pipeline.run(batch, self._tables.of(batch.streams))
        values = self._samples.values(frame)
        bucket = self._windows.bucket_of(frame.timestamp_ns)
        kept = len(frame)
        if self._windows.has_gaps and (bucket < 0).any():
            inside = bucket >= 0
            frame.filter(inside)
            values, bucket = values[inside], bucket[inside]
        failure = pipeline_failure(frame)
        labels, series = series_of(
            frame, self._grouping, without_label=self._without_label
        )
        reduction = self._function.reduction
        states = reduction.begin(values, frame.timestamp_ns)
        key, states = _folded(
            series * self._windows.buckets + bucket,
            states,
            size=len(labels) * self._windows.buckets,
            fold=reduction.fold,
        )
        at, bucket = np.divmod(key, self._windows.buckets)
        return RangePartial(labels, at, bucket, states, kept, failure)

    def add(self, partial: RangePartial) -> None:
        """Take a partial result; one thread, in unit order.

        Raises: QueryInvalid where a sample in a window has an error.
        """
        if partial.failure is not None:
            raise partial.failure
        self.rows_kept += partial.kept
        if not len(partial.series):
            return
        ids = self._ids
        places = [ids.setdefault(one, len(ids)) for one in partial.labels]
        series = np.array(places, dtype=np.int64)[partial.series]
        self._keys.append(series * self._windows.buckets + partial.bucket)
        self._states.append(partial.fields)
        self._held += len(series)
        if self._held > _HELD_STATES_MAX:
            self._compact()

    def _compact(self) -> None:
        if len(self._keys) > 1:
            states = tuple(map(np.concatenate, zip(*self._states, strict=True)))
            key, states = _folded(
                np.concatenate(self._keys),
                states,
                size=len(self._ids) * self._windows.buckets,
                fold=self._function.reduction.fold,
            )
            self._keys, self._states = [key], [states]
        self._held = len(self._keys[0])

    def finish(self) -> Table:
        """Return the series with a value wherever a window has samples."""
        points = self._windows.grid.count
        if not self._keys:
            return empty_table(points)
        self._compact()
        key, states = self._keys[0], self._states[0]
        labels = list(self._ids)
        values = np.empty((len(labels), points))
        present = np.empty((len(labels), points), dtype=np.bool_)
        at_once = max(_DENSE_CELLS_MAX // self._windows.buckets, 1)
        for start in range(0, len(labels), at_once):
            end = min(start + at_once, len(labels))
            values[start:end], present[start:end] = self._windowed(
                key, states, start=start, end=end
            )
        return Table(labels, values, present).with_points()

    def _windowed(
        self, key: Ints, states: Fields, *, start: int, end: int
    ) -> tuple[Floats, "np.typing.NDArray[np.bool_]"]:
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


def _folded(key: Ints, states: Fields, *, size: int, fold) -> tuple[Ints, Fields]:  # type: ignore[no-untyped-def] # noqa: ANN001
    """Return the distinct keys in order, and the state of each."""
    if size <= 2 * len(key) + 4096:
        state = fold(key, size, states)
        used = np.flatnonzero(state[0] > 0)
        return used, tuple(field[used] for field in state)
    distinct, index = np.unique(key, return_inverse=True)
    return distinct, fold(index, len(distinct), states)


def pipeline_failure(frame: Frame) -> QueryInvalid | None:
    """Return the error that a metric query ends with where a sample has one."""
    failed = frame.has_error()
    if frame.preserved is not None:
        failed = failed & ~frame.preserved
    if not failed.any():
        return None
    frame.filter(failed)
    labels, index = series_of(frame, None)
    pairs = labels[int(index[0])]
    kind = dict(pairs).get("__error__", "")
    text = "{" + ", ".join(f"{name}={quote(value)}" for name, value in pairs) + "}"
    return QueryInvalid(
        f"pipeline error: '{kind}' for series: '{text}'.\n"
        "Use a label filter to intentionally skip this error. "
        f'(e.g | __error__!="{kind}").\n'
        "To skip all potential errors you can match empty errors."
        '(e.g __error__="")\n'
        "The label filter can also be specified after unwrap. "
        '(e.g | unwrap latency | __error__="" )\n'
    )
