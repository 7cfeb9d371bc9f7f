"""The tenant of a call between components, looked at again on arrival."""

import re

from loki_py.errors import TenantInvalid

TENANT_BYTES_MAX = 150
_PLAIN = re.compile(r"[a-zA-Z0-9!\-_.*'()]{1,150}")


def check_tenant(tenant: str) -> None:
    """Refuse what can be no tenant, whoever sent it.

    Raises: TenantInvalid.
    """
    if not _PLAIN.fullmatch(tenant) or tenant in {".", ".."}:
        raise TenantInvalid(f"{tenant[:TENANT_BYTES_MAX]!r} is no tenant ID")
