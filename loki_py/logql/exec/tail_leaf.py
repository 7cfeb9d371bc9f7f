"""Tails: entries that survive the pipeline, in order of time, whole batches at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loki_py.logql import ast
from loki_py.logql.exec.frame import Frame
from loki_py.logql.exec.log_leaf import filtering_stages
from loki_py.logql.exec.series import (
    all_labels,
    metadata_labels,
    parsed_labels,
    stream_labels,
)
from loki_py.logql.exec.stream_table import StreamTables
from loki_py.logql.stages.pipeline import Pipeline, hints_of
from loki_py.logql.stages.stage import Wants
from loki_py.model.batch import EntryBatch, value_bytes_of
from loki_py.model.results import Categories, Indices, Labels


@dataclass(frozen=True, slots=True)
class TailEntries:
    """n entries, oldest first.

    Attributes:
        labels: the label sets that rows refer to.
        labels_index: int64[n], row to position in those.
        timestamp_ns: int64[n].
        line: large_string[n].
        categories: set where labels are told apart; `labels` are then those of
            streams alone.
    """

    labels: Sequence[Labels]
    labels_index: Indices
    timestamp_ns: Indices
    line: "pa.LargeStringArray"
    categories: Categories | None = None

    def __len__(self) -> int:
        return len(self.timestamp_ns)

    def line_bytes(self) -> npt.NDArray[np.int64]:
        """Return the UTF-8 length of each line."""
        return value_bytes_of(self.line)

    def take(self, rows: Indices) -> "TailEntries":
        """Return the given rows, in the given order."""
        categories = self.categories
        if categories is not None:
            categories = Categories(
                categories.structured_metadata,
                categories.structured_metadata_index[rows],
                categories.parsed,
                categories.parsed_index[rows],
            )
        return TailEntries(
            self.labels,
            self.labels_index[rows],
            self.timestamp_ns[rows],
            self.line.take(pa.array(rows)),
            categories,
        )


class TailEvaluator:
    """Runs a query's pipeline on batches as they come.

    What it derives from a source's label sets is kept for the next batch.
    """

    def __init__(self, query: ast.LogQuery, *, categorized: bool) -> None:
        hints = hints_of(query.stages, grouping=None)
        self._categorized = categorized
        self._tables = StreamTables()
        self._filtering = Pipeline(
            filtering_stages(query.stages),
            Wants(labels=frozenset(), line=False, hints=hints),
        )
        self._whole = Pipeline(query.stages, Wants(labels=None, line=True, hints=hints))

    def entries_of(self, batch: EntryBatch) -> TailEntries:
        """Return the entries of the batch that survive, oldest first.

        Equal times keep the order of their streams, then that of arrival.
        """
        table = self._tables.of(batch.streams)
        rows = self._filtering.run(batch, table).row
        if len(rows) < len(batch):
            batch = batch.take(rows)
        frame = self._whole.run(batch, table)
        order = np.lexsort((frame.stream, frame.timestamp_ns))
        return _entries_of(frame, categorized=self._categorized).take(order)


def _entries_of(frame: Frame, *, categorized: bool) -> TailEntries:
    labels, index = stream_labels(frame) if categorized else all_labels(frame)
    categories = None
    if categorized:
        metadata, metadata_index = metadata_labels(frame)
        parsed, parsed_index = parsed_labels(frame)
        categories = Categories(metadata, metadata_index, parsed, parsed_index)
    line = frame.lines.to_arrow().cast(pa.large_string())
    return TailEntries(labels, index, frame.timestamp_ns, line, categories)
