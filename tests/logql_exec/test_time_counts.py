"""Counts from times alone: the same as those of the rows, however runs are cut."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st
from naive.cases import STREAMS as LABELS
from naive.cases import some
from naive.compare import alike
from naive.evaluate import Question, answer
from naive.rows import Entry

from loki_py.logql.exec import run_edges
from loki_py.logql.parser import parse
from loki_py.logql.plan import plan_of
from loki_py.model.batch import EntryBatch
from loki_py.model.labels import LabelSet
from loki_py.model.scan import TimeRuns

S = 1_000_000_000
STREAMS = tuple(
    LabelSet((("app", f"app{i % 3}"), ("pod", f"pod{i}"))) for i in range(7)
)


def runs_of(random, *, rows_max, apart):
    """Return runs of all streams over ten minutes, and their rows as a batch."""
    rows = random.integers(1, rows_max, len(STREAMS), endpoint=True)
    times, first = [], []
    at = 0
    for count in rows.tolist():
        at += apart
        first.append(at)
        times += [np.zeros(apart, np.int64)]
        times += [np.sort(random.integers(1, 600 * S, count))]
        at += count
    timestamp_ns = np.concatenate(times)
    stream = np.arange(len(STREAMS), dtype=np.uint32)
    begin = np.array(first)
    kept = np.concatenate(
        [np.arange(a, a + n) for a, n in zip(first, rows, strict=True)]
    )
    batch = EntryBatch(STREAMS, np.repeat(stream, rows), timestamp_ns[kept], None)
    return TimeRuns(STREAMS, stream, begin, begin + rows, timestamp_ns), batch


def plan(query, step_s):
    return plan_of(parse(query), start_ns=0, end_ns=600 * S, step_ns=step_s * S)


def series_of(plan):
    data = plan.finish().data
    return {
        labels: dict(
            zip(
                np.flatnonzero(data.present[i]).tolist(),
                data.values[i][data.present[i]].tolist(),
                strict=True,
            )
        )
        for i, labels in enumerate(data.labels)
    }


FREE, DEAR = 0, 10**9
ALONE = ("RUN_ROWS", "EDGE_ROWS", "CELL_ROWS")
TOGETHER = ("ROUND_ROWS", "EDGE_OF_ROUND_ROWS")
WAYS = {
    "as is best": {},
    "a run alone": {**dict.fromkeys(ALONE, FREE), **dict.fromkeys(TOGETHER, DEAR)},
    "runs together": {**dict.fromkeys(ALONE, DEAR), **dict.fromkeys(TOGETHER, FREE)},
    "row by row": {**dict.fromkeys(ALONE, DEAR), **dict.fromkeys(TOGETHER, DEAR)},
}
"""What costs nothing is done."""


@contextlib.contextmanager
def done(way):
    with pytest.MonkeyPatch.context() as patch:
        for name, rows in WAYS[way].items():
            patch.setattr(run_edges, name, rows)
        yield


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("rows_max", [1, 5, 4_000])
@pytest.mark.parametrize("apart", [0, 3, 80])
@pytest.mark.parametrize("step_s", [1, 60])
@pytest.mark.parametrize(
    "query",
    [
        'sum by (app) (rate({app=~".+"}[1m]))',
        'sum(count_over_time({app=~".+"}[2m]))',
        'sum by (app, none, pod) (count_over_time({app=~".+"}[1m] offset 30s))',
    ],
)
def test_runs_are_counted_as_their_rows_are(query, step_s, apart, rows_max, way):
    """Long runs and short ones, adjoining or not, buckets few or many."""
    runs, batch = runs_of(np.random.default_rng(7), rows_max=rows_max, apart=apart)
    by_row, by_run = plan(query, step_s), plan(query, step_s)
    scan = by_row.leaves[0].scan
    inside = (batch.timestamp_ns >= scan.start_ns) & (batch.timestamp_ns < scan.end_ns)
    first = [
        a + np.searchsorted(runs.timestamp_ns[a:b], scan.start_ns)
        for a, b in zip(runs.first, runs.last, strict=True)
    ]
    last = [
        a + np.searchsorted(runs.timestamp_ns[a:b], scan.end_ns)
        for a, b in zip(runs.first, runs.last, strict=True)
    ]
    some = np.array(first) < np.array(last)
    cut = TimeRuns(
        STREAMS,
        runs.stream[some],
        np.array(first)[some],
        np.array(last)[some],
        runs.timestamp_ns,
    )

    rows, counts = by_row.leaves[0].evaluator, by_run.leaves[0].evaluator
    rows.add(rows.map(batch.filter(inside)))
    with done(way):
        counts.add(counts.map_times([cut]))

    assert counts.counts_times
    assert series_of(by_run) == series_of(by_row)
    assert counts.rows_kept == rows.rows_kept


@pytest.mark.parametrize(
    "query",
    [
        'sum by (app) (rate({app="a"} |= "x" [1m]))',
        'sum by (app) (bytes_rate({app="a"}[1m]))',
        'sum without (app) (rate({app="a"}[1m]))',
        'rate({app="a"}[1m])',
        'sum by (app) (rate({app="a"}[90s]))',
        'sum by (app) (rate({app="a"}[10s]))',
    ],
)
def test_times_do_not_suffice_for_every_count(query):
    """Lines, all labels, or windows that no row of edges makes need the rows."""
    assert not plan(query, 60).leaves[0].evaluator.counts_times


def times_of(rng, entries, scan):
    """Return the entries of a scan in runs, with rows of others around them."""
    streams = [LabelSet.of(labels) for labels in LABELS]
    times, stream, first, last = [], [], [], []
    for number in range(len(streams)):
        times += [rng.randrange(-200, 400) * S for _ in range(some(rng, [0, 0, 2, 90]))]
        own = sorted(
            entry.timestamp_ns
            for entry in entries
            if entry.stream == LABELS[number]
            and scan.start_ns <= entry.timestamp_ns < scan.end_ns
            and all(m.matches(entry.stream.get(m.name, "")) for m in scan.matchers)
        )
        if own:
            stream.append(number)
            first.append(len(times))
            times += own
            last.append(len(times))
    bounds = np.array(first, np.int64), np.array(last, np.int64)
    return TimeRuns(streams, np.array(stream, np.uint32), *bounds, np.array(times))


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=60, deadline=None)
@given(rng=st.randoms(use_true_random=False))
def test_counts_of_runs_are_those_of_the_naive_evaluator(rng, way):
    """Ranges of many steps and of less than one, offsets, times on edges."""
    unit_ns = some(rng, [S, S, S // 8, 7_000_000, 1009 * S])
    entries = [
        Entry(some(rng, LABELS), rng.randrange(0, 120) * unit_ns, "")
        for _ in range(rng.randrange(1, 40))
    ]
    selector = some(rng, ['{app=~".+"}', '{app="api"}', '{app="db"}', '{app="none"}'])
    by = some(rng, ["", " by (app)", " by (env, none)", " by (none)", " by (app, env)"])
    function = some(rng, ["rate", "count_over_time"])
    step = some(rng, [1, 5, 10, 60])
    unit_ms = unit_ns // 1_000_000
    span = f"[{some(rng, [step, step, 3 * step, 12 * step]) * unit_ms}ms]"
    offset = some(rng, ["", "", " offset 30s", f" offset {3 * unit_ms}ms"])
    query = f"sum{by} ({function}({selector}{span}{offset}))"
    note(query)
    low, high = rng.randrange(0, 60) * unit_ns, rng.randrange(60, 130) * unit_ns
    question = Question(parse(query), low, high, step_ns=step * unit_ns)
    runs_plan = plan_of(
        question.expr, start_ns=low, end_ns=high, step_ns=question.step_ns
    )
    (leaf,) = runs_plan.leaves

    assert leaf.evaluator.counts_times
    with done(way):
        runs = times_of(rng, entries, leaf.scan)
        leaf.evaluator.add(leaf.evaluator.map_times([runs]))

    times_ns = runs_plan.finish().data.timestamp_ns.tolist()
    got = {
        labels: {times_ns[at]: value for at, value in points.items()}
        for labels, points in series_of(runs_plan).items()
    }
    assert alike(got, answer(question, entries))
