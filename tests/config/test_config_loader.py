"""Configuration text: defaults, keys, units, environment, assignments, dumps."""

import pytest
import yaml

from loki_py.config.dump import print_config
from loki_py.config.loader import known_keys, parse_config
from loki_py.config.schema import Config
from loki_py.errors import ConfigInvalid

HOUR_NS = 3_600_000_000_000


def test_empty_text_means_every_default():
    config = parse_config("")

    assert config.model_dump() == Config().model_dump()
    assert config.server.http_listen_port == 3100
    assert config.server.http_listen_address == "127.0.0.1"
    assert not config.auth_enabled
    assert config.ingester.wal.sync == "always"


def test_loki_keys_become_values_with_units():
    config = parse_config(
        "ingester: {chunk_idle_period: 1h, head_size: 64MB, wal: {dir: /w}}\n"
        "limits_config: {max_line_size: 1MB}\n"
    )

    assert config.ingester.chunk_idle_ns == HOUR_NS
    assert config.ingester.head_bytes_max == 64 << 20
    assert config.wal_directory == "/w"
    assert config.limits.line_bytes_max == 1 << 20


def test_directories_follow_the_path_prefix_unless_named():
    config = parse_config("common: {path_prefix: /srv/loki/}")

    assert config.wal_directory == "/srv/loki/wal"
    assert config.block_directory == "/srv/loki/blocks"
    assert config.chunks_directory == "/srv/loki/chunks"


def test_empty_section_means_its_defaults():
    assert parse_config("server:\n").server == Config().server


@pytest.mark.parametrize(
    ("text", "unknown", "nearest"),
    [
        ("ingester: {wal: {snc: x}}", "ingester.wal.snc", "ingester.wal.sync"),
        ("auth_enabld: true", "auth_enabld", "auth_enabled"),
        (
            "limits_config: {max_line: 3}",
            "limits_config.max_line",
            "limits_config.max_line_size",
        ),
        ("head_size: 3", "head_size", "ingester.head_size"),
    ],
)
def test_unknown_key_names_its_nearest_neighbour(text, unknown, nearest):
    with pytest.raises(ConfigInvalid) as caught:
        parse_config(text)

    assert str(caught.value) == (
        f"unknown key {unknown!r}; the nearest known key is {nearest!r}"
    )


def test_every_unknown_key_is_told_at_once():
    with pytest.raises(ConfigInvalid) as caught:
        parse_config("schema_config: {}\nfrontend: {encoding: protobuf}")

    assert str(caught.value) == (
        "unknown key 'schema_config'; docs/configuration.md names all;"
        " unknown key 'frontend.encoding'; docs/configuration.md names all"
    )


def test_secret_that_is_no_text_is_not_told():
    etcd = "common.ring.kvstore.etcd"

    with pytest.raises(ConfigInvalid) as caught:
        parse_config("", assignments=[f"{etcd}.password=12345"])

    assert f"{etcd}.password" in str(caught.value)
    assert "12345" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("server: {http_listen_port: 70000}", "or equal to 65535: 70000"),
        ("ingester: {head_size: big}", "ingester.head_size: not a byte size: 'big'"),
        ("ingester: {max_chunk_age: -5}", "ingester.max_chunk_age: not a duration"),
        ("ingester: {wal: {sync: maybe}}", "ingester.wal.sync: "),
        ("limits_config: {max_line_size: x}", "limits_config: max_line_size: "),
        ("[1, 2]", "configuration is not a mapping"),
        ("a: [", "configuration is not YAML: line 1, column 5: "),
        pytest.param(
            "[" * 500,
            "configuration is not YAML: it is nested too deeply",
            id="nested deeply",
        ),
        ("&a {server: *a}", "configuration: a mapping is part of itself"),
        (
            "limits_config: {ingestion_rate_mb: .inf}",
            "limits_config: ingestion_rate_mb: not a finite number of MB",
        ),
        ("server: 5", "server: not a section with keys of its own: int"),
        ("limits_config: 5", "limits_config: not a section"),
        (
            "server: {http_server_read_timeout: 0}",
            "server.http_server_read_timeout: must not be 0",
        ),
        ("runtime_config: {period: 0s}", "runtime_config.period: must not be 0"),
        (
            "server: {http_server_idle_timeout: 0}",
            "server.http_server_idle_timeout: must not be 0",
        ),
        ("querier: {tail_max_duration: 0s}", "tail_max_duration: must not be 0"),
        ("ingester: {flush_check_period: 0}", "flush_check_period: must not be 0"),
    ],
)
def test_wrong_value_is_named(text, message):
    with pytest.raises(ConfigInvalid) as caught:
        parse_config(text)

    assert message in str(caught.value)


def test_assignments_win_over_the_text():
    config = parse_config(
        "auth_enabled: false",
        assignments=["auth_enabled=true", "limits_config.max_query_series=7"],
    )

    assert config.auth_enabled
    assert config.limits.query_series_max == 7


@pytest.mark.parametrize("wrong", ["auth_enabled", "=true", "auth_enabled.x.y=1"])
def test_wrong_assignment_is_refused(wrong):
    with pytest.raises(ConfigInvalid):
        parse_config("auth_enabled: false", assignments=[wrong])


@pytest.mark.parametrize(
    ("text", "port"),
    [("${PORT}", 99), ("${PORT:5}", 99), ("${GONE:5}", 5), ("${GONE:-5}", 5)],
)
def test_environment_is_expanded(text, port):
    config = parse_config(
        f"server: {{http_listen_port: {text}}}", environment={"PORT": "99"}
    )

    assert config.server.http_listen_port == port


def test_environment_is_left_alone_unless_asked_for():
    config = parse_config("no_auth_tenant: ${HOME}")

    assert config.no_auth_tenant == "${HOME}"


def test_doubled_dollar_stands_for_itself():
    config = parse_config("no_auth_tenant: $${HOME}", environment={"HOME": "x"})

    assert config.no_auth_tenant == "${HOME}"


def test_dump_is_read_back_to_the_same_settings():
    config = parse_config(
        "ingester: {head_size: 3MB}", assignments=["querier.max_concurrent=9"]
    )

    again = parse_config(print_config(config))

    assert again.model_dump() == config.model_dump()


def test_diff_shows_only_what_differs():
    config = parse_config("ingester: {wal: {sync: never}}")

    shown = yaml.safe_load(print_config(config, mode="diff"))

    assert shown == {"ingester": {"wal": {"sync": "never"}}}


def test_defaults_ignore_what_is_configured():
    config = parse_config("auth_enabled: true")

    assert yaml.safe_load(print_config(config, mode="defaults")) == yaml.safe_load(
        print_config(Config())
    )


def test_every_known_key_is_in_the_dump():
    shown = yaml.safe_load(print_config(Config()))

    def is_shown(key):
        value = shown
        for part in key.split("."):
            if part not in value:
                return False
            value = value[part]
        return True

    assert [key for key in known_keys() if not is_shown(key)] == []
