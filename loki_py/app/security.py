"""What guards the HTTP side, made from the settings; nothing where it is off."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from loki_py.api.access import Guard
from loki_py.api.audit import AuditLog
from loki_py.api.errors import Headers
from loki_py.api.jwt_tokens import JwtVerifier
from loki_py.api.tenants import Tenancy
from loki_py.api.token_book import TokenBook
from loki_py.config.schema import Config
from loki_py.runtime.certificates import ServerCertificates
from loki_py.runtime.clock import Clock
from loki_py.runtime.lifecycle import Service
from loki_py.runtime.reloading import Reloader

_PAGES = (
    "default-src 'none'; style-src 'self' 'unsafe-inline'; script-src 'self';"
    " connect-src 'self'; form-action 'self'; frame-ancestors 'none'"
)
SAFE_HEADERS: Headers = (
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("content-security-policy", _PAGES),
    ("cache-control", "no-store"),
)
TLS_HEADERS: Headers = (("strict-transport-security", "max-age=31536000"),)


@dataclass(frozen=True, slots=True)
class Security:
    """The parts of one process's security.

    Attributes:
        guard: None lets everybody in.
        headers: go with every answer.
        certificates: None where the HTTP side does not speak TLS.
        services: what reads key and certificate files again.
    """

    guard: Guard | None
    audit: AuditLog
    headers: Headers
    certificates: ServerCertificates | None
    services: Mapping[str, Service]


def security_of(
    config: Config, tenancy: Tenancy, clock: Clock, registry: CollectorRegistry
) -> Security:
    """Return what the settings ask for.

    Raises: ConfigInvalid where a certificate can not be used.
    """
    settings, tls = config.security, config.server.http_tls_config
    loads: dict[str, Callable[[], None]] = {}
    certificates = None
    if tls.is_on:
        certificates = ServerCertificates(tls)
        loads["certificates"] = certificates.load
    guard = None
    if settings.enabled:
        verifier = None
        if settings.jwt.jwks_file:
            verifier = JwtVerifier(settings.jwt, clock)
            loads["jwks"] = verifier.load
        tokens = TokenBook(settings.tokens, settings.tokens_file)
        if settings.tokens_file:
            loads["tokens"] = tokens.load
        guard = Guard(tenancy, tokens, verifier)
    headers: Headers = ()
    if settings.enabled or tls.is_on:
        headers = (*SAFE_HEADERS, *(TLS_HEADERS if tls.is_on else ()))
    services: dict[str, Service] = {}
    if loads:
        services["security"] = Reloader(
            loads, period_ns=settings.reload_ns, registry=registry
        )
    return Security(
        guard,
        AuditLog(settings.audit_file, clock),
        headers,
        certificates,
        services,
    )
