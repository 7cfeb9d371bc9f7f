"""Join the units of several sources into one list that repeats no entry.

An entry that several units hold comes from the first of them in the order
given; the others drop it when they are read. A unit that overlaps no unit of
another origin is passed on untouched. One that does reads, of the units before
it, timestamps first, and whole rows only where stream and timestamp are equal.

Units that lie elsewhere are compared by digests, and their rows are fetched only
where no unit before them holds them. Units that mostly repeat others, as the packs
of replicas do, are compared by digests too: half the time of comparing lines.

Pure: units read, on whatever thread calls them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from loki_py.chunks.sorting import duplicate_rows
from loki_py.errors import CorruptData
from loki_py.model.batch import EntryBatch, Rows, with_names_in_rest
from loki_py.model.labels import LabelSet
from loki_py.model.scan import (
    Columns,
    LargeUnit,
    ReadStats,
    Scan,
    ScanUnit,
    no_rows,
    projected,
)
from loki_py.querier.overlap import Overlaps, StreamNumbers, Window, overlaps_of
from loki_py.querier.wrapped_unit import WrappedUnit
from loki_py.transport.abc import DigestedUnit
from loki_py.wire.digests import KIND, Digests, digests_of

KEPT_ROWS_MAX = 4 * 1024 * 1024
"""Rows whose stream and time are kept to compare the next unit with, 12 bytes each."""

KEPT_ENTRIES_MAX = 128 * 1024
"""Rows that are kept whole for the same, where sources overlap at their edges."""

NARROWED_ROWS_MIN = 200_000
"""A unit of more rows is compared by its overlapping time only, not kept."""

_BY_NUMBER: Sequence[LabelSet] = ()
"""Stands for the label sets where `stream` holds numbers of all sources."""

_TIMES_ONLY = Columns(line=False, metadata=frozenset())
_EVERYTHING = Columns()
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_Keys = npt.NDArray[np.uint64]
_NO_KEYS: _Keys = np.zeros(0, dtype=np.uint64)


def merged(units: Sequence[ScanUnit], scan: Scan) -> list[ScanUnit]:
    """Return the units in the scan's order, no entry twice.

    Args:
        units: of all sources; where entries repeat, earlier units keep them, so
            sources that are cheap to read stand first.
    """
    return in_order(distinct_units(units), scan)


def in_order(units: Sequence[ScanUnit], scan: Scan) -> list[ScanUnit]:
    """Return the units in the scan's order."""
    if scan.newest_first:
        return sorted(units, key=lambda unit: unit.max_ns, reverse=True)
    return sorted(units, key=lambda unit: unit.min_ns)


def distinct_units(units: Sequence[ScanUnit]) -> list[ScanUnit]:
    """Return a unit for each, in the same order, that hold no entry twice."""
    distinct = list(units)
    numbers = StreamNumbers()
    overlaps = overlaps_of(distinct, numbers)
    if overlaps is not None:
        shared = _Shared(tuple(units), overlaps, numbers)
        for position in overlaps.later_units():
            distinct[position] = DistinctUnit(units[position], position, shared)
    return distinct


