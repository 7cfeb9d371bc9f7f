"""Tenants: which ids are allowed, and what is said of the others."""

import pytest

from loki_py.api.tenants import parse_tenant, parse_tenants
from loki_py.errors import TenantInvalid


@pytest.mark.parametrize("tenant", ["a", "Team-1_x.y", "!*'()", "a" * 150])
def test_allowed_tenant_is_itself(tenant):
    assert parse_tenant(tenant) == tenant


def test_text_after_a_colon_is_not_part_of_the_tenant():
    assert parse_tenant("t1:k=v") == "t1"


def test_equal_tenants_are_one():
    assert parse_tenant("a|a") == "a"


def test_several_tenants_are_sorted():
    assert parse_tenants("b|a") == ("a", "b")


@pytest.mark.parametrize(
    ("header", "status", "message"),
    [
        ("", 401, "no org id"),
        ("a b/c", 400, "tenant ID 'a b/c' contains unsupported character ' '"),
        ("../x", 400, "tenant ID '../x' contains unsupported character '/'"),
        ("a" * 151, 400, "tenant ID is too long: max 150 characters"),
        ("..", 400, "tenant ID is '.' or '..'"),
        (".", 400, "tenant ID is '.' or '..'"),
        ("a|b", 400, "multiple org IDs present"),
        (":x", 401, "no org id"),
    ],
)
def test_other_tenants_are_refused(header, status, message):
    with pytest.raises(TenantInvalid) as caught:
        parse_tenant(header)

    assert str(caught.value) == message
    assert caught.value.status == status
