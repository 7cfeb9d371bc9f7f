"""Metric queries, one evaluation time after the other, one sample at a time."""

import math
import re
from collections import Counter
from dataclasses import replace

import re2
from naive.functions import VECTOR, over_time
from naive.rows import Row
from naive.stages import COMPARE, label_passes, passes
from naive.values import covers, duration_ns, matches, number, size_bytes

from loki_py.logql import ast
from loki_py.logql import ast_metric as metric

FAILING = ast.JsonParser | ast.LogfmtParser | ast.UnpackParser
FIELD = re.compile(r"[ ({]\.[a-zA-Z_]")
COUNTING = {
    metric.RangeFunction.COUNT_OVER_TIME,
    metric.RangeFunction.RATE,
    metric.RangeFunction.BYTES_OVER_TIME,
    metric.RangeFunction.BYTES_RATE,
}
SUM_OVER_TIME = metric.RangeFunction.SUM_OVER_TIME
CONVERT = {
    None: number,
    "bytes": size_bytes,
    "duration": lambda text: per_second(duration_ns(text)),
    "duration_seconds": lambda text: per_second(duration_ns(text)),
}


class QueryFailed(Exception):
    """The query has an error instead of an answer."""


def per_second(nanoseconds):
    return None if nanoseconds is None else nanoseconds / 1e9


class Evaluation:
    """A metric query over entries; series are dicts of labels to one value."""

    def __init__(self, entries):
        self.entries = entries
        self.samples = {}

    def at(self, node, when):
        """Return the value of a node at a time: a float or {labels: value}."""
        match node:
            case metric.Literal():
                return node.value
            case metric.Vector():
                return {(): node.value}
            case metric.RangeAggregation():
                return self.range(node, when)
            case metric.VectorAggregation():
                return self.vector(node, when)
            case metric.BinaryOperation():
                return binary(node, self.at(node.left, when), self.at(node.right, when))
            case metric.LabelReplace():
                return replaced_series(node, self.at(node.operand, when))

    # ------------------------------------------------------------------ ranges

    def range(self, node, when, *, keeps_errors=False):
        """Return the value of each series whose window holds a sample."""
        low, high = window(node.range, when)
        series = {}
        for time, labels, value, row in self.sampled(node):
            if not low < time <= high:
                continue
            if row.error is not None and not (keeps_errors and row.preserved):
                raise QueryFailed("pipeline error")
            series.setdefault(labels, []).append((time, value))
        if node.function is metric.RangeFunction.ABSENT_OVER_TIME:
            return {} if series else {absent_labels(node.range.query.matchers): 1.0}
        return {
            labels: over_time(node, sorted(samples, key=lambda s: s[0]), low, high)
            for labels, samples in series.items()
        }

    def sampled(self, node):
        """Return (time, labels, value, row) of every entry that is a sample."""
        if node not in self.samples:
            rows = (
                Row(entry)
                for entry in self.entries
                if selected(node.range.query.matchers, entry)
            )
            found = [sample_of(row, node) for row in rows]
            self.samples[node] = [sample for sample in found if sample is not None]
        return self.samples[node]

    # ----------------------------------------------------------------- vectors

    def vector(self, node, when):
        operand, named = node.operand, set()
        if node.grouping is not None and not node.grouping.without:
            named = set(node.grouping.labels)
        if isinstance(operand, metric.RangeAggregation):
            asked = by_label(node, operand) if named else unparsed(node, operand)
            inner = self.range(asked, when, keeps_errors="__error__" in named)
        else:
            inner = self.at(operand, when)
        if node.function.is_sort:
            backwards = node.function is metric.VectorFunction.SORT_DESC
            ordered = sorted(inner.items(), key=lambda item: item[1], reverse=backwards)
            return dict(ordered)
        groups = {}
        for labels, value in inner.items():
            key = grouped(labels, node.grouping)
            groups.setdefault(key, []).append((labels, value))
        if node.parameter is not None:
            return best(node, groups.values())
        function = VECTOR[node.function.value]
        return {
            key: function([value for _, value in members])
            for key, members in groups.items()
        }


