"""Merging sources: every entry comes out once, however many units hold it."""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loki_py.model.batch import EntryBatch
from loki_py.model.labels import LabelSet
from loki_py.model.scan import BatchUnit, Columns, LargeUnit, ReadStats, Scan
from loki_py.querier.merge import DistinctUnit, merged

STREAMS = [LabelSet.of({"app": name}) for name in ("api", "db", "web")]
NEWEST = Scan((), 0, 1000)


@dataclass
class Counting:
    """A unit that notes the columns it was read with."""

    unit: BatchUnit
    reads: list[Columns] = field(default_factory=list)

    def __getattr__(self, name):
        return getattr(self.unit, name)

    def read(self, columns, stats):
        self.reads.append(columns)
        return self.unit.read(columns, stats)


def unit_of(entries, *, origin, streams=None, rest=False):
    """A unit with the entries, each (stream, timestamp, line, metadata)."""
    streams = streams or list(STREAMS)
    names = sorted({name for *_, metadata in entries for name, _ in metadata})
    columns = {
        name: pa.array([dict(e[3]).get(name) for e in entries], pa.large_string())
        for name in names
    }
    in_map = pa.array(
        [list(e[3]) for e in entries], pa.map_(pa.large_string(), pa.large_string())
    )
    batch = EntryBatch(
        streams,
        np.array([streams.index(STREAMS[e[0]]) for e in entries], dtype=np.uint32),
        np.array([e[1] for e in entries], dtype=np.int64),
        pa.array([e[2] for e in entries], pa.large_string()),
        {} if rest else columns,
        in_map if rest else None,
    )
    return Counting(BatchUnit(batch, origin=origin))


def entries_of(batch):
    """The entries of a batch, back as tuples."""
    maps = (
        [None] * len(batch)
        if batch.metadata_rest is None
        else batch.metadata_rest.to_pylist()
    )
    columns = {name: col.to_pylist() for name, col in batch.metadata.items()}
    lines = [None] * len(batch) if batch.line is None else batch.line.to_pylist()
    return [
        (
            STREAMS.index(batch.streams[batch.stream[row]]),
            int(batch.timestamp_ns[row]),
            lines[row],
            tuple(
                sorted(
                    [(n, c[row]) for n, c in columns.items() if c[row] is not None]
                    + (maps[row] or [])
                )
            ),
        )
        for row in range(len(batch))
    ]


def read_all(units, columns=Columns(), stats=None):  # noqa: B008
    stats = stats or ReadStats()
    return [e for unit in units for e in entries_of(unit.read(columns, stats))]


entry = st.tuples(
    st.integers(0, 2),
    st.integers(0, 6),
    st.sampled_from(["a", "b", ""]),
    st.sampled_from([(), (("m", ""),), (("m", "1"),), (("m", "1"), ("n", "2"))]),
)
source = st.tuples(
    st.sets(entry, min_size=1, max_size=12), st.permutations(range(3)), st.booleans()
)


