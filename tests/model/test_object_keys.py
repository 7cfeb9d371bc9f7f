"""Object keys: laid out as documented, and no part can escape."""

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_py.model.object_keys import (
    index_key,
    pack_key,
    prefix_of,
    ulid_of,
)
from loki_py.storage.abc import check_key

NOON_NS = 1_700_049_600_123_456_789  # 2023-11-15T12:00:00.123Z
ULID = ulid_of(NOON_NS, bytes(10))


def test_pack_and_index_keys_are_laid_out_as_documented():
    pack = pack_key("acme", now_ns=NOON_NS, ulid=ULID, writer="ingester-0")
    index = index_key("acme", now_ns=NOON_NS, ulid=ULID, writer="ingester-0")

    assert pack == f"acme/packs/2023-11-15/{ULID}-ingester-0.parquet"
    assert index == f"acme/index/2023-11-15/{ULID}-ingester-0.parquet"


@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20))
def test_key_of_any_names_is_valid_and_tells_them(tenant, writer):
    """Slashes, dots and control characters of a tenant stay inside its part."""
    tenant, writer = (
        text.encode(errors="replace").decode() for text in (tenant, writer)
    )
    key = pack_key(tenant, now_ns=NOON_NS, ulid=ULID, writer=writer)
    check_key(key)
    first, kind, day, name = key.split("/")

    assert (unquote(first), kind, day) == (tenant, "packs", "2023-11-15")
    assert unquote(name) == f"{ULID}-{writer}.parquet"
    assert key.startswith(prefix_of(tenant, "packs"))


@pytest.mark.parametrize("tenant", ["..", ".", "../x", ".unfinished", "a/packs"])
def test_tenant_cannot_leave_its_part(tenant):
    prefix = prefix_of(tenant, "packs")

    assert prefix.count("/") == 2
    assert not prefix.startswith(".")


def test_ulid_is_the_one_of_the_specification():
    # The specification's example: 01ARYZ6S41 is 1469918176385 milliseconds.
    assert ulid_of(1_469_918_176_385_000_000, bytes(10)) == "01ARYZ6S41" + "0" * 16
    assert ulid_of(0, b"\xff" * 10) == "0" * 10 + "Z" * 16


@given(st.integers(0, 2**62), st.integers(0, 2**62))
def test_ulids_sort_by_millisecond(one_ns, other_ns):
    one, other = ulid_of(one_ns, bytes(10)), ulid_of(other_ns, bytes(10))
    earlier = one_ns // 1_000_000 < other_ns // 1_000_000

    assert (one < other) == earlier
