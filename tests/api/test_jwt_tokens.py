"""Signed tokens: which are taken, which are not, and when keys change."""

import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from loki_py.api.access import Access, Guard
from loki_py.api.jwt_tokens import JwtVerifier
from loki_py.api.tenants import Tenancy
from loki_py.api.token_book import TokenBook
from loki_py.config.security_schema import JwtConfig
from loki_py.errors import AccessDenied, ConfigInvalid
from loki_py.runtime.clock import SystemClock

FAR_S = 4_000_000_000
CLAIMS = {
    "sub": "someone",
    "aud": "logs",
    "iss": "us",
    "exp": FAR_S,
    "tenants": ["a", "b"],
    "scope": "read openid",
}


class Provider:
    """Signs tokens, and publishes its key."""

    def __init__(self, folder, key_id="k1"):
        self.file = folder / "jwks.json"
        self.turn(key_id)

    def turn(self, key_id):
        """Have a new key."""
        self.key_id = key_id
        self.key = ec.generate_private_key(ec.SECP256R1())
        public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self.key.public_key()))
        jwk = {**public, "kid": key_id, "alg": "ES256", "use": "sig"}
        self.file.write_text(json.dumps({"keys": [jwk]}))

    def token(self, **changes):
        claims = {k: v for k, v in (CLAIMS | changes).items() if v is not None}
        headers = {"kid": self.key_id}
        return jwt.encode(claims, self.key, algorithm="ES256", headers=headers)

    def verifier(self):
        config = JwtConfig(jwks_file=str(self.file), audience="logs", issuer="us")
        verifier = JwtVerifier(config, SystemClock())
        verifier.load()
        return verifier


@pytest.fixture
def provider(tmp_path):
    return Provider(tmp_path)


def test_signed_token_says_who_and_what(provider):
    principal = provider.verifier().verify(provider.token())

    assert principal.name == "someone"
    assert principal.tenants == {"a", "b"}
    assert principal.scopes == {"read"}


def test_guard_takes_signed_tokens_beside_its_own(provider):
    guard = Guard(Tenancy(enabled=True), TokenBook(()), provider.verifier())
    header = f"Bearer {provider.token(tenants='team')}"

    principal, tenant = guard.admit(header, "", Access.READ, has_tenant=True)

    assert (principal.name, tenant) == ("someone", "team")
    with pytest.raises(AccessDenied, match="someone may not write"):
        guard.admit(header, "", Access.WRITE, has_tenant=True)


def test_one_tenant_may_be_a_text(provider):
    principal = provider.verifier().verify(provider.token(tenants="team a"))

    assert principal.tenants == {"team a"}


def test_token_without_claims_of_ours_may_nothing(provider):
    token = provider.token(tenants=None, scope=None)

    principal = provider.verifier().verify(token)

    assert (principal.tenants, principal.scopes) == (frozenset(), frozenset())


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": 1},
        {"exp": None},
        {"sub": None},
        {"aud": "others"},
        {"aud": None},
        {"iss": "them"},
        {"nbf": FAR_S - 1},
    ],
)
def test_wrong_claim_is_refused(provider, changes):
    with pytest.raises(AccessDenied, match="token refused") as caught:
        provider.verifier().verify(provider.token(**changes))

    assert caught.value.status == 401


def test_token_of_another_key_is_refused(provider, tmp_path):
    (tmp_path / "other").mkdir()
    other = Provider(tmp_path / "other")

    with pytest.raises(AccessDenied, match="Signature verification failed"):
        provider.verifier().verify(other.token())


def test_unsigned_token_is_refused(provider):
    token = jwt.encode(CLAIMS, None, algorithm="none", headers={"kid": "k1"})

    with pytest.raises(AccessDenied, match="token refused"):
        provider.verifier().verify(token)


def test_shared_secret_signs_nothing(provider):
    token = jwt.encode(CLAIMS, "s" * 32, algorithm="HS256", headers={"kid": "k1"})

    with pytest.raises(AccessDenied, match="token refused"):
        provider.verifier().verify(token)


def test_new_keys_replace_old_ones_and_what_they_proved(provider):
    verifier = provider.verifier()
    old = provider.token()
    verifier.verify(old)

    provider.turn("k2")
    verifier.load()

    assert verifier.verify(provider.token()).name == "someone"
    with pytest.raises(AccessDenied, match="its key is unknown"):
        verifier.verify(old)


@pytest.mark.parametrize("text", ["", "{", '{"keys": []}', "[]"])
def test_broken_key_file_changes_nothing(provider, text):
    verifier = provider.verifier()
    provider.file.write_text(text)

    with pytest.raises(ConfigInvalid, match=r"jwks\.json"):
        verifier.load()

    assert verifier.verify(provider.token()).name == "someone"
