"""The engine over batches in memory, answering in plain Python values."""

from itertools import pairwise

import numpy as np

from loki_py.logql.plan import plan_of, run
from loki_py.model.matchers import selects
from loki_py.model.results import Matrix, Scalar, Streams
from loki_py.model.scan import BatchUnit


def units_of(batches):
    """Return the function that finds the units of a scan in the batches."""

    def find(scan):
        units = []
        for one in batches:
            wanted = np.array([selects(scan.matchers, s) for s in one.streams])
            times = one.timestamp_ns
            inside = (times >= scan.start_ns) & (times < scan.end_ns)
            part = one.filter(wanted[one.stream] & inside)
            if len(part):
                units.append(BatchUnit(part))
        if scan.newest_first:
            return sorted(units, key=lambda unit: unit.max_ns)[::-1]
        return sorted(units, key=lambda unit: unit.min_ns)

    return find


def engine_answer(question, batches):
    """Return the engine's answer in the shape of the naive one."""
    plan = plan_of(
        question.expr,
        start_ns=question.start_ns,
        end_ns=question.end_ns,
        step_ns=question.step_ns,
        limit=question.limit,
        forward=question.forward,
        interval_ns=question.interval_ns,
        instant=question.instant,
    )
    data = run(plan, units_of(batches)).data
    match data:
        case Streams():
            lines = data.line.to_pylist()
            times = data.timestamp_ns.tolist()
            return {
                labels: [(times[row], lines[row]) for row in range(*ends)]
                for labels, ends in zip(
                    data.labels, pairwise(data.offsets), strict=True
                )
            }
        case Matrix():
            times = data.timestamp_ns.tolist()
            return {
                labels: {
                    when: float(value)
                    for when, value, there in zip(
                        times, data.values[i], data.present[i], strict=True
                    )
                    if there
                }
                for i, labels in enumerate(data.labels)
            }
        case Scalar():
            return data.value
        case _:
            return dict(zip(data.labels, data.values.tolist(), strict=True))