def by_label(node, operand):
    """Return the operand as a sum by labels has it: samples may be of one of them."""
    sums = node.function is metric.VectorFunction.SUM and operand.grouping is None
    if not sums or operand.function not in {*COUNTING, SUM_OVER_TIME}:
        return operand
    return replace(operand, grouping=node.grouping)


def unparsed(node, operand):
    """Return the operand as a sum of everything has it.

    Parsers that nobody asks for labels do nothing, and so they do not fail.
    """
    stages, log_range = operand.range.query.stages, operand.range
    asks = node.grouping is not None and node.grouping.without
    asks |= log_range.unwrap is not None or operand.function not in COUNTING
    asks |= any(map(asks_for_labels, stages))
    if asks or node.function is not metric.VectorFunction.SUM:
        return operand
    rest = tuple(stage for stage in stages if not isinstance(stage, FAILING))
    query = replace(log_range.query, stages=rest)
    return replace(operand, range=replace(log_range, query=query))


def asks_for_labels(stage):
    match stage:
        case ast.LineFormat():
            return FIELD.search(stage.template) is not None
        case ast.LabelFormat():
            return any(
                isinstance(one, ast.LabelRename) or FIELD.search(one.template)
                for one in stage.assignments
            )
        case ast.Drop() | ast.Keep():
            return any(target.matcher for target in stage.targets)
        case _:
            return isinstance(stage, ast.LabelFilterStage)


def selected(matchers, entry):
    return all(matches(one, entry.stream.get(one.name)) for one in matchers)


def window(log_range, when):
    """Return (low, high] of the entries that count at a time."""
    high = when - log_range.offset_ns
    return high - log_range.range_ns, high


def sample_of(row, node):
    log_range, unwrap = node.range, node.range.unwrap
    stages = log_range.query.stages
    if not passes(row, stages):
        return None
    if unwrap is None:
        counts_bytes = node.function.value.startswith("bytes_")
        value = float(len(row.line.encode())) if counts_bytes else 1.0
        return row.entry.timestamp_ns, series_labels(row, node), value, row
    text = row.get(unwrap.label)
    if not text:
        return None
    value = CONVERT[unwrap.conversion and unwrap.conversion.value](text)
    if value is None:
        row.fail("SampleExtractionErr", "")
        value = 0.0
    if not all(label_passes(row, one) for one in unwrap.filters):
        return None
    return row.entry.timestamp_ns, series_labels(row, node), float(value), row


def series_labels(row, node):
    labels = row.labels()
    grouping, unwrap = node.grouping, node.range.unwrap
    if grouping is not None and not grouping.without:
        return grouped(sorted(labels.items()), grouping)
    if unwrap is not None:
        labels.pop(unwrap.label, None)
    pairs = tuple(sorted(labels.items()))
    return pairs if grouping is None else grouped(pairs, grouping)


def grouped(labels, grouping):
    if grouping is None:
        return ()
    return tuple(
        pair for pair in labels if (pair[0] in grouping.labels) != grouping.without
    )


def absent_labels(matchers):
    """Return the labels that an equality matcher alone names."""
    times = Counter(one.name for one in matchers)
    return tuple(
        sorted(
            (one.name, one.value)
            for one in matchers
            if one.type.value == "=" and times[one.name] == 1
        )
    )


def best(node, groups):
    """Keep the k largest or smallest of each group; ties by label order."""
    sign = 1 if node.function is metric.VectorFunction.BOTTOMK else -1

    def place(member):
        labels, value = member
        return math.isnan(value), 0 if math.isnan(value) else sign * value, labels

    return {
        labels: value
        for members in groups
        for labels, value in sorted(members, key=place)[: node.parameter]
    }


# ------------------------------------------------------------------- operators


