"""Log queries: order, limits, early stops, label categories."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from engine import SECOND_NS, ask, batch, lines, units_of

from loki_py.errors import QueryInvalid
from loki_py.logql.parser import parse
from loki_py.logql.plan import plan_of, run
from loki_py.model.scan import BatchUnit

A, B = {"app": "a"}, {"app": "b"}
ALL = '{app=~".+"}'


def test_newest_entries_come_first_and_count_over_all_streams():
    """The limit counts lines of all streams together, from the newest on."""
    rows = batch([(A, 1, "a1"), (B, 2, "b2"), (A, 3, "a3"), (B, 4, "b4")])

    got = lines(ask(ALL, rows, limit=3))

    assert got == {
        (("app", "a"),): [(3, "a3")],
        (("app", "b"),): [(4, "b4"), (2, "b2")],
    }


def test_entries_of_one_time_keep_their_order_forward_and_reverse_it_backward():
    """Ties within a stream come in the order of arrival, or exactly reversed."""
    rows = batch([(A, 1, "x"), (A, 1, "y"), (A, 1, "z")])

    forward = lines(ask(ALL, rows, forward=True))
    backward = lines(ask(ALL, rows))

    assert forward == {(("app", "a"),): [(1, "x"), (1, "y"), (1, "z")]}
    assert backward == {(("app", "a"),): [(1, "z"), (1, "y"), (1, "x")]}


@pytest.mark.parametrize("forward", [True, False])
def test_plan_stops_when_unread_units_cannot_contribute(forward):
    """Once the limit is reached with better times, the rest is not read."""
    batches = [batch([(A, 10 * i + j, f"{i}.{j}") for j in range(5)]) for i in range(5)]
    read = []

    class Noting(BatchUnit):
        def read(self, columns, stats):
            read.append(int(self.batch.timestamp_ns[0]) // SECOND_NS)
            return super().read(columns, stats)

    def find(scan):
        return [Noting(unit.batch) for unit in units_of(batches)(scan)]

    plan = plan_of(
        parse(ALL), start_ns=0, end_ns=100 * SECOND_NS, limit=7, forward=forward
    )
    result = run(plan, find)

    assert read == ([0, 10] if forward else [40, 30])
    assert len(result.data) == 7


def test_interval_thins_the_entries_that_the_limit_allows():
    """Of the first `limit` entries those stay that are the interval apart."""
    rows = batch([(A, i, str(i)) for i in range(20)])

    got = lines(ask(ALL, rows, limit=10, forward=True, interval_ns=4 * SECOND_NS))

    assert got == {(("app", "a"),): [(0, "0"), (4, "4"), (8, "8")]}


def test_streams_split_by_metadata_unless_categorized():
    """Metadata is part of a result's labels, or stands beside each entry."""
    rows = batch([(A, 1, "k=v", {"id": "1"}), (A, 2, "k=w", {"id": "2"})])

    merged = ask('{app="a"} | logfmt', rows)
    apart = ask('{app="a"} | logfmt', rows, categorize=True)

    assert list(lines(merged)) == [
        (("app", "a"), ("id", "1"), ("k", "v")),
        (("app", "a"), ("id", "2"), ("k", "w")),
    ]
    assert list(lines(apart)) == [(("app", "a"),)]
    found = apart.categories
    ids = [found.structured_metadata[i] for i in found.structured_metadata_index]
    assert ids == [(("id", "2"),), (("id", "1"),)]
    assert [found.parsed[i] for i in found.parsed_index] == [
        (("k", "w"),),
        (("k", "v"),),
    ]


def test_metadata_that_a_stream_label_hides_is_extracted():
    """A metadata name that is a stream label's shows as `<name>_extracted`."""
    rows = batch([(A, 1, "x", {"app": "other"}), (A, 2, "y", {})])

    got = lines(ask('{app="a"} | app_extracted="other"', rows))

    assert got == {(("app", "a"), ("app_extracted", "other")): [(1, "x")]}


def test_many_batches_give_the_answer_of_one():
    """How entries are cut into batches never shows in the answer."""
    rng = np.random.default_rng(1)
    rows = [
        (A if rng.random() < 0.5 else B, float(rng.integers(0, 99)), f"n={i}")
        for i in range(200)
    ]
    rows.sort(key=lambda row: row[1])
    query = ALL + ' | logfmt | n!="7" |~ "n=.*[13579]"'

    whole = lines(ask(query, batch(rows), limit=20))
    parts = [batch(rows[i : i + 13]) for i in range(0, 200, 13)]

    assert lines(ask(query, *parts, limit=20)) == whole


def test_instant_log_query_is_refused():
    """Log lines have no instant."""
    with pytest.raises(QueryInvalid, match="not supported as an instant query"):
        plan_of(parse(ALL), start_ns=0, end_ns=0, instant=True)


def test_plain_count_needs_timestamps_alone():
    """A count by stream labels asks for no lines and no metadata but the label's."""
    expr = parse('sum by (app) (rate({app="a"}[1m]))')

    (leaf,) = plan_of(expr, start_ns=0, end_ns=1).leaves

    assert not leaf.scan.columns.line
    assert leaf.scan.columns.metadata == {"app"}


def test_literals_that_lines_must_hold_are_told_to_the_reader():
    """Leading filters for one text each can skip whole pieces."""
    expr = parse('{app="a"} |= "x" |~ "y" |= "z" or "w" != "v" | json |= "q"')

    (leaf,) = plan_of(expr, start_ns=0, end_ns=1).leaves

    assert leaf.scan.literals == ("x",)


@pytest.mark.parametrize("last", [2, 3])
def test_entries_of_one_time_in_two_units_come_in_reverse_of_their_arrival(last):
    """How entries are cut into units does not show in the order of ties."""
    older = batch([(A, 1, "first"), (A, 2, "second")])
    newer = batch([(A, 2, "third"), (A, last, "fourth")])

    forward = lines(ask(ALL, older, newer, forward=True))[(("app", "a"),)]
    backward = lines(ask(ALL, older, newer))[(("app", "a"),)]

    assert [line for _, line in forward] == ["first", "second", "third", "fourth"]
    assert backward == forward[::-1]


@pytest.mark.parametrize(
    "stage", ["json", 'json b="c"', "logfmt --strict", 'logfmt --strict b="c"']
)
def test_parser_nobody_asks_for_labels_reads_nothing(stage):
    """A sum of everything is none the worse for lines that are not to be parsed."""
    rows = batch([({"app": "a"}, 1, "{"), ({"app": "a"}, 2, "= =")])
    query = f'(count_over_time({{app="a"}} | {stage} [10s]))'

    assert ask(f"sum{query}", rows, end=10, instant=True).values.tolist() == [2]
    with pytest.raises(QueryInvalid, match="pipeline error"):
        ask(f"sum by (b) {query}", rows, end=10, instant=True)
