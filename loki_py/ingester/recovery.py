"""Replay the WAL after a start: records in, heads out.

Blocking; runs on a worker thread before the ingester serves. Lines are not
copied: they stay in the mapped segments until they are cut. Memory stays
bounded: full heads are sealed, as while serving, and no more may wait for their
cut than while serving.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from loki_py.ingester.generation import Generation
from loki_py.ingester.head import runs_of
from loki_py.ingester.stream_table import Refs, StreamTable
from loki_py.model.batch import EntryBatch
from loki_py.wal.records import EntriesRecord, SeriesRecord

UNCUT_HEADS_MAX = 2
"""A segment with more than so many full heads was written under other settings;
it is left behind in parts."""


@dataclass(slots=True)
class ReplayCounts:
    """What a replay found.

    Attributes:
        segments: segments read.
        entries: entries replayed.
        orphans: entries whose series record was damaged; they cannot be placed.
    """

    segments: int = 0
    entries: int = 0
    orphans: int = 0


@dataclass(slots=True)
class Replay:
    """Puts records back into heads.

    Attributes:
        generation: the open generation; the caller's `full` may replace it.
        full: called when the generation is due, with the last segment that is
            in heads as a whole; returns the next generation. As a rule that is
            where a segment ends: then what it holds need not be replayed again.
    """

    generation: Generation
    tables: dict[str, StreamTable]
    head_bytes_max: int
    full: Callable[[Generation, int], Generation]
    now_ns: int
    counts: ReplayCounts = field(default_factory=ReplayCounts)

    def run(
        self, records: Iterable[tuple[int, SeriesRecord | EntriesRecord]]
    ) -> Generation:
        """Replay (segment, record) pairs in order; return the open generation."""
        segment = -1
        refs: dict[str, Refs] = {}
        for number, record in records:
            if number != segment:
                if self.generation.bytes >= self.head_bytes_max:
                    self.generation = self.full(self.generation, segment)
                segment, refs = number, {}
                self.counts.segments += 1
            if isinstance(record, SeriesRecord):
                self._add_series(record, refs)
            else:
                self._add_entries(record, refs)
            if self.generation.bytes >= UNCUT_HEADS_MAX * self.head_bytes_max:
                self.generation = self.full(self.generation, segment - 1)
        return self.generation

    def _add_series(self, record: SeriesRecord, refs: dict[str, Refs]) -> None:
        """Learn which stream each ref of the segment stands for."""
        table = self.tables.setdefault(record.tenant, StreamTable())
        known = refs.get(record.tenant, np.zeros(0, np.uint32))
        highest = max((ref for ref, _ in record.series), default=-1)
        if highest >= len(known):
            grown = np.full(max(highest + 1, 2 * len(known)), _UNKNOWN, np.uint32)
            grown[: len(known)] = known
            known = grown
        for ref, labels in record.series:
            known[ref] = table.ref_of(labels, now_ns=self.now_ns)
        refs[record.tenant] = known

    def _add_entries(self, record: EntriesRecord, refs: dict[str, Refs]) -> None:
        known = refs.get(record.tenant, np.zeros(0, np.uint32))
        in_range = record.ref < len(known)
        placed = np.full(len(record.ref), _UNKNOWN, np.uint32)
        placed[in_range] = known[record.ref[in_range]]
        piece = EntryBatch(
            (),
            placed,
            record.timestamp_ns,
            record.line,
            record.metadata,
            record.metadata_rest,
        )
        is_known = placed != _UNKNOWN
        self.counts.orphans += int(np.count_nonzero(~is_known))
        piece = piece.filter(is_known)
        if not len(piece):
            return
        table = self.tables[record.tenant]
        runs = runs_of(piece.stream, piece.timestamp_ns)
        self.generation.append(record.tenant, piece, runs, table, now_ns=self.now_ns)
        table.appended_ns[runs.ref] = self.now_ns
        self.counts.entries += len(piece)


_UNKNOWN = np.iinfo(np.uint32).max
