"""Output: the three modes, labels shown and hidden, colours, samples, stats."""

from datetime import UTC

import pytest

from loki_py.app.printing import (
    Look,
    Row,
    common_labels,
    lines_of,
    notes_of,
    print_samples,
    stats_lines,
)

T = 1_767_225_600_123_000_000
ROWS = [
    Row(T, (("app", "web"), ("env", "prod")), "  first\n"),
    Row(T + 1_000_000_000, (("app", "web"), ("env", "dev"), ("pod", "x")), "second"),
]


def lines(**look):
    wanted = Look(zone=UTC, **look)
    common = common_labels(ROWS)
    return list(lines_of(ROWS, wanted, common)), list(notes_of(wanted, common))


def test_default_shows_time_labels_that_differ_and_line():
    shown, notes = lines()

    assert shown == [
        '2026-01-01T00:00:00Z {env="prod"}         first',
        '2026-01-01T00:00:01Z {env="dev", pod="x"} second',
    ]
    assert notes == ['Common labels: {app="web"}']


def test_raw_is_the_line_alone():
    shown, _ = lines(mode="raw")

    assert shown == ["  first", "second"]


def test_jsonl_has_every_digit_of_the_time():
    shown, _ = lines(mode="jsonl")

    assert shown[0] == (
        '{"labels":{"env":"prod"},"line":"  first\\n",'
        '"timestamp":"2026-01-01T00:00:00.123Z"}'
    )


def test_labels_can_be_left_out():
    shown, _ = lines(has_labels=False)

    assert shown == ["2026-01-01T00:00:00Z first", "2026-01-01T00:00:01Z second"]


def test_only_named_labels_are_shown_even_common_ones():
    shown, notes = lines(labels_shown=["app"])

    assert shown[0] == '2026-01-01T00:00:00Z {app="web"} first'
    assert notes == ["Print only labels key: app"]


def test_named_labels_are_hidden():
    shown, notes = lines(labels_hidden=["pod"], has_common_labels=True)

    assert shown[1] == '2026-01-01T00:00:01Z {app="web", env="dev"}  second'
    assert "Ignoring labels key: pod" in notes


def test_labels_are_padded_to_a_wanted_width():
    shown, _ = lines(label_width_min=30)

    assert shown[0].endswith(" first")
    assert len(shown[0]) == len("2026-01-01T00:00:00Z ") + 30 + len(" first")


def test_colours_stand_around_time_and_labels():
    shown, _ = lines(has_colours=True)

    assert shown[0].startswith("\x1b[34m2026-01-01T00:00:00Z\x1b[0m \x1b[31m{env=")


def test_nothing_is_common_to_no_rows():
    assert common_labels([]) == ()
    assert list(lines_of([], Look(), ())) == []


def test_samples_are_indented_json():
    assert print_samples([{"value": [1, "2"]}]).startswith('[\n  {\n    "value": [')


def test_stats_are_named_by_their_path():
    cost = {"summary": {"execTime": 0.5, "shards": 0, "splits": 2}}

    shown = list(stats_lines(cost, Look()))

    assert shown == ["Summary.ExecTime\t0.5", "Summary.Splits\t2"]


@pytest.mark.parametrize("mode", ["default", "jsonl", "raw"])
def test_every_row_is_one_text(mode):
    shown, _ = lines(mode=mode)

    assert len(shown) == len(ROWS)