@given(sources=st.lists(source, min_size=1, max_size=5), cut=st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_units_of_any_sources_together_are_the_set_of_their_entries(sources, cut):
    """Each source is cut into units; the merged units hold the plain set."""
    units = []
    for number, (entries, order, rest) in enumerate(sources):
        streams = [STREAMS[position] for position in order]
        rows = sorted(entries)
        units += [
            unit_of(rows[i : i + cut], origin=str(number), streams=streams, rest=rest)
            for i in range(0, len(rows), cut)
        ]
    plain = set().union(*(entries for entries, *_ in sources))
    stats = ReadStats()

    found = read_all(merged(units, NEWEST), stats=stats)

    assert sorted(found) == sorted(plain)
    assert stats.duplicates == sum(len(e) for e, *_ in sources) - len(plain)


@given(sources=st.lists(source, min_size=2, max_size=4))
@settings(max_examples=50, deadline=None)
def test_a_count_without_lines_is_the_count_of_the_set(sources):
    """Lines that a query does not load still tell entries apart."""
    units = [
        unit_of(sorted(entries), origin=str(number))
        for number, (entries, *_) in enumerate(sources)
    ]
    bare = Columns(line=False, metadata=frozenset())

    found = read_all(merged(units, NEWEST), columns=bare)

    plain = set().union(*(entries for entries, *_ in sources))
    assert sorted(found) == sorted((s, t, None, ()) for s, t, *_ in plain)


def test_sources_that_do_not_overlap_pass_untouched():
    """Disjoint times, or the same times of other streams, cost no wrapper."""
    head = unit_of([(0, 10, "x", ()), (1, 10, "x", ())], origin="head")
    older = unit_of([(0, 9, "x", ()), (1, 3, "x", ())], origin="block")
    other = unit_of([(2, 10, "x", ())], origin="pack")

    assert merged([older, head, other], NEWEST) == [head, other, older]


def test_units_of_one_origin_are_never_compared():
    units = [unit_of([(0, 5, "x", ())], origin="pack") for _ in range(3)]

    assert merged(units, NEWEST) == units


@pytest.mark.parametrize(("newest_first", "first"), [(True, 9), (False, 1)])
def test_units_come_in_the_order_of_the_scan(newest_first, first):
    units = [unit_of([(0, at, "x", ())], origin="") for at in (4, 1, 9)]
    scan = Scan((), 0, 10, newest_first=newest_first)

    assert merged(units, scan)[0].min_ns == first


def test_ranges_that_touch_at_one_timestamp_overlap():
    """The same entry may stand at the end of one unit and the start of the next."""
    early = unit_of([(0, 1, "x", ()), (0, 5, "same", ())], origin="a")
    late = unit_of([(0, 5, "same", ()), (0, 9, "x", ())], origin="b")

    found = read_all(merged([early, late], NEWEST))

    assert sorted(e[1] for e in found) == [1, 5, 9]


def test_overlap_without_equal_timestamps_reads_no_line_again():
    """Only timestamps of the earlier unit are loaded to compare."""
    kept = unit_of([(0, 1, "x", ()), (0, 5, "x", ())], origin="a")
    checked = unit_of([(0, 2, "x", ()), (0, 9, "x", ())], origin="b")
    units = merged([kept, checked], NEWEST)

    read_all([unit for unit in units if isinstance(unit, DistinctUnit)])

    again = [columns for columns in kept.reads if columns != Columns()]
    assert again == [Columns(line=False, metadata=frozenset())]
    assert checked.reads == [Columns()]


def test_an_entry_read_to_be_compared_is_counted_once():
    """Statistics count each line that a query processed once."""
    units = [unit_of([(0, 5, "line", ())], origin=origin) for origin in "ab"]
    stats = ReadStats()

    read_all(merged(units, NEWEST), stats=stats)

    assert (stats.head_rows, stats.head_bytes, stats.duplicates) == (2, 8, 1)


def test_an_empty_metadata_value_is_not_a_missing_one():
    a = unit_of([(0, 5, "line", (("m", ""),))], origin="a")
    b = unit_of([(0, 5, "line", ())], origin="b")

    assert len(read_all(merged([a, b], NEWEST))) == 2


class LargeUnitOf(LargeUnit):
    """A large unit over a plain one; notes the times it was narrowed to."""

    rows_max = 10**6

    def __init__(self, unit):
        self.unit = unit
        self.narrowed_to = []

    def __getattr__(self, name):
        return getattr(self.unit, name)

    def read(self, columns, stats):
        return self.unit.read(columns, stats)

    def pieces(self):
        batch = self.unit.unit.batch
        rows = range(len(batch))
        return [BatchUnit(batch.slice(row, row + 1), origin="a") for row in rows]

    def narrowed(self, *, start_ns, end_ns):
        self.narrowed_to.append((start_ns, end_ns))
        batch = self.unit.unit.batch
        times = batch.timestamp_ns
        return BatchUnit(batch.filter((times >= start_ns) & (times < end_ns)))


def test_a_large_unit_is_compared_in_the_time_that_overlaps():
    """Comparing with a pack of hours reads the seconds in question only."""
    large = LargeUnitOf(unit_of([(0, t, "x", ()) for t in range(50)], origin="a"))
    small = unit_of([(0, 48, "x", ()), (0, 60, "x", ())], origin="b")

    found = read_all(merged([large, small], NEWEST))

    assert sorted(e[1] for e in found) == [*range(50), 60]
    assert set(large.narrowed_to) == {(48, 50)}


def test_pieces_of_a_large_unit_drop_what_the_unit_would_drop():
    small = unit_of([(0, 3, "x", ()), (0, 4, "y", ())], origin="b")
    large = LargeUnitOf(unit_of([(0, t, "x", ()) for t in range(6)], origin="a"))
    units = merged([small, large], NEWEST)
    (cut,) = [unit for unit in units if unit is not small]

    assert sorted(e[1] for e in read_all(cut.pieces())) == [0, 1, 2, 4, 5]
