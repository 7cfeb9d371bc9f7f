"""Tokens signed by an identity provider, checked with its public keys."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loki_py.api.access import Principal
from loki_py.config.security_schema import JwtConfig
from loki_py.config.units import NS_PER_S
from loki_py.errors import AccessDenied, ConfigInvalid
from loki_py.runtime.clock import Clock

if TYPE_CHECKING:
    import jwt

ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)
"""Signatures with a public key only: a shared secret is no one's proof."""

KNOWN_MAX = 10_000
"""Checked tokens remembered until they run out; a check costs 0.1 ms."""

_SCOPES = frozenset({"read", "write", "admin"})


@dataclass(slots=True)
class JwtVerifier:
    """Checks signature, issuer, audience and times of tokens.

    `load` is called before `verify`, and again when the key file may differ.
    """

    config: JwtConfig
    clock: Clock
    _text: str = ""
    _keys: "Mapping[str | None, jwt.PyJWK]" = field(default_factory=dict)
    _known: dict[bytes, tuple[Principal, int]] = field(default_factory=dict)

    def load(self) -> None:
        """Read the key file; tokens checked with other keys are forgotten.

        Raises: ConfigInvalid; the keys stay as they were.
        """
        import jwt  # noqa: PLC0415  # only who uses such tokens pays for it

        path = Path(self.config.jwks_file)
        try:
            text = path.read_text(encoding="utf-8")
            if text == self._text:
                return
            if not isinstance(document := json.loads(text), dict):
                raise ConfigInvalid(f"{path}: not a JSON object")
            found = jwt.PyJWKSet.from_dict(document).keys
            keys = {key.key_id: key for key in found}
        except (OSError, ValueError, jwt.PyJWTError) as error:
            raise ConfigInvalid(f"{path}: {error}") from None
        self._text, self._keys = text, keys
        self._known.clear()

    def verify(self, token: str) -> Principal:
        """Return whom the provider says the token is for.

        Raises: AccessDenied.
        """
        digest = sha256(token.encode()).digest()
        known = self._known.get(digest)
        if known is not None and self.clock.now_ns() < known[1]:
            return known[0]
        self._known.pop(digest, None)
        claims = self._claims_of(token)
        principal = self._principal_of(claims)
        if len(self._known) >= KNOWN_MAX:
            self._known.pop(next(iter(self._known)))
        self._known[digest] = principal, int(claims["exp"]) * NS_PER_S
        return principal

    def _claims_of(self, token: str) -> Mapping[str, Any]:
        import jwt  # noqa: PLC0415  # see `load`

        try:
            key = self._key_of(jwt.get_unverified_header(token).get("kid"))
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key,
                algorithms=list(ALGORITHMS),
                audience=self.config.audience,
                issuer=self.config.issuer or None,
                leeway=self.config.leeway_ns / NS_PER_S,
                options={"require": ["exp", "sub"]},
            )
        except jwt.PyJWTError as error:
            raise AccessDenied(f"token refused: {error}", status=401) from None
        return claims

    def _key_of(self, key_id: str | None) -> "jwt.PyJWK":
        if key_id is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        key = self._keys.get(key_id)
        if key is None:
            raise AccessDenied("token refused: its key is unknown", status=401)
        return key

    def _principal_of(self, claims: Mapping[str, Any]) -> Principal:
        tenants = _texts_of(claims.get(self.config.tenants_claim), split=False)
        scopes = _texts_of(claims.get(self.config.scopes_claim), split=True)
        return Principal(str(claims["sub"]), tenants, scopes & _SCOPES)


def _texts_of(claim: object, *, split: bool) -> frozenset[str]:
    if isinstance(claim, str):
        return frozenset(claim.split() if split else [claim] if claim else [])
    if isinstance(claim, list):
        return frozenset(each for each in claim if isinstance(each, str))
    return frozenset()
