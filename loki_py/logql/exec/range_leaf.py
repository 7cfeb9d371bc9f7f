"""Range aggregations: samples into (series, bucket) states, states into windows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from loki_py.errors import LimitExceeded, QueryInvalid
from loki_py.logql.ast_metric import Grouping
from loki_py.logql.exec.frame import Frame, Mask
from loki_py.logql.exec.grid import Windows
from loki_py.logql.exec.series import series_of
from loki_py.logql.exec.stream_table import StreamTables
from loki_py.logql.exec.summaries import Block, Summary
from loki_py.logql.exec.table import SlicedTable, label_order
from loki_py.logql.exec.time_counts import counted
from loki_py.logql.stages.pipeline import Pipeline
from loki_py.model.batch import EntryBatch
from loki_py.model.labels import quote
from loki_py.model.results import Floats, Labels
from loki_py.model.scan import TimeRuns

_SERIES_MAX = 1_000_000
"""Series that a range may have: about 0.5 GB of label sets."""

_WIDE_ROWS_MAX = 4096
"""Rows whose labels are all extracted at a time: each name that one of them has
is a column for all of them."""


@dataclass(frozen=True, slots=True)
class RangePartial:
    """The samples of one batch.

    Attributes:
        labels: the batch's series.
        block: what the summary takes.
        kept: entries that survived the pipeline.
        failure: an error to raise, where a sample has one.
    """

    labels: Sequence[Labels]
    block: Block
    kept: int
    failure: QueryInvalid | None = None


def joined(partials: Sequence[RangePartial]) -> RangePartial:
    """Return what comes of adding several, in order, as one."""
    ids: dict[Labels, int] = {}
    series = []
    for each in partials:
        places = [ids.setdefault(labels, len(ids)) for labels in each.labels]
        series.append(np.array(places, np.int64)[each.block.series])
    blocks = [each.block for each in partials]
    block = Block(
        np.concatenate(series),
        np.concatenate([block.when for block in blocks]),
        tuple(map(_column_of, zip(*(block.fields for block in blocks), strict=True))),
    )
    failures = (each.failure for each in partials if each.failure is not None)
    kept = sum(each.kept for each in partials)
    return RangePartial(list(ids), block, kept, next(failures, None))


def _column_of(parts: "Sequence[npt.NDArray[Any]]") -> "npt.NDArray[Any]":
    """Return columns as one; where all are one number, still without a copy."""
    values = {part[0] for part in parts if len(part)}
    if len(values) == 1 and all(part.strides == (0,) for part in parts):
        return np.broadcast_to(values.pop(), sum(map(len, parts)))
    return np.concatenate(parts)


class Samples(Protocol):
    """What of a frame is aggregated."""

    def values(self, frame: Frame) -> Floats:
        """Return a value per row; may drop rows and set errors."""
        ...


class Entries:
    """Each row counts as one."""

    def values(self, frame: Frame) -> Floats:
        return np.broadcast_to(np.float64(1), len(frame))


class LineBytes:
    """The bytes of each line, as the pipeline left it."""

    def values(self, frame: Frame) -> Floats:
        return frame.lines.str.len_bytes().to_numpy().astype(np.float64)


class RangeEvaluator:
    """Evaluate one range aggregation over all windows of a grid.

    Args:
        grouping: which labels make a series; None for all.
        without_label: the unwrapped label.
        absent: the labels of the only series, which is 1 where there are no
            samples; None for series of samples.

    Attributes:
        counts_times: whether the runs of a unit suffice, see `map_times`.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        samples: Samples,
        windows: Windows,
        *,
        summary: Summary,
        grouping: Grouping | None,
        without_label: str | None,
        absent: Labels | None = None,
    ) -> None:
        self.columns = pipeline.columns
        self.rows_kept = 0
        self.by_line = pipeline.by_line
        self._pipeline = pipeline
        self._samples = samples
        self._windows = windows
        self._summary = summary
        self._grouping = grouping
        self._without_label = without_label
        self._absent = absent
        self._tables = StreamTables()
        self._ids: dict[Labels, int] = {}
        self.counts_times = (
            pipeline.is_empty
            and isinstance(samples, Entries)
            and summary.counts
            and windows.edges_ns is not None
            and grouping is not None
            and not grouping.without
        )

    def map(self, batch: EntryBatch) -> tuple[RangePartial, ...]:
        """Return the samples of a batch; thread-safe."""
        rows = _WIDE_ROWS_MAX if self._pipeline.extracts_all else max(len(batch), 1)
        return tuple(
            self._mapped(batch.slice(at, min(at + rows, len(batch))))
            for at in range(0, len(batch), rows)
        )

    def map_times(self, pieces: Sequence[TimeRuns]) -> tuple[RangePartial, ...]:
        """Return the counts of runs, as `map` would; where `counts_times`."""
        assert self._grouping is not None
        names = tuple(dict.fromkeys(self._grouping.labels))
        partials = []
        for runs in pieces:
            if len(runs.stream):
                table = self._tables.of(runs.streams)
                labels, block = counted(runs, table, names, self._windows)
                kept = int((runs.last - runs.first).sum())
                partials.append(RangePartial(labels, block, kept))
        return tuple(partials)

    def _mapped(self, batch: EntryBatch) -> RangePartial:
        frame = self._pipeline.run(batch, self._tables.of(batch.streams))
        values = self._samples.values(frame)
        kept = len(frame)
        if self._windows.has_gaps:
            inside = self._windows.bucket_of(frame.timestamp_ns) >= 0
            frame.filter(inside)
            values = values[inside]
        failure = pipeline_failure(frame)
        labels, series = series_of(
            frame, self._grouping, without_label=self._without_label
        )
        ranks = values
        if self._summary.ranks:
            ranks = frame.table.hashes(frame.stream)
        block = self._summary.block_of(series, frame.timestamp_ns, values, ranks)
        return RangePartial(labels, block, kept, failure)

    def add(self, partials: Sequence[RangePartial]) -> None:
        """Take the partial results of a batch; one thread, in unit order.

        Raises: QueryInvalid where a sample in a window has an error.
        """
        for partial in partials:
            self._add(partial)

    def _add(self, partial: RangePartial) -> None:
        if partial.failure is not None:
            raise partial.failure
        self.rows_kept += partial.kept
        if not len(partial.block.series):
            return
        ids = self._ids
        places = [ids.setdefault(one, len(ids)) for one in partial.labels]
        if len(ids) > _SERIES_MAX:
            raise LimitExceeded(
                f"a range of the query has more than {_SERIES_MAX} series; consider "
                "more specific stream selectors, a shorter time range, or fewer "
                "labels to group by",
                status=400,
            )
        series = np.array(places, dtype=np.int64)[partial.block.series]
        self._summary.add(series, partial.block)

    def finish(self) -> SlicedTable:
        """Return the series with a value wherever a window has samples."""
        width = max(self._windows.buckets, self._windows.grid.count)
        labels = list(self._ids)
        order = label_order(labels)
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        valued = self._summary.finish(place)
        table = SlicedTable([labels[i] for i in order.tolist()], width, valued)
        return table if self._absent is None else _absence(table, self._absent)


def _absence(table: SlicedTable, labels: Labels) -> SlicedTable:
    """Return the one series that is 1 wherever none of the table has a point."""

    def valued(start: int, end: int) -> tuple[Floats, Mask]:
        slices = (each.present.any(axis=0) for each in table.slices())
        nowhere: Mask = ~np.logical_or.reduce(list(slices)).reshape(1, -1)
        return np.ones(nowhere.shape)[start:end], nowhere[start:end]

    return SlicedTable([labels], table.width, valued)


def pipeline_failure(frame: Frame) -> QueryInvalid | None:
    """Return the error that a metric query ends with where a sample has one."""
    failed = frame.has_error()
    if frame.preserved is not None:
        failed = failed & ~frame.preserved
    if not failed.any():
        return None
    frame = frame.copy()
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
