"""Small stores and queries for the tests of the engine."""

import numpy as np
import pyarrow as pa
from fakes.logql_engine import units_of

from loki_py.logql.parser import parse
from loki_py.logql.plan import plan_of, run
from loki_py.model.batch import EntryBatch
from loki_py.model.labels import LabelSet

SECOND_NS = 1_000_000_000


def batch(rows):
    """Return rows (labels, seconds, line, metadata={}) as one batch."""
    rows = [(*row, {})[:4] for row in rows]
    streams = list(dict.fromkeys(LabelSet.of(row[0]) for row in rows))
    names = dict.fromkeys(name for row in rows for name in row[3])
    return EntryBatch(
        streams,
        np.array([streams.index(LabelSet.of(row[0])) for row in rows], np.uint32),
        np.array([int(row[1] * SECOND_NS) for row in rows], np.int64),
        pa.array([row[2] for row in rows], pa.large_string()),
        {
            name: pa.array([row[3].get(name) for row in rows], pa.large_string())
            for name in names
        },
    )


def ask(text, *batches, start=0, end=100, step=1, **options):
    """Return the result's data of a query, times in seconds."""
    plan = plan_of(
        parse(text),
        start_ns=int(start * SECOND_NS),
        end_ns=int(end * SECOND_NS),
        step_ns=int(step * SECOND_NS),
        **options,
    )
    return run(plan, units_of(batches)).data


def points(matrix):
    """Return labels to {seconds: value} of a matrix."""
    return {
        labels: {
            int(when) // SECOND_NS: float(value)
            for when, value, there in zip(
                matrix.timestamp_ns, matrix.values[i], matrix.present[i], strict=True
            )
            if there
        }
        for i, labels in enumerate(matrix.labels)
    }


def lines(streams):
    """Return labels to [(seconds, line)] of a log result."""
    return {
        labels: [
            (streams.timestamp_ns[row] / SECOND_NS, streams.line[row].as_py())
            for row in range(streams.offsets[i], streams.offsets[i + 1])
        ]
        for i, labels in enumerate(streams.labels)
    }
