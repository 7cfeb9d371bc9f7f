"""Label values as numbers: by column they are what the exact parsers read."""

import math

import polars as pl
import pytest

from loki_py.logql.literals import LiteralInvalid, parse_go_duration
from loki_py.logql.stages.conversions import (
    durations_ns_of,
    floats_of,
    parse_size,
    parse_value,
    sizes_of,
)

DURATIONS = [
    "1s", "250ms", "1.5h", "1h1m1s", "-5s", "+3s", "1d", ".5s", "5.s", "1µs", "1μs",
    "0", "5", "1S", "1m1h", "1h 2m", "1e3s", "", "1.5ns", "0.9ns", "0.0000000006s",
    "1.001s", "2562047h", "2562048h", "2562047h47m16.854775807s", "9999999h",
    "12345.678s", "3.4567h", "34567.891s", "98765.4321m",
]  # fmt: skip
SIZES = [
    "1B", "5KB", "5kb", "5 KB", "5ki", "1,000B", "1.5MiB", "10", "-5KB", "1e3B", "KB",
    " 5KB", "5 MB ", "1.5.2KB", "5XB", "", "1.001KB", "15EiB", "16EiB", "20EB", "3.7",
]  # fmt: skip
NUMBERS = [
    "1", "-1.5", "1e3", "NaN", "+Inf", "-inf", "Infinity", "1e400", "1e-400", "0x1p4",
    "0x10", "1_000", "1__0", ".5", "5.", "--1", "1,5", " 1", "", "9007199254740993",
    "1\N{FULLWIDTH DIGIT ONE}",
]  # fmt: skip
CASES = [
    *((durations_ns_of, parse_go_duration, text) for text in DURATIONS),
    *((sizes_of, parse_size, text) for text in SIZES),
    *((floats_of, parse_value, text) for text in NUMBERS),
]


def exact(parse, text):
    try:
        return float(parse(text))
    except LiteralInvalid:
        return None


@pytest.mark.parametrize(("convert", "parse", "text"), CASES)
@pytest.mark.parametrize("others", [[], [None], ["12s", "1"], ["no number"]])
def test_value_is_the_number_that_the_exact_parser_reads(convert, parse, text, others):
    """Whatever else is in the column."""
    found = convert(pl.Series([text, *others], dtype=pl.String))
    value = None if found.bad[0] else float(found.values[0])

    expected = exact(parse, text)
    if expected is None or math.isnan(expected):
        assert str(value) == str(expected)
    else:
        assert value == expected