def binary(node, left, right):
    op = node.op.value
    if isinstance(left, dict) and isinstance(right, dict):
        if node.op.is_set:
            return set_operation(node, left, right)
        return matched(node, left, right)
    if isinstance(left, dict):
        found = {labels: applied(node, v, right, v) for labels, v in left.items()}
    elif isinstance(right, dict):
        found = {labels: applied(node, left, v, v) for labels, v in right.items()}
    else:
        return (
            float(COMPARE[op](left, right))
            if op in COMPARE
            else arithmetic(op, left, right)
        )
    return {labels: value for labels, value in found.items() if value is not None}


def applied(node, left, right, kept):
    """Return the outcome for two samples, None where a comparison drops them."""
    op = node.op.value
    if op not in COMPARE:
        return arithmetic(op, left, right)
    true = COMPARE[op](left, right)
    if node.returns_bool:
        return float(true)
    return kept if true else None


def arithmetic(op, left, right):
    if op in "/%" and right == 0:
        return math.nan
    match op:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "/":
            return left / right
        case "%":
            return math.fmod(left, right) if math.isfinite(left) else math.nan
        case "^":
            return power(left, right)


def power(left, right):
    try:
        value = left**right
    except OverflowError:
        return -math.inf if left < 0 and right % 2 == 1 else math.inf
    except ZeroDivisionError:
        return math.inf
    return math.nan if isinstance(value, complex) else value


def signature(node, labels):
    if node.matching is None:
        return labels
    named = node.matching.labels
    return tuple(pair for pair in labels if (pair[0] in named) == node.matching.on)


def set_operation(node, left, right):
    lefts = {signature(node, labels) for labels in left}
    rights = {signature(node, labels) for labels in right}
    if node.op.value == "or":
        more = {k: v for k, v in right.items() if signature(node, k) not in lefts}
        return {**left, **more}
    wanted = node.op.value == "and"
    return {k: v for k, v in left.items() if (signature(node, k) in rights) == wanted}


def matched(node, left, right):
    """Pair series by their signatures; only a grouped side may have several."""
    matching = node.matching
    grouping = "one-to-one" if matching is None else matching.cardinality.value
    swapped = grouping == "group_right"
    many, one = (right, left) if swapped else (left, right)
    ones = {}
    for labels, value in one.items():
        key = signature(node, labels)
        if key in ones:
            raise QueryFailed("many-to-many matching not allowed")
        ones[key] = labels, value
    found, seen = {}, set()
    for labels, value in many.items():
        key = signature(node, labels)
        if key not in ones:
            continue
        other_labels, other = ones[key]
        if grouping == "one-to-one":
            name = labels if matching is None else key
        else:
            name = with_included(labels, other_labels, matching.include)
        if name in seen:
            raise QueryFailed("multiple matches for labels")
        seen.add(name)
        pair = (other, value) if swapped else (value, other)
        outcome = applied(node, *pair, pair[0])
        if outcome is not None:
            found[name] = outcome
    return found


def with_included(labels, others, names):
    pairs = {**dict(labels)}
    for name in names:
        pairs.pop(name, None)
        if dict(others).get(name):
            pairs[name] = dict(others)[name]
    return tuple(sorted(pairs.items()))


class Again(tuple):
    """Labels that another series has, too; equal to nothing but itself."""

    __slots__ = ()
    __hash__ = object.__hash__

    def __eq__(self, other):
        return self is other


def replaced_series(node, series):
    found = {}
    for labels, value in series.items():
        new = replaced(node, labels)
        found[Again(new) if new in found else new] = value
    return found


def replaced(node, labels):
    """Return labels after label_replace; an empty value is no label."""
    pairs = dict(labels)
    source = pairs.get(node.source, "")
    if not covers(node.pattern, source):
        return labels
    found = re2.search(f"(?s)^(?:{node.pattern})$", source)

    def group_of(hit):
        name = hit[1] or hit[2]
        try:
            return found.group(int(name) if name.isdigit() else name) or ""
        except IndexError:
            return ""

    value = re.sub(r"\$(?:(\w+)|\{(\w+)\})", group_of, node.replacement)
    pairs.pop(node.target, None)
    if value:
        pairs[node.target] = value
    return tuple(sorted(pairs.items()))
