"""The chunk table of a pack, gathered while rows are written."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from loki_py.chunks.sorting import file_order_of
from loki_py.model.batch import EntryBatch
from loki_py.model.chunk_refs import CHUNK_COLUMNS
from loki_py.model.labels import LabelSet


class ChunkList:
    """Rows that went by, as chunks: neighbouring rows of one stream."""

    def __init__(self) -> None:
        self._labels: list[LabelSet] = []
        self._rows: list[int] = []
        self._from: list[int] = []
        self._through: list[int] = []
        self._bytes: list[int] = []

    def append(self, batch: EntryBatch) -> None:
        """Note the batch's rows, one or more, in file order."""
        line_bytes = batch.line_bytes()
        changes = np.flatnonzero(batch.stream[1:] != batch.stream[:-1]) + 1
        starts = np.concatenate(([0], changes))
        ends = np.append(changes, len(batch))
        labels = [batch.streams[s] for s in batch.stream[starts].tolist()]
        rows = (ends - starts).tolist()
        oldest = batch.timestamp_ns[starts].tolist()
        newest = batch.timestamp_ns[ends - 1].tolist()
        sizes = np.add.reduceat(line_bytes, starts).tolist()
        if self._labels:
            last = self._labels[-1]
            assert file_order_of(last) <= file_order_of(labels[0])
            if labels[0] == last:
                assert self._through[-1] <= oldest[0]
                self._rows[-1] += rows.pop(0)
                self._bytes[-1] += sizes.pop(0)
                self._through[-1] = newest.pop(0)
                del labels[0], oldest[0]
        self._labels += labels
        self._rows += rows
        self._from += oldest
        self._through += newest
        self._bytes += sizes

    def chunks(self, row_group_rows: Sequence[int]) -> pl.DataFrame:
        """Return the chunk table of a pack with row groups of so many rows."""
        rows = np.array(self._rows, dtype=np.int64)
        ends = np.cumsum(rows)
        row_group_ends = np.cumsum(np.array(row_group_rows, dtype=np.int64))
        first = np.searchsorted(row_group_ends, ends - rows, side="right")
        last = np.searchsorted(row_group_ends, ends)
        return pl.DataFrame(
            {
                "fingerprint": [labels.fingerprint for labels in self._labels],
                "labels": [labels.text for labels in self._labels],
                "from": self._from,
                "through": self._through,
                "entries": rows,
                "bytes": self._bytes,
                "row_group_first": first,
                "row_groups": last - first + 1,
                "row_first": ends - rows,
                "rows": rows,
            },
            schema=CHUNK_COLUMNS,
        )