@dataclass(slots=True)
class _Shared:
    """What the distinct units of one scan share."""

    units: Sequence[ScanUnit]
    overlaps: Overlaps
    numbers: StreamNumbers
    kept: dict[int, EntryBatch] = field(default_factory=dict)
    kept_rows: int = 0
    kept_entries: dict[int, EntryBatch] = field(default_factory=dict)
    kept_entries_rows: int = 0
    kept_digests: dict[int, tuple[Digests, Digests]] = field(default_factory=dict)
    kept_digests_rows: int = 0

    def compares_by_digest(self, position: int, peers: Sequence[int]) -> bool:
        """Return whether a unit lies elsewhere, or a peer, and none is too large."""
        units = [self.units[position], *(self.units[peer] for peer in peers)]
        kinds = {u.digest_kind for u in units if isinstance(u, DigestedUnit)}
        return kinds == {KIND} and not any(isinstance(u, LargeUnit) for u in units)

    def digests_of(self, position: int, stats: ReadStats) -> tuple[Digests, Digests]:
        """Return the digests of a unit's rows, in their order and by key."""
        found = self.kept_digests.get(position)
        if found is None:
            unit = self.units[position]
            own = (
                unit.digests()
                if isinstance(unit, DigestedUnit)
                else digests_of(_read_again(unit, _EVERYTHING, stats))
            )
            found = self.keep_digests(position, own)
        return found

    def keep_digests(self, position: int, own: Digests) -> tuple[Digests, Digests]:
        """Return them in their order and by key, for others too where there is room."""
        found = own, own.by_key()
        if self.kept_digests_rows + len(own) <= KEPT_ROWS_MAX:
            self.kept_digests_rows += len(own)
            self.kept_digests[position] = found
        return found

    def keys_of(self, position: int, window: Window, stats: ReadStats) -> _Keys:
        """Return the keys of a unit's rows in the time of the window."""
        times = self.kept.get(position)
        if times is None:
            unit = self.overlapping(position, window)
            times = _read_again(unit, _TIMES_ONLY, stats)
            whole = unit is self.units[position]
            if whole and self.kept_rows + len(times) <= KEPT_ROWS_MAX:
                self.kept_rows += len(times)
                self.kept[position] = times
        return self.keys_in(times, window.rows_in_time(times.timestamp_ns))

    def entries_of(
        self, position: int, keys: _Keys, window: Window, stats: ReadStats
    ) -> EntryBatch:
        """Return a unit's whole entries in the window's time with one of the keys."""
        entries = self.kept_entries.get(position)
        if entries is None:
            unit = self.overlapping(position, window)
            entries = _read_again(unit, _EVERYTHING, stats)
            edge = self.overlaps.edge_of(position)
            if edge is not None and unit is self.units[position]:
                entries = entries.take(edge.rows_of(entries))
                if self.kept_entries_rows + len(entries) <= KEPT_ENTRIES_MAX:
                    self.kept_entries_rows += len(entries)
                    self.kept_entries[position] = entries
        return entries.take(self.rows_with(keys, entries, window))

    def rows_with(self, keys: _Keys, batch: EntryBatch, window: Window) -> Rows:
        """Return the rows in the window's time that have one of the keys."""
        rows = window.rows_in_time(batch.timestamp_ns)
        return rows[np.isin(self.keys_in(batch, rows), keys)]

    def overlapping(self, position: int, window: Window) -> ScanUnit:
        """Return a unit, or the part of it in the window's time if it is large."""
        unit = self.units[position]
        if isinstance(unit, LargeUnit) and unit.rows_max > NARROWED_ROWS_MIN:
            return unit.narrowed(start_ns=window.min_ns, end_ns=window.max_ns + 1)
        return unit

    def keys_in(self, batch: EntryBatch, rows: Rows) -> _Keys:
        """Return a number for each given row, equal for equal streams and times.

        Rows that differ may have equal numbers too, rarely; whoever uses them
        compares the rows.
        """
        number = self.numbers.of(batch.streams, batch.stream[rows]).view(np.uint64)
        times = batch.timestamp_ns[rows].view(np.uint64)
        return (number + np.uint64(1)) * _SPREAD ^ times


