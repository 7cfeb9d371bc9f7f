"""Heads: the newest entries of one tenant, uncompressed, in arrival order.

A head takes whole pushes as pieces and never looks at single rows in Python.
It notes which pieces could hold duplicates, so that the usual push, newer than
all before it, is never compared with anything. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from loki_py.ingester.stream_table import NEVER_NS, Refs, StreamTable
from loki_py.model.batch import EntryBatch, Timestamps, concat

MERGE_FAN_IN = 64
"""Pieces of one size class that are merged into one of the next."""

MERGE_LEVELS_MAX = 2
"""Size classes whose pieces are merged: 64 times 64 pushes of few rows make one."""

MERGED_ROWS_MAX = 16_384
"""Rows of a merged piece, unless a push alone had more."""

LONG_ROWS = 2_048
LONG_BYTES = 64 << 10
"""From these on, rows or bytes of lines, a piece is left as it is: a merge would
copy it for little. Replicas that get the same pushes merge at the same moment, so
no quorum is spared what a merge takes."""

MERGE_BYTES = 512 << 10
"""So many bytes of lines in pieces of one size class are merged at once, however
few they are: pushes wait meanwhile."""

ROW_OVERHEAD_BYTES = 24
"""Bytes a row costs beside its line and metadata: ref, timestamp, offset."""


@dataclass(frozen=True, slots=True)
class Runs:
    """What a push holds of each of its streams, as columns of equal length.

    Attributes:
        ref: uint32, the stream; no two are equal.
        oldest_ns, newest_ns: int64, bounds of its timestamps.
        ascending: bool, whether each of its timestamps is greater than the one
            that came before it.
    """

    ref: Refs
    oldest_ns: Timestamps
    newest_ns: Timestamps
    ascending: npt.NDArray[np.bool_]


def runs_of(refs: Refs, timestamp_ns: Timestamps) -> Runs:
    """Return the runs of rows with equal ref; needs one row or more."""
    assert len(refs) > 0
    starts = _starts_of(refs)
    ref = refs[starts]
    ordered = np.sort(ref)
    if (ordered[1:] == ordered[:-1]).any():
        order = np.argsort(refs, kind="stable")
        refs, timestamp_ns = refs[order], timestamp_ns[order]
        starts = _starts_of(refs)
        ref = refs[starts]
    if len(ref) == len(refs):
        ascending = np.ones(len(ref), np.bool_)
        return Runs(ref, timestamp_ns, timestamp_ns, ascending)
    rising = np.ones(len(refs), np.bool_)
    np.greater(timestamp_ns[1:], timestamp_ns[:-1], out=rising[1:])
    rising[starts] = True
    return Runs(
        ref,
        np.minimum.reduceat(timestamp_ns, starts),
        np.maximum.reduceat(timestamp_ns, starts),
        np.logical_and.reduceat(rising, starts),
    )


def _starts_of(refs: Refs) -> npt.NDArray[np.int64]:
    """Return the first row of each stretch of neighbours with equal ref."""
    is_start = np.ones(len(refs), np.bool_)
    np.not_equal(refs[1:], refs[:-1], out=is_start[1:])
    return is_start.nonzero()[0]


class Head:
    """Pieces of one tenant since the last cut, and their time bounds by stream.

    Pieces carry refs in `stream`; their `streams` is not used and empty.

    Attributes:
        bytes: what the pieces hold, lines, metadata and overhead.
        line_bytes: lines alone.
        rows: entries.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self.line_bytes = 0
        self.rows = 0
        self._tiers: list[list[EntryBatch]] = [[]]
        self._short_bytes = [0]
        self._oldest_ns = np.zeros(0, np.int64)
        self._newest_ns = np.zeros(0, np.int64)
        self._may_repeat = np.zeros(0, np.bool_)

    def append(self, piece: EntryBatch, runs: Runs, table: StreamTable) -> None:
        """Add a piece whose `stream` column holds refs of `table`."""
        line_bytes = piece.total_line_bytes()
        metadata_bytes = piece.total_metadata_bytes()
        is_newer = runs.ascending & (runs.oldest_ns > table.newest_ns[runs.ref])
        self._note_bounds(runs, table)
        if not is_newer.all():
            self._may_repeat[runs.ref[~is_newer]] = True
        self.bytes += line_bytes + metadata_bytes + ROW_OVERHEAD_BYTES * len(piece)
        self.line_bytes += line_bytes
        self.rows += len(piece)
        self._tiers[0].append(piece)
        self._short_bytes[0] += 0 if _is_long(piece) else line_bytes
        self._merge_small_pieces()

    def refs(self) -> Refs:
        """Return the refs of streams that have rows here, ascending."""
        return np.flatnonzero(self._newest_ns != NEVER_NS).astype(np.uint32)

    def bounds(self, refs: Refs) -> tuple[Timestamps, Timestamps]:
        """Return (oldest_ns, newest_ns) by given ref; newest is NEVER_NS where none."""
        known = refs < len(self._newest_ns)
        index = np.where(known, refs, 0)
        if not len(self._newest_ns):
            return np.zeros(len(refs), np.int64), np.full(len(refs), NEVER_NS)
        newest_ns = np.where(known, self._newest_ns[index], NEVER_NS)
        return self._oldest_ns[index], newest_ns

    def streams_counts(self, *, start_ns: int, end_ns: int) -> tuple[int, int]:
        """Return how many streams have rows that touch [start, end), and others."""
        held = self._newest_ns != NEVER_NS
        inside = held & (self._newest_ns >= start_ns) & (self._oldest_ns < end_ns)
        inside_count = int(np.count_nonzero(inside))
        return inside_count, int(np.count_nonzero(held)) - inside_count

    def may_repeat(self, refs: Refs) -> bool:
        """Return whether one of these streams may have duplicates here.

        Where not, each stream's rows are in order of time as they are.
        """
        return bool(self._may_repeat[refs[refs < len(self._may_repeat)]].any())

    def pieces(self) -> list[EntryBatch]:
        """Return the pieces in arrival order; they never change."""
        return [piece for tier in reversed(self._tiers) for piece in tier]

    def _note_bounds(self, runs: Runs, table: StreamTable) -> None:
        if table.capacity > len(self._newest_ns):
            grown = max(2 * len(self._newest_ns), table.capacity)
            more = grown - len(self._newest_ns)
            self._newest_ns = np.concatenate(
                (self._newest_ns, np.full(more, NEVER_NS, np.int64))
            )
            self._oldest_ns = np.concatenate(
                (self._oldest_ns, np.full(more, np.iinfo(np.int64).max, np.int64))
            )
            self._may_repeat = np.concatenate(
                (self._may_repeat, np.zeros(more, np.bool_))
            )
        ref = runs.ref
        newest_ns = self._newest_ns[ref]
        is_fresh = newest_ns == NEVER_NS
        if is_fresh.any():
            table.holders[ref[is_fresh]] += 1
        self._oldest_ns[ref] = np.minimum(self._oldest_ns[ref], runs.oldest_ns)
        self._newest_ns[ref] = np.maximum(newest_ns, runs.newest_ns)
        table.note_times(runs.ref, runs.oldest_ns, runs.newest_ns)

    def _merge_small_pieces(self) -> None:
        """Keep the pieces few: MERGE_FAN_IN of one size class become one of the next,
        or as many as have MERGE_BYTES.

        Arrival order holds because the pieces of a class are all newer than
        those of the next. The last class has pieces that are long enough, and
        may hold any number of them.
        """
        for level in range(MERGE_LEVELS_MAX):
            tier = self._tiers[level]
            if len(tier) < MERGE_FAN_IN and self._short_bytes[level] < MERGE_BYTES:
                return
            if level + 1 == len(self._tiers):
                self._tiers.append([])
                self._short_bytes.append(0)
            merged = _merged_neighbours(tier)
            self._tiers[level + 1] += merged
            self._short_bytes[level + 1] += sum(
                piece.total_line_bytes() for piece in merged if not _is_long(piece)
            )
            self._tiers[level], self._short_bytes[level] = [], 0


def _is_long(piece: EntryBatch) -> bool:
    return len(piece) >= LONG_ROWS or piece.total_line_bytes() >= LONG_BYTES


def _merged_neighbours(pieces: Sequence[EntryBatch]) -> list[EntryBatch]:
    """Return the rows of `pieces` in order, in pieces near MERGED_ROWS_MAX long.

    Long pieces stay what they are, and neighbours of none.
    """
    merged: list[EntryBatch] = []
    group: list[EntryBatch] = []
    rows = 0
    for piece in pieces:
        is_long = _is_long(piece)
        if group and (is_long or rows + len(piece) > MERGED_ROWS_MAX):
            merged.append(concat(group))
            group, rows = [], 0
        if is_long:
            merged.append(piece)
        else:
            group.append(piece)
            rows += len(piece)
    if group:
        merged.append(concat(group))
    return merged
