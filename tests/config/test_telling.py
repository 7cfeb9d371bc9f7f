"""No text about a wrong configuration holds a secret, wherever somebody put it."""

import pytest
from pydantic import BaseModel, SecretStr

from loki_py.config.limits import Limits, parse_overrides
from loki_py.config.loader import parse_config
from loki_py.config.mistakes import SECRET_SECTIONS
from loki_py.config.schema import Config
from loki_py.config.security_schema import TokenConfig
from loki_py.config.telling import TOLD_CHARS_MAX, told
from loki_py.config.tokens import parse_tokens
from loki_py.config.yaml_text import parse_yaml
from loki_py.errors import ConfigInvalid

SECRET = "topsecret"
TOKENS = [
    "- topsecret",
    "topsecret",
    "topsecret: {}",
    "- [topsecret]",
    "- {topsecret: {scopes: [read]}}",
    "- {name: x, token: topsecret, tenants: ['*'], scopes: [read]}",
    "- {name: x, sha256: topsecret, tenants: ['*'], scopes: [read]}",
    "- {name: x, sha256: [topsecret], tenants: ['*'], scopes: [read]}",
    "- {name: [topsecret], sha256: topsecret, tenants: topsecret, scopes: topsecret}",
    "- {name: x, sha256: x, tenants: ['*'], scopes: [topsecret]}",
]
S3 = "common: {storage: {s3: %s}}"
ETCD = "common: {ring: {kvstore: {etcd: %s}}}"
MEMCACHED = "chunk_store_config: {chunk_cache_config: {memcached_client: %s}}"
URL = "'https://root:topsecret@host:2379'"
CONFIGS = [
    *(f"security: {{tokens: [{text.removeprefix('- ')}]}}" for text in TOKENS),
    "security: {tokens: topsecret}",
    "security: topsecret",
    "security: {enabled: topsecret}",
    "security: {reload_period: topsecret}",
    "security: {jwt: topsecret}",
    "security: {jwt: {leeway: topsecret}}",
    S3 % "'s3://AKIA:topsecret@host/bucket'",
    S3 % "{secret_access_key: [topsecret]}",
    S3 % "{secret_access_key: topsecret}",
    S3 % "{bucketnames: 'topsecret,b'}",
    S3 % "{insecure: topsecret}",
    S3 % "{put_checksum: topsecret}",
    S3 % "{backoff_config: {max_retries: topsecret}}",
    S3 % "{http_config: {dial_timeout: topsecret}}",
    S3 % "{sse: {type: SSE-KMS, kms_encryption_context: topsecret}}",
    ETCD % URL,
    ETCD % f"{{endpoints: {URL}}}",
    ETCD % f"{{endpoints: [{URL}]}}",
    ETCD % f"{{{URL}: x}}",
    ETCD % "{password: {topsecret: x}}",
    ETCD % "{password: topsecret}",
    ETCD % "{password: *topsecret}",
    ETCD % "{password: !topsecret x}",
    ETCD % "{password: !!int topsecret}",
    ETCD % "{password: !!float topsecret}",
    "common: {ring: {kvstore: {prefix: topsecret}}}",
    MEMCACHED % "{addresses: topsecret}",
    MEMCACHED % "{timeout: topsecret}",
    f"server: {URL}",
    f"server: {{http_listen_port: {URL}}}",
    f"server: {{log_level: {URL}}}",
    f"server: {{graceful_shutdown_timeout: {URL}}}",
    f"ingester: {{head_size: {URL}}}",
    f"{URL}: x",
    f"limits_config: {URL}",
    f"limits_config: {{max_line_size: {URL}}}",
    f"limits_config: {{deletion_mode: {URL}}}",
    f"limits_config: {{block_ingestion_until: {URL}}}",
    f"limits_config: {{{URL}: 1}}",
]