@dataclass(frozen=True, slots=True)
class DistinctUnit(WrappedUnit):
    """A unit less the rows that units before it hold too."""

    position: int
    shared: _Shared

    def read(self, columns: Columns, stats: ReadStats) -> EntryBatch:
        """Return the rows that no unit before this one holds."""
        window = self.shared.overlaps.window_of(self.position)
        if window is None:
            return self.unit.read(columns, stats)
        if self.shared.compares_by_digest(self.position, window.peers):
            return self._read_by_digest(columns, window.peers, stats)
        batch = self.unit.read(columns, stats)
        peers, suspects = self._suspects(batch, window, stats)
        if not peers:
            return batch
        if self._is_mostly_repeated(len(batch), peers, suspects):
            return self._less_repeated(batch, columns, peers, stats)
        whole = batch
        if columns != _EVERYTHING:
            whole = _read_again(self.unit, _EVERYTHING, stats)
        rows = self.shared.rows_with(suspects, whole, window)
        doubtful = whole.take(rows)
        repeated = rows[self._repeated(doubtful, peers, window, suspects, stats)]
        if len(repeated) == 0:
            return batch
        stats.duplicates += len(repeated)
        keep = np.ones(len(whole), dtype=np.bool_)
        keep[repeated] = False
        return projected(whole, columns).filter(keep)

    def _read_by_digest(
        self, columns: Columns, peers: Sequence[int], stats: ReadStats
    ) -> EntryBatch:
        """Return the same; nothing is fetched where peers hold every row."""
        mine, _ = self.shared.digests_of(self.position, stats)
        repeated = self._held_by(peers, mine, stats)
        stats.duplicates += int(repeated.sum())
        if repeated.all():
            stats.units_repeated += 1
            return no_rows(self.unit.streams, columns)
        batch = self.unit.read(replace(columns, search=None), stats)
        if len(batch) != len(mine):
            raise CorruptData(
                f"unit of {self.origin} has {len(batch)} rows, and digests of "
                f"{len(mine)}"
            )
        return batch.filter(~repeated)

    def _less_repeated(
        self,
        batch: EntryBatch,
        columns: Columns,
        peers: Sequence[int],
        stats: ReadStats,
    ) -> EntryBatch:
        """Return the rows that no peer holds, judged by numbers.

        Args:
            batch: what was read, perhaps without rows in which nothing was found.
        """
        mine = self._digests_of(batch, columns, stats)
        repeated = self._held_by(peers, mine, stats)
        stats.duplicates += int(repeated.sum())
        if repeated.all():
            return no_rows(self.unit.streams, columns)
        if len(batch) != len(mine):
            batch = _read_again(self.unit, replace(columns, search=None), stats)
        return batch.filter(~repeated)

    def _digests_of(
        self, batch: EntryBatch, columns: Columns, stats: ReadStats
    ) -> Digests:
        """Return the numbers of all rows, of which some columns were read."""
        is_whole = self.unit is self.shared.units[self.position]
        if is_whole and columns != _EVERYTHING:
            return self.shared.digests_of(self.position, stats)[0]
        if columns != _EVERYTHING:
            batch = _read_again(self.unit, _EVERYTHING, stats)
        own = digests_of(batch)
        # A search may have left out rows that others are to be compared with.
        is_known = self.position in self.shared.kept_digests
        if is_whole and columns.search is None and not is_known:
            self.shared.keep_digests(self.position, own)
        return own

    def _held_by(
        self, peers: Sequence[int], mine: Digests, stats: ReadStats
    ) -> npt.NDArray[np.bool_]:
        """Return bool[n], whether a peer has each entry, judged by its number."""
        held = np.zeros(len(mine), np.bool_)
        for peer in peers:
            held |= mine.held_in(self.shared.digests_of(peer, stats)[1])
        return held

    def _is_mostly_repeated(
        self, rows: int, peers: Sequence[int], suspects: _Keys
    ) -> bool:
        """Return whether so much is in doubt that numbers of all rows are cheaper."""
        units = [self.shared.units[peer] for peer in peers]
        return 2 * len(suspects) >= rows and all(
            isinstance(u, DigestedUnit) or u.rows_max <= NARROWED_ROWS_MIN
            for u in units
        )

    def _suspects(
        self, batch: EntryBatch, window: Window, stats: ReadStats
    ) -> tuple[list[int], _Keys]:
        """Return the peers with rows of equal stream and time, and their keys."""
        peers: list[int] = []
        suspects: list[_Keys] = [_NO_KEYS]
        rows = window.rows_of(batch)
        if len(rows):
            keys = self.shared.keys_in(batch, rows)
            for peer in window.peers:
                hits = keys[np.isin(keys, self.shared.keys_of(peer, window, stats))]
                if len(hits):
                    peers.append(peer)
                    suspects.append(hits)
        return peers, np.concatenate(suspects)

    def _repeated(
        self,
        mine: EntryBatch,
        peers: Sequence[int],
        window: Window,
        suspects: _Keys,
        stats: ReadStats,
    ) -> npt.NDArray[np.bool_]:
        """Return bool[n]: whether a peer holds each row of `mine`."""
        repeated = np.zeros(len(mine), dtype=np.bool_)
        for peer in peers:
            theirs = self.shared.entries_of(peer, suspects, window, stats)
            repeated[_rows_held_by(theirs, mine, self.shared.numbers)] = True
        return repeated


def _read_again(unit: ScanUnit, columns: Columns, stats: ReadStats) -> EntryBatch:
    """Read for comparison: what is fetched counts, lines are counted once only."""
    own = ReadStats()
    batch = unit.read(columns, own)
    stats.compressed_bytes += own.compressed_bytes
    return batch


def _rows_held_by(other: EntryBatch, mine: EntryBatch, numbers: StreamNumbers) -> Rows:
    """Return the rows of `mine` that `other` holds too."""
    in_map = mine.metadata_rest is not None or other.metadata_rest is not None
    return duplicate_rows(
        [_comparable(batch, numbers, in_map=in_map) for batch in (other, mine)]
    )[1]


def _comparable(
    batch: EntryBatch, numbers: StreamNumbers, *, in_map: bool
) -> EntryBatch:
    """Return the batch with streams by number.

    Args:
        in_map: whether to move all metadata to the map, because a name that is
            a column here may be in the map of what this is compared with.
    """
    batch = replace(
        batch,
        streams=_BY_NUMBER,
        stream=numbers.of(batch.streams, batch.stream).astype(np.uint32),
    )
    return with_names_in_rest(batch, keep=()) if in_map else batch
