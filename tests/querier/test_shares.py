"""Replicas share out what they hold alike, and are compared where they differ."""

from dataclasses import replace

import numpy as np
import pytest
from fakes.ingesters import batch_of, rows_of
from hypothesis import given, settings
from hypothesis import strategies as st

from loki_py.model.matchers import Matcher, MatchType
from loki_py.model.scan import BatchUnit, Columns, ReadStats, Scan
from loki_py.querier import shares
from loki_py.querier.merge import distinct_units, merged
from loki_py.querier.shares import SPANS_MAX, Replica, shared_out
from loki_py.wire.cells import SHIFT_MIN, added, cells_of

SLICE_NS = 1 << SHIFT_MIN
SCAN = Scan((Matcher("app", MatchType.REGEXP, ".+"),), -(2**62), 2**62)
ROWS = [
    ({"app": str(stream)}, slice_ * SLICE_NS + n, f"{stream} {slice_} {n}")
    for stream in range(6)
    for slice_ in range(5)
    for n in range(3)
]


def replica_of(*pieces, name):
    """Return what an instance holds, each piece in a unit of its own origin."""
    batches = [batch_of(rows) for rows in pieces]
    streams = list(dict.fromkeys(s for batch in batches for s in batch.streams))
    batches = [
        replace(
            batch,
            streams=streams,
            stream=np.array([streams.index(s) for s in batch.streams], np.uint32)[
                batch.stream
            ],
        )
        for batch in batches
    ]
    units = [BatchUnit(each, origin=f"{name}/{n}") for n, each in enumerate(batches)]
    cells = added([cells_of(batch) for batch in batches])
    return Replica(distinct_units(units), streams, cells)


def read(units):
    found = [rows_of(unit.read(Columns(), ReadStats())) for unit in units]
    return sorted(row for rows in found for row in rows)


def test_few_entries_are_asked_of_one_replica():
    units = shared_out([replica_of(ROWS, name=f"i-{n}") for n in range(3)])

    assert len(units) == 1
    assert read(units) == rows_of(batch_of(ROWS))


def test_equal_replicas_are_read_once_and_not_compared(monkeypatch):
    """The shares together are the entries; nobody's overlaps another's."""
    monkeypatch.setattr(shares, "SPREAD_ROWS_MIN", 0)
    units = shared_out(
        [replica_of(ROWS[:40], ROWS[40:], name=f"i-{n}") for n in range(3)]
    )

    assert read(units) == rows_of(batch_of(ROWS))
    assert {unit.origin[:3] for unit in units} == {"i-0", "i-1", "i-2"}


def test_only_slices_that_differ_are_compared():
    """One entry is missing: all read its slice, one each of the others."""
    lost = [row for row in ROWS if row[2] != "4 2 1"]
    units = shared_out([replica_of(ROWS, name="i-0"), replica_of(lost, name="i-1")])

    counted = sum(len(unit.read(Columns(), ReadStats())) for unit in units)
    in_slice = [row for row in lost if row[1] // SLICE_NS == 2]
    assert counted == len(ROWS) + len(in_slice)
    assert read(merged(units, SCAN)) == rows_of(batch_of(ROWS))


def test_slice_that_one_replica_lacks_whole_is_left_to_the_others():
    lost = [row for row in ROWS if row[1] // SLICE_NS != 2]
    units = shared_out(
        [
            replica_of(ROWS, name="i-0"),
            replica_of(lost, name="i-1"),
            replica_of(ROWS, name="i-2"),
        ]
    )

    assert read(units) == rows_of(batch_of(ROWS))


def test_replica_without_a_stream_leaves_it_to_the_others():
    """Who has nothing of a stream, as where there are more instances than replicas,
    makes no doubt."""
    half = [row for row in ROWS if row[0]["app"] in "012"]
    other = [row for row in ROWS if row[0]["app"] in "2345"]
    units = shared_out([replica_of(half, name="i-0"), replica_of(other, name="i-1")])

    assert read(units) == rows_of(batch_of(ROWS))


def test_many_differences_are_compared_in_few_spans():
    times = [2 * n * SLICE_NS for n in range(4 * SPANS_MAX)]
    rows = [({"app": "a"}, ns + k, f"{ns}") for ns in times for k in range(2)]
    replicas = [replica_of(rows, name="i-0"), replica_of(rows[::2], name="i-1")]
    units = shared_out(replicas)

    assert len(units[0].share.spans) <= SPANS_MAX + 1
    assert read(merged(units, SCAN)) == rows_of(batch_of(rows))


@settings(max_examples=25, deadline=None)
@given(
    st.booleans(),
    st.lists(
        st.lists(
            st.sets(st.integers(0, len(ROWS) - 1), min_size=1, max_size=40),
            min_size=1,
            max_size=3,
        ),
        min_size=2,
        max_size=4,
    ),
)
def test_whatever_replicas_hold_each_entry_comes_once(spreads, held):
    """Entries that only one has, that one has twice, or that all have."""
    replicas = [
        replica_of(*([ROWS[n] for n in sorted(rows)] for rows in pieces), name=f"i-{i}")
        for i, pieces in enumerate(held)
    ]
    expected = {n for pieces in held for rows in pieces for n in rows}

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(shares, "SPREAD_ROWS_MIN", 0 if spreads else 1_000)
        found = read(merged(shared_out(replicas), SCAN))
    assert found == rows_of(batch_of([ROWS[n] for n in sorted(expected)]))