@pytest.mark.parametrize("text", CONFIGS)
def test_configuration_is_refused_without_its_secret(text):
    with pytest.raises(ConfigInvalid) as caught:
        parse_config(text)

    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("text", TOKENS)
def test_file_of_tokens_is_refused_without_its_secret(text):
    with pytest.raises(ConfigInvalid) as caught:
        parse_tokens(text)

    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        f"[{SECRET}]",
        f"overrides: {SECRET}",
        f"overrides: {{t: {SECRET}}}",
        f"overrides: {{t: {{ingestion_rate_mb: {URL}}}}}",
        f"overrides: {{t: {{otlp_config: {SECRET}}}}}",
    ],
)
def test_overrides_are_refused_without_a_secret(text):
    """Such as those of another file that was named by mistake."""
    with pytest.raises(ValueError, match="not a") as caught:
        parse_overrides(text, Limits())

    assert SECRET not in str(caught.value)


def test_assignment_without_a_key_is_not_cited():
    with pytest.raises(ConfigInvalid) as caught:
        parse_config("", assignments=["auth_enabled=true", SECRET])

    assert str(caught.value) == "assignment 2 is not key.path=value"


def test_unknown_key_of_a_token_is_told_by_those_that_are_known():
    with pytest.raises(ConfigInvalid) as caught:
        parse_tokens(f"[{{name: x, token: {SECRET}}}]")

    assert str(caught.value) == "0: a key is none of name, sha256, tenants, scopes"


def test_values_that_are_no_secrets_are_told():
    with pytest.raises(ConfigInvalid) as caught:
        parse_config(
            "server: {http_listen_port: abc, log_level: loud}\nauth_enabled: 7\n"
            "no_auth_tenant: 5\ningester: {disk_ceiling_ratio: 2}"
        )

    assert str(caught.value).replace(", unable", "; unable").split("; ") == [
        "auth_enabled: Input should be a valid boolean",
        "unable to interpret input: 7",
        "no_auth_tenant: Input should be a valid string: int",
        "server.http_listen_port: Input should be a valid integer",
        "unable to parse string as an integer: 'abc'",
        "server.log_level: Input should be 'debug', 'info', 'warn' or 'error': 'loud'",
        "ingester.disk_ceiling_ratio: Input should be less than or equal to 1: 2",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("5x", "'5x'"),
        pytest.param("x" * (TOLD_CHARS_MAX + 1), "str", id="long"),
        (1.5, "1.5"),
        pytest.param(16**9000, "int", id="large"),
        (["x"], "list"),
        ("http://u:p@h", "'http://<secret>@h'"),
    ],
)
def test_what_is_told_is_short(value, text):
    assert told(value) == text


def test_every_secret_is_below_a_section_of_secrets():
    secrets = [*secret_keys(Config, ""), *secret_keys(TokenConfig, "security.tokens.")]

    assert len(secrets) == 4
    for key in secrets:
        assert key.startswith(tuple(f"{section}." for section in SECRET_SECTIONS))


def secret_keys(model, prefix):
    """Yield the keys that are not dumped as they are."""
    for name, field in model.model_fields.items():
        key = prefix + (field.alias or name)
        if field.annotation is SecretStr or name == "sha256":
            yield key
        elif isinstance(field.annotation, type) and issubclass(
            field.annotation, BaseModel
        ):
            yield from secret_keys(field.annotation, f"{key}.")


@pytest.mark.parametrize(
    "text",
    [
        '!!bool "z"',
        '!!int ""',
        "!!int z",
        "!!float z",
        "!!timestamp z",
        "2026-13-01",
        pytest.param("9" * 5000, id="large"),
    ],
)
def test_scalar_that_its_type_does_not_take_has_a_place(text):
    with pytest.raises(ValueError, match="not a value of its type") as caught:
        parse_yaml(f"a: {text}")

    assert str(caught.value).startswith("line 1, column 4: ")


def test_what_is_nested_too_deeply_is_refused():
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_yaml("[" * 500)
