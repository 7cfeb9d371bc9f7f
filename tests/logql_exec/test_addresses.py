"""Addresses found in columns are those that each text holds alone."""

import re
from ipaddress import ip_address

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive.values import address_set

from loki_py.logql.stages.addresses import addresses_in

PATTERNS = ("10.0.0.0/8", "192.168.1.7", "1.2.3.4-1.2.4.0", "0.0.0.0/0")
PIECES = st.sampled_from(
    [
        "10.1.2.3", "192.168.1.7", "1.2.3.255", "256.1.1.1", "1.2.3", "01.2.3.4", "7",
        "0.0.0.0", "1.2.3.4.5", ".", " ", ":80", "/24", "ip=", "255.255.255.255", "é",
        "1234.1.1.1", "..", "10.0.0.00",
    ]
)  # fmt: skip
TEXTS = st.lists(st.none() | st.lists(PIECES, max_size=4).map("".join), max_size=8)


def has_address(pattern, text):
    """Return whether some whole run of digits and dots is a wanted address."""
    found = []
    for run in re.findall("[0-9.]+", text or ""):
        try:
            found.append(address_set(pattern)(ip_address(run)))
        except ValueError:
            continue
    return any(found)


@given(TEXTS)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_texts_with_a_wanted_address_are_found(pattern, texts):
    """Texts lie next to each other, and addresses do not reach across."""
    column = pl.Series(texts, dtype=pl.String)
    for values in (column, column.reverse(), column.append(column)):
        want = [has_address(pattern, text) for text in values]

        assert addresses_in(pattern)(values).tolist() == want


def test_wider_addresses_are_found_line_by_line():
    """Times of day are no addresses."""
    texts = pl.Series(["from ::1 at", "12:30:45", "fe80::1%eth0", "1:2:3:4:5:6:7:8"])

    assert addresses_in("::1-fe80::ffff")(texts).tolist() == [True, False, True, True]
