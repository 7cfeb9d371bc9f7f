"""Answers of queries by the book: each entry, each stage, each time in turn."""

from dataclasses import dataclass

from naive.metrics import Evaluation, QueryFailed, selected
from naive.rows import Row
from naive.stages import passes

from loki_py.logql import ast

__all__ = ["QueryFailed", "Question", "answer"]


@dataclass(frozen=True)
class Question:
    """A parsed query and the request's parameters, times in nanoseconds."""

    expr: object
    start_ns: int
    end_ns: int
    step_ns: int = 1_000_000_000
    limit: int = 100
    forward: bool = False
    interval_ns: int = 0
    instant: bool = False


def answer(question, entries):
    """Return what a query comes to.

    Of a log query: {labels: [(timestamp_ns, line)]}; of a metric query over a
    range: {labels: {timestamp_ns: value}}; at an instant: {labels: value} in the
    order of the answer, or a number. `entries` are in order of arrival.

    Raises: QueryFailed.
    """
    if isinstance(question.expr, ast.LogQuery):
        return log_answer(question, entries)
    evaluation = Evaluation(entries)
    if question.instant:
        found = evaluation.at(question.expr, question.end_ns)
        if isinstance(found, float) or sorts(question.expr):
            return found
        return dict(sorted(found.items()))
    series = {}
    for when in times_of(question):
        found = evaluation.at(question.expr, when)
        found = {(): found} if isinstance(found, float) else found
        for labels, value in found.items():
            points = series.setdefault(tuple(labels), {})
            if when in points:
                raise QueryFailed("the same labels twice")
            points[when] = value
    return dict(sorted(series.items()))


def times_of(question):
    """Return the multiples of the step from below the start to above the end."""
    step = question.step_ns
    first = question.start_ns // step
    last = -(-question.end_ns // step)
    return [count * step for count in range(first, last + 1)]


def sorts(node):
    """Return whether some part of an expression sorts."""
    function = getattr(node, "function", None)
    if getattr(function, "is_sort", False):
        return True
    parts = (getattr(node, name, None) for name in ("left", "right", "operand"))
    return any(sorts(part) for part in parts if part is not None)


def log_answer(question, entries):
    found = []
    for arrival, entry in enumerate(entries):
        end_ns = max(question.end_ns, question.start_ns + 1)
        inside = question.start_ns <= entry.timestamp_ns < end_ns
        if not inside or not selected(question.expr.matchers, entry):
            continue
        row = Row(entry)
        if passes(row, question.expr.stages):
            labels = tuple(sorted(row.labels().items()))
            found.append((entry.timestamp_ns, labels, arrival, row.line))
    return by_stream(spaced(ordered(found, question), question.interval_ns))


def ordered(found, question):
    """Return the first rows up to the limit: by time, stream, arrival."""
    if question.forward:
        found.sort()
    else:
        found.sort(key=lambda row: (-row[0], row[1], -row[2]))
    return found[: question.limit]


def spaced(rows, interval_ns):
    """Keep the first row and then each that lies the interval from the last kept."""
    kept = []
    for row in rows:
        if not kept or abs(row[0] - kept[-1][0]) >= interval_ns:
            kept.append(row)
    return kept


def by_stream(rows):
    streams = {}
    for timestamp_ns, labels, _, line in rows:
        streams.setdefault(labels, []).append((timestamp_ns, line))
    return dict(sorted(streams.items()))
