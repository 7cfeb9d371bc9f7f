"""`security`: who may do what; and TLS of the HTTP side."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, PlainSerializer, model_validator

from loki_py.config.grpc_schema import GrpcServerTlsConfig
from loki_py.config.sections import DurationNs, PositiveNs, Section
from loki_py.config.units import NS_PER_S

ANY_TENANT = "*"

_SHA256 = re.compile(r"[0-9a-f]{64}")

ScopeName = Literal["read", "write", "admin"]
Hidden = Annotated[str, PlainSerializer(lambda value: "<secret>" if value else "")]


class HttpTlsConfig(GrpcServerTlsConfig):
    """`server.http_tls_config`: our certificate, and whether clients need one.

    The files are read again while running; connections made later see the new
    ones.
    """

    @property
    def is_on(self) -> bool:
        """Whether the HTTP side speaks TLS."""
        return bool(self.cert_file)


class TokenConfig(Section):
    """One of `security.tokens`: a secret that a client shows, and what it may.

    Attributes:
        name: who that is, in the audit log.
        sha256: of the secret, 64 lower-case hex digits. A fast hash is enough
            because secrets are 256 random bits, made by `loki-py token`.
        tenants: whose logs; `*` is every tenant, and the process itself.
    """

    name: str = Field(min_length=1)
    sha256: Hidden
    tenants: tuple[str, ...] = Field(min_length=1)
    scopes: tuple[ScopeName, ...] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _check_keys(cls, given: object) -> object:
        """Refuse unknown keys without a word of them: a secret may be the key."""
        known = cls.model_fields
        if isinstance(given, Mapping) and not given.keys() <= known.keys():
            raise ValueError(f"a key is none of {', '.join(known)}")
        return given

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not _SHA256.fullmatch(self.sha256):
            raise ValueError("sha256 is not 64 lower-case hex digits")
        return self


class JwtConfig(Section):
    """`security.jwt`: tokens that an identity provider signs.

    Attributes:
        jwks_file: the provider's public keys, read again while running; empty
            means that no such token is taken.
        issuer: what `iss` must be; empty: anything.
        audience: what `aud` must hold.
        tenants_claim: the claim with the tenants, a list or one text.
        scopes_claim: the claim with the scopes, a list or a text with spaces.
        leeway_ns: how far the provider's clock may be off.
    """

    jwks_file: str = ""
    issuer: str = ""
    audience: str = ""
    tenants_claim: str = "tenants"
    scopes_claim: str = "scope"
    leeway_ns: DurationNs = Field(30 * NS_PER_S, alias="leeway")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.jwks_file and not self.audience:
            raise ValueError("jwks_file needs an audience")
        return self


class SecurityConfig(Section):
    """`security`: off unless `enabled`; then requests are asked who sends them.

    All but `/ready` and the description of the API.

    Attributes:
        tokens_file: more tokens, a YAML list of the same; read again while running.
        reload_ns: how often key and certificate files are looked at.
        audit_file: a JSON line for each admin call; empty: our own log.
    """

    enabled: bool = False
    tokens: tuple[TokenConfig, ...] = ()
    tokens_file: str = ""
    jwt: JwtConfig = JwtConfig()
    reload_ns: PositiveNs = Field(10 * NS_PER_S, alias="reload_period")
    audit_file: str = ""

    @model_validator(mode="after")
    def _check(self) -> Self:
        has_any = bool(self.tokens or self.tokens_file or self.jwt.jwks_file)
        if self.enabled and not has_any:
            raise ValueError(
                "enabled, but neither tokens, tokens_file nor jwt.jwks_file are set"
            )
        if has_any and not self.enabled:
            raise ValueError(
                "tokens, tokens_file or jwt.jwks_file are set, but enabled is not true"
            )
        check_alone(self.tokens)
        return self


def check_alone(tokens: Sequence[TokenConfig]) -> None:
    """Check that every token has a name and a secret of its own.

    Raises: ValueError.
    """
    names = [token.name for token in tokens]
    hashes = [token.sha256 for token in tokens]
    for what, values in (("name", names), ("sha256", hashes)):
        if len(set(values)) < len(values):
            raise ValueError(f"two tokens have the same {what}")
