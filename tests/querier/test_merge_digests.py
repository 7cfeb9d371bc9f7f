"""Replicas elsewhere: compared by digests, fetched only where they hold more."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from fakes.ingesters import batch_of, rows_of

from loki_py.logql.stages.line_chunks import LiteralSearch
from loki_py.model.matchers import Matcher, MatchType
from loki_py.model.scan import (
    BatchUnit,
    Columns,
    LargeUnit,
    ReadStats,
    Scan,
    StreamRuns,
)
from loki_py.querier.merge import merged
from loki_py.transport.abc import DigestedUnit
from loki_py.wire.digests import KIND, digests_of

SCAN = Scan((Matcher("app", MatchType.REGEXP, ".+"),), 0, 1_000)
ROWS = [({"app": str(n % 3)}, n, f"line {n}") for n in range(60)]
TIMES = Columns(line=False, metadata=frozenset())


@dataclass
class Elsewhere(DigestedUnit):
    """A unit of another process that counts what is asked of it."""

    batch: object
    origin: str
    digest_kind: str = KIND
    reads: list = field(default_factory=list)

    @property
    def streams(self):
        return self.batch.streams

    @property
    def min_ns(self):
        return int(self.batch.timestamp_ns.min())

    @property
    def max_ns(self):
        return int(self.batch.timestamp_ns.max())

    @property
    def rows_max(self):
        return len(self.batch)

    @property
    def runs(self):
        return StreamRuns.of(self.batch.stream, self.batch.timestamp_ns)

    def digests(self):
        return digests_of(self.batch)

    def read(self, columns, stats):
        self.reads.append(columns)
        return BatchUnit(self.batch, origin=self.origin).read(columns, stats)


def read_all(units, columns, stats=None):
    found = [rows_of(u.read(columns, stats or ReadStats())) for u in units]
    return sorted(row for rows in found for row in rows)


@pytest.mark.parametrize("columns", [Columns(), TIMES], ids=["lines", "times"])
def test_rows_of_a_whole_replica_are_not_fetched(columns):
    """One of several equal replicas is read, the others only compared."""
    units = [Elsewhere(batch_of(ROWS), f"i-{n}") for n in range(3)]
    stats = ReadStats()
    found = read_all(merged(units, SCAN), columns, stats)

    assert len(found) == len(ROWS)
    assert [len(unit.reads) for unit in units] == [1, 0, 0]
    assert stats.duplicates == 2 * len(ROWS)
    assert stats.units_repeated == 2


def test_rows_that_only_one_replica_has_are_fetched_from_it():
    """Whatever part of the entries each replica holds, all come, once."""
    units = [
        Elsewhere(batch_of([row for n, row in enumerate(ROWS) if n % 4 != part]), name)
        for part, name in enumerate(("i-0", "i-1", "i-2"))
    ]

    assert read_all(merged(units, SCAN), Columns()) == rows_of(batch_of(ROWS))


def test_rows_that_are_compared_by_number_are_all_read():
    """A reader that left some out would have others than were compared."""
    fewer, more = (Elsewhere(batch_of(ROWS[n:]), f"i-{n}") for n in (1, 0))
    columns = Columns(search=LiteralSearch(["line 7"]))

    read_all(merged([fewer, more], SCAN), columns)

    assert [read.search for read in fewer.reads] == [columns.search]
    assert [read.search for read in more.reads] == [None]


def test_unit_here_is_compared_with_one_elsewhere():
    here = BatchUnit(batch_of(ROWS[:40]), origin="head/0")
    there = Elsewhere(batch_of(ROWS[20:]), "i-1")

    for units in ([here, there], [there, here]):
        assert read_all(merged(units, SCAN), Columns()) == rows_of(batch_of(ROWS))


def test_entries_that_differ_in_metadata_are_two():
    row = [({"app": "a"}, 1, "x")]
    units = [
        Elsewhere(batch_of(row, metadata={"m": [value]}), f"i-{value}")
        for value in ("1", "2", None, "1")
    ]
    units[3].origin = "i-again"

    assert len(read_all(merged(units, SCAN), Columns())) == 3


def test_replicas_with_other_digests_are_compared_by_their_lines():
    """A peer of another version is understood all the same."""
    units = [
        Elsewhere(batch_of(ROWS), "i-0"),
        Elsewhere(batch_of(ROWS), "i-1", digest_kind="other"),
    ]

    assert len(read_all(merged(units, SCAN), Columns())) == len(ROWS)
    assert units[1].reads


@dataclass
class Pack(LargeUnit):
    """A unit of this process that can be cut, and counts what is asked of it."""

    batch: object
    origin: str
    reads: list = field(default_factory=list)

    streams = Elsewhere.streams
    min_ns = Elsewhere.min_ns
    max_ns = Elsewhere.max_ns
    rows_max = Elsewhere.rows_max
    runs = Elsewhere.runs
    read = Elsewhere.read

    def pieces(self):
        half = len(self.batch) // 2
        ends = (self.batch.slice(0, half), self.batch.slice(half, len(self.batch)))
        return [Pack(rows, self.origin) for rows in ends]

    def narrowed(self, *, start_ns, end_ns):
        times = self.batch.timestamp_ns
        rows = self.batch.filter((times >= start_ns) & (times < end_ns))
        return Pack(rows, self.origin)


@pytest.mark.parametrize(
    ("columns", "reads"), [(Columns(), 2), (TIMES, 1)], ids=["lines", "times"]
)
def test_packs_of_equal_replicas_are_read_whole_once(columns, reads):
    """Once to be compared, whoever with, beside what is asked of them."""
    packs = [Pack(batch_of(ROWS), f"pack-{n}") for n in range(4)]
    stats = ReadStats()

    found = read_all(merged(packs, SCAN), columns, stats)

    assert len(found) == len(ROWS)
    assert stats.duplicates == 3 * len(ROWS)
    whole = [[r for r in pack.reads if r == Columns()] for pack in packs]
    assert max(map(len, whole)) == reads


@pytest.mark.parametrize("in_pieces", [False, True], ids=["whole", "in pieces"])
@pytest.mark.parametrize("columns", [Columns(), TIMES], ids=["lines", "times"])
def test_packs_of_replicas_that_missed_entries_come_to_their_union(columns, in_pieces):
    packs = [
        Pack(batch_of([row for n, row in enumerate(ROWS) if n % 4 != part]), name)
        for part, name in enumerate(("pack-0", "pack-1", "pack-2"))
    ]
    units = merged(packs, SCAN)
    if in_pieces:
        units = [piece for unit in units for piece in unit.pieces()]

    found = read_all(units, columns)

    wanted = BatchUnit(batch_of(ROWS)).read(columns, ReadStats())
    assert found == rows_of(wanted)


def test_packs_that_are_searched_hold_what_was_sought_once():
    """What the search leaves out of one is nothing that another is lacking."""
    packs = [
        Searched(batch_of([row for n, row in enumerate(ROWS) if n % 7 != part]), name)
        for part, name in enumerate(("pack-0", "pack-1", "pack-2"))
    ]
    columns = Columns(search=LiteralSearch(["line 2"]))

    found = read_all(merged(packs, SCAN), columns)

    sought = [row for row in found if "line 2" in row[2]]
    assert sought == rows_of(batch_of([row for row in ROWS if "line 2" in row[2]]))


class Searched(Pack):
    """A pack that leaves out what was not sought."""

    def read(self, columns, stats):
        batch = super().read(columns, stats)
        if columns.search is None:
            return batch
        lines = batch.line.to_pylist()
        return batch.filter(np.array(["line 2" in line for line in lines]))
