"""Merging: each line counts once, whoever counted it and wherever that lies."""

from loki_py.model.labels import LabelSet
from loki_py.model.pattern_rows import NO_ROWS, SPAN_NS, RowsBuilder
from loki_py.patterns.merging import PATTERNS_MAX, merged_patterns

API, WEB = LabelSet.of({"app": "api"}), LabelSet.of({"app": "web"})


def part(writer, *counted):
    built = RowsBuilder()
    for labels, pattern, samples in counted:
        built.add(labels, "info", pattern, samples)
    return writer, built.rows()


def merged(*parts, step=1):
    """Return {pattern: {span: lines}}."""
    return {
        each.pattern: {at // SPAN_NS: lines for at, lines in each.samples}
        for each in merged_patterns(parts, step_ns=step * SPAN_NS)
    }


def test_parts_of_one_writer_are_added_up():
    found = merged(part("a", (API, "x", {1: 2})), part("a", (API, "x", {1: 3, 2: 1})))

    assert found == {"x": {1: 5, 2: 1}}


def test_of_replicas_the_one_that_counted_most_counts():
    found = merged(
        part("a", (API, "x", {1: 2, 2: 9})),
        part("b", (API, "x", {1: 3})),
        part("b", (API, "x", {1: 1, 3: 1})),
    )

    assert found == {"x": {1: 4, 2: 9, 3: 1}}


def test_streams_of_different_writers_are_added_up():
    found = merged(part("a", (API, "x", {1: 2})), part("b", (WEB, "x", {1: 3})))

    assert found == {"x": {1: 5}}


def test_spans_become_steps_and_counts_are_whole():
    found = merged(part("a", (API, "x", {0: 1.4, 5: 1.3, 6: 2})), step=6)

    assert found == {"x": {0: 3, 6: 2}}


def test_patterns_with_most_lines_come_first_and_few_are_too_many():
    counted = [(API, str(n), {0: n}) for n in range(1, PATTERNS_MAX + 3)]
    found = merged_patterns([part("a", *counted)], step_ns=SPAN_NS)

    assert len(found) == PATTERNS_MAX
    assert [each.pattern for each in found[:2]] == ["5002", "5001"]


def test_nothing_counted_is_no_pattern():
    assert merged_patterns([("a", NO_ROWS)], step_ns=SPAN_NS) == []
