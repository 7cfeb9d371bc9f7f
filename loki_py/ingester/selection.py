"""Scan units over heads: what a query may read of memory."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loki_py.chunks.sorting import sort_and_deduplicate
from loki_py.ingester.head import Head
from loki_py.ingester.stream_table import NEVER_NS, Refs, StreamTable
from loki_py.model.batch import EntryBatch, concat
from loki_py.model.labels import LabelSet
from loki_py.model.scan import (
    BatchUnit,
    Columns,
    LocalUnit,
    ReadStats,
    Scan,
    ScanUnit,
    Skipped,
    StreamRuns,
)

_NO_LINES = pa.nulls(0, pa.large_string())

FIRST_NS = np.iinfo(np.int64).min
LAST_NS = np.iinfo(np.int64).max

UNIT_ROWS_MAX = 40_000
"""Rows of a head that one unit holds, so that worker threads share a head."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The streams of one tenant that a scan selects, numbered for the scan.

    Attributes:
        streams: their label sets, in the order that units index.
        refs: uint32, their refs.
        local_of_ref: int32 by ref, position in `streams`, -1 where not wanted.
        start_ns, end_ns: the half-open interval of the scan.
    """

    streams: tuple[LabelSet, ...]
    refs: Refs
    local_of_ref: npt.NDArray[np.int32]
    start_ns: int
    end_ns: int


def wanted_of(table: StreamTable, scan: Scan) -> Wanted:
    """Return the streams of `table` that the scan selects."""
    refs = table.select(scan.matchers, start_ns=scan.start_ns, end_ns=scan.end_ns)
    local_of_ref = np.full(table.capacity, -1, np.int32)
    local_of_ref[refs] = np.arange(len(refs), dtype=np.int32)
    return Wanted(table.labels_of(refs), refs, local_of_ref, scan.start_ns, scan.end_ns)


@dataclass(frozen=True, slots=True)
class HeadUnit(LocalUnit):
    """Some pieces of one head, as they were when the query came.

    Attributes:
        may_repeat: whether the pieces may hold duplicates of each other; the
            unit then holds all pieces of its head.
    """

    wanted: Wanted
    pieces: Sequence[EntryBatch]
    runs: StreamRuns
    origin: str
    may_repeat: bool

    @property
    def streams(self) -> Sequence[LabelSet]:
        return self.wanted.streams

    @property
    def min_ns(self) -> int:
        return max(int(self.runs.min_ns.min()), self.wanted.start_ns)

    @property
    def max_ns(self) -> int:
        return min(int(self.runs.max_ns.max()), self.wanted.end_ns - 1)

    @property
    def rows_max(self) -> int:
        return sum(map(len, self.pieces))

    def read(self, columns: Columns, stats: ReadStats) -> EntryBatch:
        """Return the wanted rows of the pieces, each once."""
        batch = selected_of(self.pieces, self.wanted)
        if batch is None:
            return empty_batch(self.wanted.streams)
        if self.may_repeat:
            batch, dropped = sort_and_deduplicate(batch)
            stats.duplicates += dropped
        return BatchUnit(batch).read(columns, stats)


def units_of_head(head: Head, wanted: Wanted, origin: str) -> list[ScanUnit]:
    """Return the head's units for a scan; none where it has no wanted stream."""
    oldest_ns, newest_ns = head.bounds(wanted.refs)
    present = (newest_ns >= wanted.start_ns) & (oldest_ns < wanted.end_ns)
    present &= newest_ns != NEVER_NS
    local = np.flatnonzero(present)
    if not len(local):
        return []
    runs = StreamRuns(local.astype(np.uint32), oldest_ns[local], newest_ns[local])
    pieces = head.pieces()
    may_repeat = head.may_repeat(wanted.refs[local])
    groups = [pieces] if may_repeat else _groups(pieces)
    return [
        HeadUnit(wanted, group, runs, origin, may_repeat=may_repeat) for group in groups
    ]


def skipped_of_head(head: Head, wanted: Wanted, units: Sequence[ScanUnit]) -> Skipped:
    """Return which streams of the head are in none of its units for a scan."""
    inside, outside = head.streams_counts(
        start_ns=wanted.start_ns, end_ns=wanted.end_ns
    )
    matched = len(units[0].runs.stream) if units else 0
    return Skipped(outside_time=outside, other_streams=inside - matched)


def empty_batch(streams: Sequence[LabelSet]) -> EntryBatch:
    """Return a batch without rows."""
    return EntryBatch(
        streams, np.zeros(0, np.uint32), np.zeros(0, np.int64), _NO_LINES, {}
    )


def all_of(refs: Refs, table: StreamTable) -> Wanted:
    """Return the given streams, wanted at any time."""
    local_of_ref = np.full(table.capacity, -1, np.int32)
    local_of_ref[refs] = np.arange(len(refs), dtype=np.int32)
    return Wanted(table.labels_of(refs), refs, local_of_ref, FIRST_NS, LAST_NS)


def selected_of(pieces: Sequence[EntryBatch], wanted: Wanted) -> EntryBatch | None:
    """Return the wanted rows of a head's pieces in arrival order; None where none."""
    found = []
    for piece in pieces:
        local = wanted.local_of_ref[piece.stream]
        mask = (
            (local >= 0)
            & (piece.timestamp_ns >= wanted.start_ns)
            & (piece.timestamp_ns < wanted.end_ns)
        )
        if mask.any():
            found.append(_renumbered(piece.filter(mask), wanted))
    return concat(found) if found else None


def _renumbered(piece: EntryBatch, wanted: Wanted) -> EntryBatch:
    return EntryBatch(
        wanted.streams,
        wanted.local_of_ref[piece.stream].astype(np.uint32),
        piece.timestamp_ns,
        piece.line,
        piece.metadata,
        piece.metadata_rest,
    )


def _groups(pieces: Sequence[EntryBatch]) -> list[list[EntryBatch]]:
    groups: list[list[EntryBatch]] = [[]]
    rows = 0
    for piece in pieces:
        if rows and rows + len(piece) > UNIT_ROWS_MAX:
            groups.append([])
            rows = 0
        groups[-1].append(piece)
        rows += len(piece)
    return groups
