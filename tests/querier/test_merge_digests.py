"""Replicas elsewhere: compared by digests, fetched only where they hold more."""

from dataclasses import dataclass, field

import pytest
from fakes.ingesters import batch_of, rows_of

from loki_py.logql.stages.line_chunks import LiteralSearch
from loki_py.model.matchers import Matcher, MatchType
from loki_py.model.scan import BatchUnit, Columns, ReadStats, Scan, StreamRuns
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
