"""Access: who may do what with which token, and what the others are told."""

import base64
from hashlib import sha256

import pytest

from loki_py.api.access import (
    AUTHORIZATION_CHARS_MAX,
    Access,
    Guard,
    access_of,
    is_cross_site,
)
from loki_py.api.tenants import Tenancy
from loki_py.api.token_book import TokenBook
from loki_py.config.security_schema import TokenConfig
from loki_py.errors import AccessDenied, TenantInvalid


def token_of(secret, *tenants, scopes):
    digest = sha256(secret.encode()).hexdigest()
    return TokenConfig(name=secret, sha256=digest, tenants=tenants, scopes=scopes)


def guard_of(*, tenancy=True):
    tokens = [
        token_of("reader", "a", scopes=["read"]),
        token_of("writer", "a", "b", scopes=["write"]),
        token_of("root", "*", scopes=["read", "write", "admin"]),
        token_of("half", "a", scopes=["admin"]),
    ]
    return Guard(Tenancy(tenancy), TokenBook(tokens))


def admit(secret, access, *, org_id="", has_tenant=True, guard=None):
    guard = guard or guard_of()
    principal, tenant = guard.admit(
        f"Bearer {secret}", org_id, access, has_tenant=has_tenant
    )
    return principal.name, tenant


@pytest.mark.parametrize(
    ("secret", "access", "org_id", "tenant"),
    [
        ("reader", Access.READ, "", "a"),
        ("reader", Access.READ, "a", "a"),
        ("writer", Access.WRITE, "b", "b"),
        ("root", Access.WRITE, "anyone", "anyone"),
        ("half", Access.KNOWN, "", "a"),
    ],
)
def test_token_is_good_for_its_tenants_and_scopes(secret, access, org_id, tenant):
    assert admit(secret, access, org_id=org_id) == (secret, tenant)


@pytest.mark.parametrize(
    ("secret", "access", "org_id", "text"),
    [
        ("reader", Access.WRITE, "a", "reader may not write"),
        ("writer", Access.READ, "a", "writer may not read"),
        ("reader", Access.ADMIN, "a", "reader may not admin"),
        ("reader", Access.READ, "b", "reader is not for tenant 'b'"),
    ],
)
def test_token_is_good_for_nothing_else(secret, access, org_id, text):
    with pytest.raises(AccessDenied, match=text) as caught:
        admit(secret, access, org_id=org_id)

    assert caught.value.status == 403


def test_token_for_several_tenants_must_say_which():
    with pytest.raises(TenantInvalid, match="no org id"):
        admit("writer", Access.WRITE)


def test_several_tenants_at_once_stay_refused():
    with pytest.raises(TenantInvalid, match="multiple org IDs present"):
        admit("root", Access.READ, org_id="a|b")


@pytest.mark.parametrize(
    ("secret", "org_id", "denied"),
    [("pair", "b|a", ""), ("pair", "a|c", "c"), ("reader", "a|b", "b")],
)
def test_a_question_about_several_tenants_needs_a_token_for_each(
    secret, org_id, denied
):
    tokens = [
        token_of("pair", "a", "b", scopes=["read"]),
        token_of("reader", "a", scopes=["read"]),
    ]
    guard = Guard(Tenancy(enabled=True, takes_several=True), TokenBook(tokens))
    asked = f"Bearer {secret}", org_id, Access.READ

    if not denied:
        admitted = guard.admit(*asked, has_tenant=True, several=True)
        assert (admitted[0].name, admitted[1]) == (secret, "a|b")
        return
    with pytest.raises(AccessDenied, match=f"is not for tenant '{denied}'"):
        guard.admit(*asked, has_tenant=True, several=True)


def test_process_is_for_tokens_of_all_tenants():
    assert admit("root", Access.ADMIN, has_tenant=False) == ("root", "")
    with pytest.raises(AccessDenied, match="half is not for all tenants"):
        admit("half", Access.ADMIN, has_tenant=False)
    with pytest.raises(AccessDenied, match="reader is not for all tenants"):
        admit("reader", Access.READ, has_tenant=False)


def test_without_tenancy_the_header_changes_nothing():
    guard = guard_of(tenancy=False)

    assert admit("root", Access.READ, org_id="b", guard=guard) == ("root", "fake")
    with pytest.raises(AccessDenied, match="not for tenant 'fake'"):
        admit("reader", Access.READ, guard=guard)


def test_password_of_basic_authentication_is_a_token():
    given = base64.b64encode(b"someone:reader").decode()

    principal = guard_of().principal_of(f"Basic {given}")

    assert principal.name == "reader"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer nobody",
        "Bearer a.b.c",
        "Basic !!!",
        "Basic " + base64.b64encode(b"reader:").decode(),
        "Basic " + base64.b64encode(b"\xff\xfe:x").decode(),
        "Digest reader",
        "reader",
        f"Bearer {sha256(b'reader').hexdigest()}",
        "Bearer " + "x" * AUTHORIZATION_CHARS_MAX,
    ],
)
def test_anything_else_is_no_token(header):
    with pytest.raises(AccessDenied) as caught:
        guard_of().principal_of(header)

    assert caught.value.status == 401


def test_open_routes_ask_for_nothing():
    assert guard_of().admit("", "", Access.OPEN, has_tenant=False)[1] == ""


@pytest.mark.parametrize(
    ("path", "has_tenant", "access"),
    [
        ("/loki/api/v1/query", True, Access.READ),
        ("/ready", False, Access.OPEN),
        ("/metrics", False, Access.READ),
        ("/config", False, Access.ADMIN),
        ("/a/route/nobody/thought/of", False, Access.ADMIN),
    ],
)
def test_routes_about_the_process_are_for_administrators(path, has_tenant, access):
    assert access_of(path, has_tenant=has_tenant) is access


@pytest.mark.parametrize(
    ("method", "headers", "cross"),
    [
        ("POST", {}, False),
        ("POST", {"sec-fetch-site": "same-origin"}, False),
        ("POST", {"sec-fetch-site": "cross-site"}, True),
        ("GET", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, True),
        ("GET", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, False),
    ],
)
def test_other_sites_can_not_act_through_a_browser(method, headers, cross):
    assert is_cross_site(method, headers) is cross
