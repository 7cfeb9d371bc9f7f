"""Rows as text: alignment, tables that change, JSON lines."""

import json

from loki_py.app.tables import ROWS_MEASURED, aligned_lines, json_lines


def test_numbers_stand_to_the_right_and_texts_to_the_left():
    rows = [{"name": "a", "count": 1_234}, {"name": "long", "count": None}]

    assert list(aligned_lines(rows)) == [
        "name  count",
        "a      1234",
        "long",
    ]


def test_nanoseconds_are_shown_as_times():
    (_, line) = aligned_lines([{"min_ns": 1_767_225_600_000_000_001}])

    assert line == "2026-01-01T00:00:00.000000001Z"


def test_other_columns_start_a_new_table():
    rows = [{"a": 1}, {"a": 2}, {"b": "x"}]

    assert list(aligned_lines(rows)) == ["a", "1", "2", "b", "x"]


def test_rows_are_printed_before_the_last_is_known():
    taken = 0

    def rows():
        nonlocal taken
        while True:
            taken += 1
            yield {"n": taken}

    lines = aligned_lines(rows())

    assert [next(lines).strip() for _ in range(3)] == ["n", "1", "2"]
    assert taken == ROWS_MEASURED


def test_no_rows_are_no_lines():
    assert list(aligned_lines([])) == []


def test_json_lines_are_objects():
    (line,) = json_lines([{"a": 1, "b": None}])

    assert json.loads(line) == {"a": 1, "b": None}
