"""Numbers with units by column: the same as reading them one by one."""

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from loki_py.logql.literals import LiteralInvalid, parse_go_duration
from loki_py.logql.stages.conversions import durations_ns_of
from loki_py.logql.stages.number_units import scaled_numbers

NS_PER = {"ns": 1.0, "us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9, "m": 6e10, "h": 3.6e12}
PIECES = st.sampled_from(
    [*"0123456789.", "12", "0.5", "-", "+", " ", "s", "ms", "µs", "h", "m", "x", "é"]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.none() | st.lists(PIECES, max_size=8).map("".join), min_size=1))
def test_plain_durations_are_what_the_parser_reads(texts):
    """Where the column is sure, the exact parser finds the same nanoseconds."""
    column = pl.Series(texts, dtype=pl.String)
    found = scaled_numbers(column, NS_PER)
    assert found is not None
    read = durations_ns_of(column)

    rows = zip(texts, read.values, read.bad, found[1], strict=True)
    for text, value, too_large, plain in rows:
        if plain and not too_large:
            assert value == parse_go_duration(text)


def test_long_durations_with_parts_of_nanoseconds_are_exact():
    """A float has no digits left for them, so the exact parser reads them."""
    texts = [
        "9.98771840948665911h", "72096384.665684964ms", "287058.574856606791s",
        "2.44h", "2.5h", "8796.0930222s",
    ]  # fmt: skip

    read = durations_ns_of(pl.Series(texts))

    assert read.values.tolist() == [parse_go_duration(text) for text in texts]


def test_everyday_durations_are_plain():
    """No everyday spelling is left to the slow parser."""
    texts = ["0.123s", "1.5ms", "250µs", "17ns", "2h", "1m"]

    values, plain = scaled_numbers(pl.Series(texts), NS_PER)

    assert plain.all()
    assert values.tolist() == [1.23e8, 1.5e6, 2.5e5, 17.0, 7.2e12, 6e10]


def test_unknown_unit_is_not_plain():
    """A text that no duration can be is left to the parser's error."""
    _, plain = scaled_numbers(pl.Series(["5x", "5", "5.s", ".5s", "1e3s"]), NS_PER)

    assert not plain.any()
    for text in ("5x", "5"):
        try:
            parse_go_duration(text)
        except LiteralInvalid:
            continue
        raise AssertionError(text)
