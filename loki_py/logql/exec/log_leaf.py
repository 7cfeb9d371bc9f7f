"""Log queries: the newest (or oldest) surviving entries, up to a limit."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loki_py.logql import ast
from loki_py.logql.exec.frame import Frame, Rows
from loki_py.logql.exec.series import (
    all_labels,
    metadata_labels,
    parsed_labels,
    stream_labels,
)
from loki_py.logql.exec.stream_table import StreamTable, StreamTables
from loki_py.logql.stages.pipeline import Pipeline
from loki_py.logql.stages.stage import Hints, Wants
from loki_py.model.batch import EntryBatch, concat
from loki_py.model.results import Categories, Labels, Streams

_SLACK = 4
"""Rows are cut back to the limit once this many times the limit are held."""


@dataclass(frozen=True, slots=True)
class LogPartial:
    """The surviving rows of one batch, whole entries."""

    rows: EntryBatch
    kept: int


class LogEvaluator:
    """Collect the entries of a log query.

    Surviving is decided per batch with only the labels that filters read; the
    whole pipeline runs at the end, on the rows that are returned, less the filters
    on lines that they passed as they came.
    """

    def __init__(
        self,
        query: ast.LogQuery,
        *,
        limit: int,
        forward: bool,
        interval_ns: int,
        categorize: bool,
        hints: Hints,
    ) -> None:
        self._limit = limit
        self._forward = forward
        self._interval_ns = interval_ns
        self._categorize = categorize
        self._tables = StreamTables()
        self._filtering = Pipeline(
            filtering_stages(query.stages),
            Wants(labels=frozenset(), line=False, hints=hints),
            picks_lines=True,
        )
        self._whole = Pipeline(
            behind_line_filters(query.stages),
            Wants(labels=None, line=True, hints=hints),
        )
        # What is read is first looked at by the filters: they know what is dense.
        self.columns = replace(
            self._whole.columns, search=self._filtering.columns.search
        )
        self._held: list[EntryBatch] = []
        self._held_rows = 0
        self._cutoff_ns: int | None = None
        self.rows_kept = 0
        self.by_line = self._filtering.by_line

    def map(self, batch: EntryBatch) -> LogPartial:
        """Return the rows that survive and may be among the result; thread-safe."""
        batch = self._within_cutoff(batch)
        frame = self._filtering.run(batch, self._tables.of(batch.streams))
        rows = frame.row
        kept = len(rows)
        if kept > self._limit:
            rows = rows[self._best(batch.timestamp_ns[rows])]
        return LogPartial(batch if len(rows) == len(batch) else batch.take(rows), kept)

    def add(self, partial: LogPartial) -> None:
        """Take a partial result; one thread, in unit order."""
        self.rows_kept += partial.kept
        if len(partial.rows) == 0:
            return
        self._held.append(partial.rows)
        self._held_rows += len(partial.rows)
        if self._held_rows > self._limit * _SLACK:
            self._cut_back()

    def enough(self, next_unit_edge_ns: int) -> bool:
        """Return whether no unread unit can contribute.

        Args:
            next_unit_edge_ns: the newest time of all unread units, or the oldest
                where the query runs forward.
        """
        if self._held_rows < self._limit:
            return False
        if self._forward:
            final = (b.timestamp_ns < next_unit_edge_ns for b in self._held)
        else:
            final = (b.timestamp_ns > next_unit_edge_ns for b in self._held)
        return sum(int(mask.sum()) for mask in final) >= self._limit

    def collected(self) -> list[LogPartial]:
        """Return what was added and may be among the result, in few partials.

        Adding them elsewhere comes to the same.
        """
        if self._held_rows > self._limit:
            self._cut_back()
        # They are turned round again where they are added.
        held = self._held if self._forward else self._held[::-1]
        batches = _joined_batches(held)
        if not self._forward:
            batches.reverse()
        kept = [self.rows_kept, *[0] * len(batches)]
        return [LogPartial(*each) for each in zip(batches, kept, strict=False)]

    def finish(self) -> Streams:
        """Return the result."""
        if self._held_rows > self._limit:
            self._cut_back()
        # Arrival decides between equal times, and the newest unit was read first.
        return self._result(self._held if self._forward else self._held[::-1])

    def _result(self, held: Sequence[EntryBatch]) -> Streams:
        frames = [
            self._whole.run(batch, StreamTable(batch.streams))
            for batch in map(_with_used_streams, _joined_batches(held))
        ]
        return _streams_of(
            frames,
            limit=self._limit,
            forward=self._forward,
            interval_ns=self._interval_ns,
            categorize=self._categorize,
        )

    def _within_cutoff(self, batch: EntryBatch) -> EntryBatch:
        cutoff_ns = self._cutoff_ns
        if cutoff_ns is None:
            return batch
        times = batch.timestamp_ns
        return batch.filter(times <= cutoff_ns if self._forward else times >= cutoff_ns)

    def _best(self, timestamp_ns: npt.NDArray[np.int64]) -> Rows:
        """Return the rows at or before the limit-th in query order, in row order."""
        edge = self._edge_of(timestamp_ns)
        keep = timestamp_ns <= edge if self._forward else timestamp_ns >= edge
        return np.flatnonzero(keep)

    def _edge_of(self, timestamp_ns: npt.NDArray[np.int64]) -> int:
        at = self._limit - 1 if self._forward else len(timestamp_ns) - self._limit
        return int(np.partition(timestamp_ns, at)[at])

    def _cut_back(self) -> None:
        times = np.concatenate([batch.timestamp_ns for batch in self._held])
        edge = self._edge_of(times)
        self._cutoff_ns = edge
        cut = [self._within_cutoff(batch) for batch in self._held]
        self._held = [batch for batch in cut if len(batch)]
        self._held_rows = sum(map(len, self._held))


def _joined_batches(held: Sequence[EntryBatch]) -> list[EntryBatch]:
    """Return the batches, those of one source as one, in order of first arrival."""
    by_source: dict[int, list[EntryBatch]] = {}
    for batch in held:
        by_source.setdefault(id(batch.streams), []).append(batch)
    return [concat(batches) for batches in by_source.values()]


def _with_used_streams(batch: EntryBatch) -> EntryBatch:
    """Return the batch with no streams but those of its rows."""
    used, stream = np.unique(batch.stream, return_inverse=True)
    streams = tuple(batch.streams[i] for i in used.tolist())
    return replace(batch, streams=streams, stream=stream.astype(np.uint32))


def filtering_stages(stages: Sequence[ast.Stage]) -> Sequence[ast.Stage]:
    """Return the leading stages that decide which lines survive."""
    filters = (ast.LineFilter, ast.LabelFilterStage)
    has_label_filter = any(isinstance(s, ast.LabelFilterStage) for s in stages)
    parsers = (
        ast.JsonParser,
        ast.LogfmtParser,
        ast.RegexpParser,
        ast.PatternParser,
        ast.UnpackParser,
    )
    # A parser applies label filters, wherever they stand, to what it extracts.
    counted = (*filters, *parsers) if has_label_filter else filters
    places = [i + 1 for i, stage in enumerate(stages) if isinstance(stage, counted)]
    return stages[: max(places, default=0)]


def behind_line_filters(stages: Sequence[ast.Stage]) -> Sequence[ast.Stage]:
    """Return the stages behind leading filters on lines, which change nothing."""
    first = 0
    while first < len(stages) and isinstance(stages[first], ast.LineFilter):
        first += 1
    return stages[first:]


def _streams_of(
    frames: Sequence[Frame],
    *,
    limit: int,
    forward: bool,
    interval_ns: int,
    categorize: bool,
) -> Streams:
    labels_of = stream_labels if categorize else all_labels
    labels, index = _merged([labels_of(frame) for frame in frames])
    times = _joined([frame.timestamp_ns for frame in frames])
    ranks = _ranks(labels)
    order = _query_order(times, ranks[index], forward=forward)
    order = order[:limit]
    if interval_ns:
        order = _spaced(order, times, interval_ns)
    used, stream = np.unique(ranks[index[order]], return_inverse=True)
    grouped = order[np.argsort(stream, kind="stable")]
    by_rank = sorted(labels)
    lines = pa.concat_arrays(
        [frame.lines.to_arrow().cast(pa.large_string()) for frame in frames]
        or [pa.array([], pa.large_string())]
    )
    categories = _categories(frames, grouped) if categorize else None
    counts = np.bincount(stream, minlength=len(used))
    return Streams(
        labels=[by_rank[i] for i in used.tolist()],
        offsets=np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        timestamp_ns=times[grouped],
        line=lines.take(pa.array(grouped)),
        categories=categories,
    )


def _categories(frames: Sequence[Frame], rows: Rows) -> Categories:
    metadata, metadata_index = _merged([metadata_labels(frame) for frame in frames])
    parsed, parsed_index = _merged([parsed_labels(frame) for frame in frames])
    return Categories(metadata, metadata_index[rows], parsed, parsed_index[rows])


def _merged(parts: Sequence[tuple[list[Labels], Rows]]) -> tuple[list[Labels], Rows]:
    """Return the distinct label sets of all parts, and each row's position."""
    ids: dict[Labels, int] = {}
    indices = []
    for labels, index in parts:
        places = [ids.setdefault(one, len(ids)) for one in labels]
        indices.append(np.array(places, dtype=np.int64)[index])
    return list(ids), _joined(indices)


def _joined(parts: Sequence[Rows]) -> Rows:
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)


def _ranks(labels: Sequence[Labels]) -> Rows:
    order = sorted(range(len(labels)), key=labels.__getitem__)
    ranks = np.empty(len(labels), dtype=np.int64)
    ranks[order] = np.arange(len(labels))
    return ranks


def _query_order(times: Rows, rank: Rows, *, forward: bool) -> Rows:
    """Return the rows by time, then stream, then arrival; reversed if backward."""
    if forward:
        return np.lexsort((rank, times))
    arrival = -np.arange(len(times))
    return np.lexsort((arrival, rank, -times))


def _spaced(order: Rows, times: Rows, interval_ns: int) -> Rows:
    """Return the rows that lie at least the interval after the last kept one."""
    distance = np.abs(times[order] - times[order[:1]])
    kept = []
    at = 0
    while at < len(order):
        kept.append(at)
        at = int(np.searchsorted(distance, distance[at] + interval_ns))
    return order[np.array(kept, dtype=np.int64)]
