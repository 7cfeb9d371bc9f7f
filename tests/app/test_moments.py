"""Times of the command line: every form, every zone, both ways."""

from datetime import UTC, timedelta, timezone

import pytest

from loki_py.app.moments import parse_moment, print_moment

T = 1_767_225_600


@pytest.mark.parametrize(
    ("text", "expected_ns"),
    [
        ("2026-01-01T00:00:00Z", T * 10**9),
        ("2026-01-01 00:00:00", T * 10**9),
        ("2026-01-01T02:00:00.000000001+02:00", T * 10**9 + 1),
        ("2026-01-01T00:00:00,5Z", T * 10**9 + 5 * 10**8),
        ("2026-01-01T00:00Z", T * 10**9),
        ("2026-01-01", T * 10**9),
        ("1767225600", T * 10**9),
        ("1767225600123", T * 10**9 + 123_000_000),
        ("1767225600123456", T * 10**9 + 123_456_000),
        ("1767225600123456789", T * 10**9 + 123_456_789),
    ],
)
def test_moment_is_read(text, expected_ns):
    assert parse_moment(text) == expected_ns


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "12345", "2026-13-01T00:00:00Z", "2026-01-01Z", "2026-01-01T"],
)
def test_other_texts_are_refused(text):
    with pytest.raises(ValueError, match=r"time|month"):
        parse_moment(text)


def test_moment_is_shown_in_its_zone():
    zone = timezone(timedelta(hours=5, minutes=30))

    assert print_moment(T * 10**9, UTC) == "2026-01-01T00:00:00Z"
    assert print_moment(T * 10**9, zone) == "2026-01-01T05:30:00+05:30"
    assert print_moment(T * 10**9 + 1_500, UTC, digits=True) == (
        "2026-01-01T00:00:00.0000015Z"
    )
