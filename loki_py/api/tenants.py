"""Which tenant a request is for, by Loki's rules of `X-Scope-OrgID`."""

import re

from loki_py.errors import TenantInvalid

TENANT_BYTES_MAX = 150
_UNSUPPORTED = re.compile(r"[^a-zA-Z0-9!\-_.*'()]")


def parse_tenants(header: str) -> tuple[str, ...]:
    """Return the tenants that a header names, sorted, each once.

    Raises: TenantInvalid; status 401 where the header names none.
    """
    if not header:
        raise TenantInvalid("no org id", status=401)
    tenants = {_checked(text) for text in header.split("|")}
    return tuple(sorted(tenants))


def parse_tenant(header: str) -> str:
    """Return the one tenant that a header names.

    Raises: TenantInvalid.
    """
    tenants = parse_tenants(header)
    if len(tenants) > 1:
        raise TenantInvalid("multiple org IDs present")
    return tenants[0]


def _checked(text: str) -> str:
    tenant = text.partition(":")[0]
    bad = _UNSUPPORTED.search(tenant)
    if bad:
        raise TenantInvalid(
            f"tenant ID '{tenant}' contains unsupported character '{bad[0]}'"
        )
    if len(tenant) > TENANT_BYTES_MAX:
        raise TenantInvalid(f"tenant ID is too long: max {TENANT_BYTES_MAX} characters")
    if tenant in {".", ".."}:
        raise TenantInvalid("tenant ID is '.' or '..'")
    if not tenant:
        raise TenantInvalid("no org id", status=401)
    return tenant
