"""Who may do what: the right that each route needs, and who has it.

Pure: a token in, a decision out. Off unless a `Guard` is constructed.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from typing import Protocol

from loki_py.api.tenants import SEPARATOR, Tenancy
from loki_py.config.security_schema import ANY_TENANT
from loki_py.errors import AccessDenied

AUTHORIZATION_CHARS_MAX = 8_192
"""A longer header is no token of ours."""


class Access(Enum):
    """What a route asks of its caller."""

    OPEN = "nothing"
    KNOWN = "any token"
    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


_ACCESS_OF_PATH = {
    "/ready": Access.OPEN,
    "/docs": Access.OPEN,
    "/openapi.json": Access.OPEN,
    "/loki/api/v1/status/buildinfo": Access.KNOWN,
    "/metrics": Access.READ,
}


def access_of(path: str, *, has_tenant: bool) -> Access:
    """Return what a route of the table asks for.

    A route about a tenant's logs reads, one about the process is for
    administrators, unless it is listed here.
    """
    default = Access.READ if has_tenant else Access.ADMIN
    return _ACCESS_OF_PATH.get(path, default)


@dataclass(frozen=True, slots=True)
class Principal:
    """Someone who showed a good token.

    Attributes:
        tenants: whose logs; `*` among them is everybody's.
        scopes: `read`, `write`, `admin`.
    """

    name: str
    tenants: frozenset[str]
    scopes: frozenset[str]

    @property
    def is_for_all(self) -> bool:
        """Whether the process itself is theirs too."""
        return ANY_TENANT in self.tenants


NOBODY = Principal("anonymous", frozenset(), frozenset())


class Verifier(Protocol):
    """Knows tokens that others signed."""

    def verify(self, token: str) -> Principal:
        """Return who showed it.

        Raises: AccessDenied.
        """
        ...


class Tokens(Protocol):
    """Knows the tokens that were made for this server."""

    def find(self, digest: bytes) -> Principal | None:
        """Return whose secret has this SHA-256."""
        ...


@dataclass(frozen=True, slots=True)
class Guard:
    """Decides about every request of a process with security on."""

    tenancy: Tenancy
    tokens: Tokens
    verifier: Verifier | None = None

    def principal_of(self, authorization: str) -> Principal:
        """Return who shows this header.

        The token is a bearer token, or the password of basic authentication,
        whose user name says nothing.

        Raises: AccessDenied with status 401.
        """
        token = _token_of(authorization)
        # The look-up's time tells about a hash, from which no secret is guessed.
        found = self.tokens.find(sha256(token.encode()).digest())
        if found is not None:
            return found
        if self.verifier is not None and token.count(".") == 2:
            return self.verifier.verify(token)
        raise AccessDenied("unknown token", status=401)

    def admit(
        self,
        authorization: str,
        org_id: str,
        access: Access,
        *,
        has_tenant: bool,
        several: bool = False,
    ) -> tuple[Principal, str]:
        """Return who asks, and for which tenant: "" where the route has none.

        A token for one tenant needs no tenant header.

        Args:
            several: whether the route may be asked about several.

        Raises: AccessDenied, TenantInvalid.
        """
        if access is Access.OPEN:
            return NOBODY, ""
        principal = self.principal_of(authorization)
        if access is not Access.KNOWN and access.value not in principal.scopes:
            raise AccessDenied(f"{principal.name} may not {access.value}")
        if has_tenant:
            return principal, self._tenant_of(principal, org_id, several=several)
        if access is not Access.KNOWN and not principal.is_for_all:
            raise AccessDenied(f"{principal.name} is not for all tenants")
        return principal, ""

    def _tenant_of(self, principal: Principal, org_id: str, *, several: bool) -> str:
        if not org_id and len(principal.tenants) == 1 and not principal.is_for_all:
            [org_id] = principal.tenants
        tenant = self.tenancy.tenant_of(org_id, several=several)
        for one in tenant.split(SEPARATOR):
            if one not in principal.tenants and not principal.is_for_all:
                raise AccessDenied(f"{principal.name} is not for tenant '{one}'")
        return tenant


def _token_of(authorization: str) -> str:
    scheme, _, given = authorization.partition(" ")
    given = given.strip()
    if not given or len(authorization) > AUTHORIZATION_CHARS_MAX:
        raise AccessDenied("a token is needed", status=401)
    if scheme.lower() == "bearer":
        return given
    if scheme.lower() == "basic":
        try:
            pair = base64.b64decode(given, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise AccessDenied("broken basic authentication", status=401) from None
        return pair.partition(":")[2]
    raise AccessDenied("a bearer token or basic authentication is needed", status=401)


def is_cross_site(method: str, headers: Mapping[str, str]) -> bool:
    """Return whether a browser sends this because another site's page said so.

    Following a link is not meant: only what may act without the user.
    """
    if headers.get("sec-fetch-site") != "cross-site":
        return False
    return method != "GET" or headers.get("sec-fetch-mode") != "navigate"
