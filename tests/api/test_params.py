"""Request parameters: every default, every form, every refusal and its text."""

import pytest

from loki_py.api.forms import parse_form
from loki_py.api.params import (
    INT64_MAX,
    INT64_MIN,
    parse_duration,
    parse_instant,
    parse_labels,
    parse_limit,
    parse_range,
    parse_seconds_or_duration,
    parse_series,
    parse_tags,
    parse_time,
)
from loki_py.errors import ValidationFailed

S = 1_000_000_000
NOW_NS = 1_767_229_200 * S
HOUR_NS = 3_600 * S


def range_of(query):
    return parse_range(parse_form(query), now_ns=NOW_NS, categorized=False, tags={})


@pytest.mark.parametrize(
    ("text", "expected_ns"),
    [
        ("", 7),
        ("1767225600", 1_767_225_600 * S),
        ("1767225600123456789", 1_767_225_600_123_456_789),
        ("17672256000", 17_672_256_000),
        ("1767225600.5", 1_767_225_600 * S + S // 2),
        ("1767225600.1234", 1_767_225_600 * S + 123_000_000),
        ("1.5e9", 1_500_000_000 * S),
        ("-5", -5 * S),
        ("2026-01-01T00:00:00Z", 1_767_225_600 * S),
        ("2026-01-01T00:10:00.5+00:00", 1_767_226_200 * S + S // 2),
        ("2026-01-01T02:00:00.000000001+02:00", 1_767_225_600 * S + 1),
        ("2500-01-01T00:00:00Z", INT64_MAX),
        ("9999999999", INT64_MAX),
        ("1.e999", INT64_MAX),
        ("-1.e999", INT64_MIN),
    ],
)
def test_time_is_read(text, expected_ns):
    assert parse_time(text, default_ns=7) == expected_ns


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("abc", 'strconv.ParseInt: parsing "abc": invalid syntax'),
        ("1_000", 'strconv.ParseInt: parsing "1_000": invalid syntax'),
        ("1.2.3", 'strconv.ParseInt: parsing "1.2.3": invalid syntax'),
        (
            "2026-13-01T00:00:00Z",
            'strconv.ParseInt: parsing "2026-13-01T00:00:00Z": invalid syntax',
        ),
        (
            "99999999999999999999",
            'strconv.ParseInt: parsing "99999999999999999999": value out of range',
        ),
    ],
)
def test_wrong_time_is_refused(text, message):
    with pytest.raises(ValidationFailed) as caught:
        parse_time(text, default_ns=0)

    assert str(caught.value) == message


def test_time_of_many_digits_is_refused():
    with pytest.raises(ValidationFailed, match="value out of range"):
        parse_time("9" * 10_000, default_ns=0)


@pytest.mark.parametrize(
    ("text", "expected_ns"),
    [
        ("0", 0),
        ("5m", 300 * S),
        ("1h30m", 5_400 * S),
        ("1w2d", 9 * 86_400 * S),
        ("250ms", S // 4),
        ("1y", 365 * 86_400 * S),
    ],
)
def test_duration_is_read(text, expected_ns):
    assert parse_duration(text) == expected_ns


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty duration string"),
        ("5", 'not a valid duration string: "5"'),
        ("1m1h", 'not a valid duration string: "1m1h"'),
        ("1.5h", 'not a valid duration string: "1.5h"'),
        ("-1h", 'not a valid duration string: "-1h"'),
        ("9999999999999y", "duration out of range"),
    ],
)
def test_wrong_duration_is_refused(text, message):
    with pytest.raises(ValidationFailed) as caught:
        parse_duration(text)

    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "expected_ns"),
    [("60", 60 * S), ("7.5", 15 * S // 2), ("1m30s", 90 * S), ("-5", -5 * S)],
)
def test_step_is_seconds_or_a_duration(text, expected_ns):
    assert parse_seconds_or_duration(text) == expected_ns


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("zz", 'cannot parse "zz" to a valid duration'),
        (
            "1e300",
            'cannot parse "1e300" to a valid duration. It overflows int64',
        ),
        ("inf", 'cannot parse "inf" to a valid duration. It overflows int64'),
    ],
)
def test_wrong_step_is_refused(text, message):
    with pytest.raises(ValidationFailed) as caught:
        parse_seconds_or_duration(text)

    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("abc", 'strconv.Atoi: parsing "abc": invalid syntax'),
        ("1.5", 'strconv.Atoi: parsing "1.5": invalid syntax'),
        ("0", "limit must be a positive value"),
        ("-3", "limit must be a positive value"),
        (
            "99999999999999999999",
            'strconv.Atoi: parsing "99999999999999999999": value out of range',
        ),
    ],
)
def test_wrong_limit_is_refused(text, message):
    with pytest.raises(ValidationFailed) as caught:
        parse_limit(text)

    assert str(caught.value) == message


