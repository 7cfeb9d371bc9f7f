"""Counts from times alone: the same as those of the rows, however runs are cut."""

import numpy as np
import pytest

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
    rows = random.integers(1, rows_max, len(STREAMS))
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


@pytest.mark.parametrize("rows_max", [5, 4_000])
@pytest.mark.parametrize("apart", [0, 3])
@pytest.mark.parametrize("step_s", [1, 60])
@pytest.mark.parametrize(
    "query",
    [
        'sum by (app) (rate({app=~".+"}[1m]))',
        'sum(count_over_time({app=~".+"}[2m]))',
        'sum by (app, none, pod) (count_over_time({app=~".+"}[1m] offset 30s))',
    ],
)
def test_runs_are_counted_as_their_rows_are(query, step_s, apart, rows_max):
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
