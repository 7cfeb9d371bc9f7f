"""Stamps: each line its own time; cuts: each push within its bounds."""

import re

import pytest

from loki_py.app.stamps import BatchSize, LineClock, cut

NOW_NS = 1_767_225_600_000_000_000


def test_lines_without_times_are_a_nanosecond_apart_and_never_go_back():
    clock = LineClock()

    first = clock.stamp(["a", "b"], now_ns=NOW_NS)
    second = clock.stamp(["c"], now_ns=NOW_NS)

    assert first == [NOW_NS, NOW_NS + 1]
    assert second == [NOW_NS + 2]


def test_time_is_the_first_group_of_the_pattern():
    clock = LineClock(re.compile(r"ts=(\S+)"))

    stamps = clock.stamp(["x ts=2026-01-01T00:00:00Z y"], now_ns=0)

    assert stamps == [NOW_NS]


def test_lines_of_one_time_are_told_apart_in_order():
    clock = LineClock(re.compile(r"^\S+"))
    lines = ["1767225600 a", "1767225601 b", "1767225600 c", "1767225600 a"]

    stamps = clock.stamp(lines, now_ns=0)

    assert stamps == [NOW_NS, NOW_NS + 10**9, NOW_NS + 1, NOW_NS + 2]


def test_line_without_a_time_follows_the_line_before():
    clock = LineClock(re.compile(r"^\d{10}"))

    stamps = clock.stamp(["1767225600 a", "  at b", "  at c"], now_ns=5)

    assert stamps == [NOW_NS, NOW_NS + 1, NOW_NS + 2]


def test_first_line_without_a_time_is_of_now():
    assert LineClock(re.compile("x")).stamp(["y"], now_ns=NOW_NS) == [NOW_NS]


def test_format_without_a_year_means_this_year():
    clock = LineClock(re.compile(r"^\w+ +\d+ [\d:]+"), "%b %d %H:%M:%S")

    stamps = clock.stamp(["Jan  1 00:00:01 host x"], now_ns=NOW_NS)

    assert stamps == [NOW_NS + 10**9]


def test_unreadable_time_is_named():
    with pytest.raises(ValueError, match="soon"):
        LineClock(re.compile("soon")).stamp(["soon"], now_ns=0)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (BatchSize(100, 2), [[b"aa", b"bb"], [b"cc"]]),
        (BatchSize(4, 100), [[b"aa", b"bb"], [b"cc"]]),
        (BatchSize(1, 100), [[b"aa"], [b"bb"], [b"cc"]]),
        (BatchSize(100, 100), [[b"aa", b"bb", b"cc"]]),
    ],
)
def test_pushes_keep_their_bounds(size, expected):
    assert list(cut([b"aa", b"bb", b"cc"], size)) == expected
