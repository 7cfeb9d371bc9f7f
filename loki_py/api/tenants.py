"""Which tenant a request is for, by Loki's rules of `X-Scope-OrgID`."""

import re
from dataclasses import dataclass, field

from loki_py.errors import TenantInvalid

TENANT_BYTES_MAX = 150
TENANTS_KEPT_MAX = 10_000
"""Headers whose tenant is remembered; beyond, they are parsed every time."""

SEPARATOR = "|"
"""Between the tenants of one header."""

_UNSUPPORTED = re.compile(r"[^a-zA-Z0-9!\-_.*'()]")


def parse_tenants(header: str) -> tuple[str, ...]:
    """Return the tenants that a header names, sorted, each once.

    Raises: TenantInvalid; status 401 where the header names none.
    """
    if not header:
        raise TenantInvalid("no org id", status=401)
    tenants = {_checked(text) for text in header.split(SEPARATOR)}
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


@dataclass(slots=True)
class Tenancy:
    """Who a request is for.

    Attributes:
        enabled: with tenancy off, the header is ignored.
        takes_several: whether questions may be about several, `a|b`.
    """

    enabled: bool
    no_auth_tenant: str = "fake"
    takes_several: bool = False
    _known: dict[str, str] = field(default_factory=dict)

    def tenant_of(self, header: str, *, several: bool = False) -> str:
        """Return the tenant; `header` is "" where the request has none.

        Args:
            several: whether the request may be about several; then they are
                sorted, with `|` between.

        Raises: TenantInvalid.
        """
        if not self.enabled:
            return self.no_auth_tenant
        if several and self.takes_several and SEPARATOR in header:
            return SEPARATOR.join(parse_tenants(header))
        tenant = self._known.get(header)
        if tenant is None:
            tenant = parse_tenant(header)
            if len(self._known) < TENANTS_KEPT_MAX:
                self._known[header] = tenant
        return tenant