def test_range_defaults_to_the_last_hour_newest_first():
    params = range_of("query=x")

    assert (params.start_ns, params.end_ns) == (NOW_NS - HOUR_NS, NOW_NS)
    assert params.limit == 100
    assert params.newest_first
    assert params.step_ns == 14 * S
    assert params.interval_ns == 0


def test_since_counts_from_the_end_that_has_passed():
    """A future end does not move the start beyond now minus since."""
    past = range_of("query=x&since=10m&end=1767229000")
    future = range_of("query=x&since=10m&end=1767239200")

    assert past.start_ns == 1_767_229_000 * S - 600 * S
    assert future.start_ns == NOW_NS - 600 * S


def test_equal_start_and_end_are_one_moment():
    params = range_of("query=x&start=1767225610&end=1767225610")

    assert params.start_ns == params.end_ns


def test_direction_is_read_in_any_case():
    assert not range_of("direction=ForWard").newest_first
    assert range_of("direction=backward").newest_first


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            "start=abc",
            (
                "could not parse 'start' parameter: "
                'strconv.ParseInt: parsing "abc": invalid syntax'
            ),
        ),
        (
            "end=x",
            (
                "could not parse 'end' parameter: "
                'strconv.ParseInt: parsing "x": invalid syntax'
            ),
        ),
        (
            "since=x",
            "could not parse 'since' parameter: not a valid duration string: \"x\"",
        ),
        (
            "start=1767225700000000000&end=1767225650000000000",
            "end timestamp must not be before or equal to start time",
        ),
        ("limit=abc", 'strconv.Atoi: parsing "abc": invalid syntax'),
        ("direction=x", "invalid direction 'x'"),
        (
            "step=-1",
            (
                "zero or negative query resolution step widths are not accepted."
                " Try a positive integer"
            ),
        ),
        (
            "step=0",
            (
                "zero or negative query resolution step widths are not accepted."
                " Try a positive integer"
            ),
        ),
        (
            "step=nan",
            (
                "zero or negative query resolution step widths are not accepted."
                " Try a positive integer"
            ),
        ),
        (
            "step=0.1",
            (
                "exceeded maximum resolution of 11,000 points per time series."
                " Try increasing the value of the step parameter"
            ),
        ),
        ("step=zz", 'cannot parse "zz" to a valid duration'),
        ("interval=-5", "interval must be >= 0"),
    ],
)
def test_wrong_range_is_refused(query, message):
    with pytest.raises(ValidationFailed) as caught:
        range_of(query)

    assert str(caught.value) == message
    assert caught.value.status == 400


def test_instant_time_error_names_no_parameter():
    with pytest.raises(ValidationFailed) as caught:
        parse_instant(parse_form("time=bad"), now_ns=NOW_NS, tags={})

    assert str(caught.value) == 'strconv.ParseInt: parsing "bad": invalid syntax'


def test_instant_defaults_to_now():
    request = parse_instant(parse_form("query=x"), now_ns=NOW_NS, tags={})

    assert request.time_ns == NOW_NS


def test_labels_take_an_optional_selector():
    with_query = parse_labels(parse_form("query=%7Ba%3D%22b%22%7D"), now_ns=NOW_NS)

    assert with_query.selectors == ('{a="b"}',)
    assert parse_labels(parse_form(""), now_ns=NOW_NS).selectors == ()


def test_series_takes_both_names_of_match_and_each_group_once():
    params = parse_series(parse_form("match[]=a&match=b&match[]=b"), now_ns=NOW_NS)

    assert params.selectors == ("b", "a")


def test_body_value_comes_before_the_url_value():
    form = parse_form("limit=5&query=url", b"query=body")

    assert form.get("query") == "body"
    assert form.get("limit") == "5"
    assert form.all("query") == ("body", "url")


def test_tags_have_lower_case_names():
    assert parse_tags("Source=grafana, b = c,odd,=x") == {
        "source": "grafana",
        "b": "c",
    }


@pytest.mark.parametrize("query", ["query=%zz", "query=%"])
def test_broken_escape_is_refused(query):
    with pytest.raises(ValidationFailed, match="invalid URL escape"):
        parse_form(query)


def test_series_of_too_many_selectors_are_refused():
    asked = parse_form("&".join(f"match[]=%7Ba={number}%7D" for number in range(201)))

    with pytest.raises(ValidationFailed, match="201 selectors; limit is 200"):
        parse_series(asked, now_ns=0)
