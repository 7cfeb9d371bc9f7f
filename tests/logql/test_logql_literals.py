"""Literals: durations, sizes, numbers, strings, paths, patterns, addresses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_py.logql.ips import IpPatternInvalid, IpRange, parse_ip_pattern
from loki_py.logql.literals import (
    LiteralInvalid,
    parse_bytes,
    parse_duration,
    parse_float,
    parse_go_duration,
    parse_prometheus_duration,
    parse_size,
    print_bytes,
    print_float,
    print_go_duration,
    print_prometheus_duration,
)
from loki_py.logql.paths import PathInvalid, parse_path
from loki_py.logql.patterns import (
    Capture,
    PatternInvalid,
    parse_line_pattern,
    parse_pattern,
)
from loki_py.logql.regexps import group_names
from loki_py.logql.strings import unquote
from loki_py.model.labels import quote

MS, S, M, H = 10**6, 10**9, 60 * 10**9, 3600 * 10**9


def fails(kind, function, *args):
    with pytest.raises(kind) as caught:
        function(*args)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("5m", 5 * M),
        ("1h30m", 90 * M),
        ("90m30s", 90 * M + 30 * S),
        ("1y2w3d", (365 + 14 + 3) * 24 * H),
        ("250ms", 250 * MS),
        ("0", 0),
        ("1.5h", 90 * M),
        ("-1m", -M),
        ("100us", 100_000),
        ("1.5µs", 1_500),
        ("5ns", 5),
        ("-0", 0),
    ],
)
def test_duration_is_read_in_both_forms(text, ns):
    assert parse_duration(text) == ns


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty duration string"),
        ("5", 'not a valid duration string: "5"'),
        ("m5", 'not a valid duration string: "m5"'),
        ("5s1m", 'not a valid duration string: "5s1m"'),
        ("5x", 'unknown unit "x" in duration "5x"'),
        ("300y", "duration out of range"),
        ("9" * 30 + "s", "duration out of range"),
    ],
)
def test_range_text_that_is_no_duration_is_refused(text, message):
    assert fails(LiteralInvalid, parse_prometheus_duration, text) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'time: invalid duration ""'),
        ("1d", 'time: unknown unit "d" in duration "1d"'),
        ("15", 'time: missing unit in duration "15"'),
        (".s", 'time: invalid duration ".s"'),
        ("300000h9999999h", 'time: invalid duration "300000h9999999h"'),
        ("+Inf", 'time: invalid duration "+Inf"'),
    ],
)
def test_go_text_that_is_no_duration_is_refused(text, message):
    assert fails(LiteralInvalid, parse_go_duration, text) == message


@given(st.integers(-(2**63) + 1, 2**63 - 1))
def test_go_duration_survives_printing(ns):
    assert parse_go_duration(print_go_duration(ns)) == ns


@given(st.integers(0, 9 * 10**12))
def test_prometheus_duration_survives_printing(ms):
    text = print_prometheus_duration(ms * MS)

    assert parse_prometheus_duration(text) == ms * MS


def test_weeks_and_years_are_printed_only_where_whole():
    day = 24 * H

    assert print_prometheus_duration(14 * day) == "2w"
    assert print_prometheus_duration(15 * day) == "15d"
    assert print_prometheus_duration(365 * day) == "1y"
    assert print_prometheus_duration(5) == "0s"


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("10B", 10),
        ("5kB", 5_000),
        ("5KB", 5_000),
        ("1.5MB", 1_500_000),
        (".5GiB", 2**29),
        ("2TB", 2 * 10**12),
        ("1PiB", 2**50),
    ],
)
def test_size_literal_is_read(text, size):
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["5kib", "5 KB", "5K", "KB", "5EB", "99999999999PB"])
def test_text_that_is_no_size_literal_is_refused(text):
    fails(LiteralInvalid, parse_bytes, text)


def test_size_is_printed_with_one_decimal():
    sizes = [0, 9, 10, 5000, 20 * 2**20, 10**18]

    assert [print_bytes(size) for size in sizes] == [
        "0B", "9B", "10B", "5.0kB", "21MB", "1.0EB",
    ]  # fmt: skip


def test_size_of_a_value_is_read_leniently():
    assert parse_size("1,024") == 1024
    assert parse_size("1.5 Kib") == 1536
    assert parse_size("2 mb") == 2_000_000
    assert fails(LiteralInvalid, parse_size, "5 x") == "unhandled size name: x"
    assert fails(LiteralInvalid, parse_size, "x") == (
        'strconv.ParseFloat: parsing "": invalid syntax'
    )
    assert fails(LiteralInvalid, parse_size, "99999 EB") == "too large: 99999 EB"


@given(st.floats(allow_nan=False))
def test_number_survives_printing(value):
    assert parse_float(print_float(value)) == value
    assert parse_float(print_float(value, exponent=False)) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e6, "1e+06"),
        (123456.5, "123456.5"),
        (1e-5, "1e-05"),
        (0.0001, "0.0001"),
        (-0.0, "-0"),
        (1.25e21, "1.25e+21"),
        (float("inf"), "+Inf"),
    ],
)
def test_number_is_printed_as_go_does(value, text):
    assert print_float(value) == text


def test_go_number_may_be_hexadecimal_or_a_word():
    assert parse_float("0x1p4") == 16
    assert parse_float("-Infinity") == float("-inf")
    assert fails(LiteralInvalid, parse_float, "0x1p9999") == (
        'strconv.ParseFloat: parsing "0x1p9999": value out of range'
    )
    assert fails(LiteralInvalid, parse_float, "1_0") == (
        'strconv.ParseFloat: parsing "1_0": invalid syntax'
    )


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_quoted_text_is_unquoted_to_itself(text):
    assert unquote(quote(text)) == text


def test_escapes_stand_for_bytes_and_characters():
    assert unquote(r'"\x41\102\u00e9\U0001F680\t\""') == 'AB\u00e9\U0001f680\t"'
    assert unquote(r'"\xff"') == "\ufffd"
    assert unquote("`a\\n\r`") == "a\\n"


def test_path_names_keys_and_positions():
    assert parse_path("a") == ("a",)
    assert parse_path('a.b["c d"][0]') == ("a", "b", "c d", 0)
    assert parse_path('["user.id"]') == ("user.id",)
    assert parse_path(" a [ 1 ] ") == ("a", 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "syntax error: unexpected $end, expecting LSB or FIELD"),
        ("a[", "syntax error: unexpected $end, expecting STRING or INDEX"),
        ("a[b]", "syntax error: unexpected FIELD, expecting STRING or INDEX"),
        ("a[0", "syntax error: unexpected $end, expecting RSB"),
        ("a.[", "syntax error: unexpected LSB, expecting FIELD"),
        ("a b", "syntax error: unexpected FIELD"),
        ("a-b", "unexpected char -"),
    ],
)
def test_text_that_is_no_path_is_refused(text, message):
    expected = f"cannot parse expression [{text}]: {message}"

    assert fails(PathInvalid, parse_path, text) == expected


def test_pattern_is_literals_and_captures():
    assert parse_pattern("<ip> - <_> [<a b>]") == (
        Capture("ip"), " - ", Capture(None), " [<a b>]",
    )  # fmt: skip
    assert parse_line_pattern("") == ()
    assert parse_line_pattern("a<_>") == ("a", Capture(None))
    assert fails(PatternInvalid, parse_pattern, "<_>") == (
        "at least one capture is required"
    )


def test_ip_pattern_is_an_address_network_or_range():
    low, high = 0x0A000000, 0x0A0000FF
    address = parse_ip_pattern("10.0.0.1")

    assert address == IpRange(4, low + 1, low + 1)
    assert parse_ip_pattern("10.0.0.7/24") == IpRange(4, low, high)
    assert parse_ip_pattern("::1-::9") == IpRange(6, 1, 9)
    for text in ("300.1.1.1", "", "1.1.1.1-::1", "10.0.0.2-10.0.0.1", "1.1.1.1/33"):
        assert fails(IpPatternInvalid, parse_ip_pattern, text) == (
            f'ip: invalid pattern: "{text}"'
        )


def test_group_names_are_found_outside_classes_and_escapes():
    assert group_names(r"(?P<a>x)\(?P<b>[(?P<c>](?<d>y)(?P<a>z)") == ["a", "d", "a"]
