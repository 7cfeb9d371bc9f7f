"""Limits: Loki's names and units, strictly read."""

import pytest

from loki_py.config import units
from loki_py.config.limits import Limits, StaticOverrides, parse_overrides

HOUR_NS = 3_600_000_000_000


@pytest.mark.parametrize(
    ("text", "duration_ns"),
    [
        ("1w", 7 * 24 * HOUR_NS),
        ("30d1h", (30 * 24 + 1) * HOUR_NS),
        ("1.5h", 3 * HOUR_NS // 2),
        ("250ms", 250_000_000),
        ("0", 0),
        (0, 0),
    ],
)
def test_durations_are_read_exactly(text, duration_ns):
    assert units.parse_duration_ns(text) == duration_ns
    assert units.parse_duration_ns(units.print_duration(duration_ns)) == duration_ns


@pytest.mark.parametrize("text", ["", "5", 5, "1x", "h", "-1h", None, True])
def test_a_text_that_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match="not a duration"):
        units.parse_duration_ns(text)


@pytest.mark.parametrize(
    ("text", "size"), [("256KB", 262_144), ("4mb", 4 << 20), ("7", 7), (9, 9)]
)
def test_byte_sizes_are_powers_of_1024(text, size):
    assert units.parse_bytes(text) == size
    assert units.parse_bytes(units.print_bytes(size)) == size


@pytest.mark.parametrize("text", ["", "1.5MB", "-1", "KB", True, None, -1, "1XB"])
def test_a_text_that_is_no_byte_size_is_refused(text):
    with pytest.raises(ValueError, match="not a byte size"):
        units.parse_bytes(text)


def test_defaults_are_the_references():
    limits = Limits()

    assert limits.ingestion_rate_bytes == 4 << 20
    assert limits.line_bytes_max == 256 << 10
    assert limits.query_length_ns_max == (30 * 24 + 1) * HOUR_NS
    assert limits.discover_service_name[0] == "service"
    assert len(limits.discover_service_name) == 13
    assert len(limits.log_level_fields) == 14


def test_limits_print_to_a_mapping_that_reads_back():
    limits = Limits.from_mapping(
        {
            "max_line_size": "1MB",
            "block_ingestion_until": "2040-01-01T00:00:00Z",
            "policy_stream_mapping": {"p": [{"selector": "{a=`b`}", "priority": 1}]},
            "retention_stream": [{"selector": "{a=`b`}", "period": "24h"}],
        }
    )

    printed = limits.to_mapping()

    assert Limits.from_mapping(printed).to_mapping() == printed
    assert printed["block_ingestion_until"] == "2040-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"max_lines": 1}, "unknown limit 'max_lines'"),
        ({"max_line_size": "big"}, "max_line_size: not a byte size: 'big'"),
        ({"ingestion_rate_mb": float("inf")}, "not a finite number of MB"),
        ({"ingestion_rate_mb": float("nan")}, "not a finite number of MB"),
        ({"ingestion_rate_mb": 1e308}, "not a finite number of MB"),
        ({"ingestion_rate_mb": 10**400}, "not a finite number of MB"),
        ({"ingestion_rate_mb": -1}, "not a finite number of MB"),
        ({"ingestion_rate_mb": True}, "not a number of MB: True"),
        ({"reject_old_samples": "yes"}, "reject_old_samples: not true or false"),
        ({"deletion_mode": "x"}, "deletion_mode: not one of disabled"),
        ({"retention_stream": [{"p": 1}]}, "retention_stream: unknown field 'p'"),
    ],
)
def test_a_wrong_limit_is_named(mapping, message):
    with pytest.raises(ValueError, match=message):
        Limits.from_mapping(mapping)


def test_a_tenant_starts_from_the_defaults():
    defaults = Limits.from_mapping({"max_line_size": "1KB"})

    tenants = parse_overrides("overrides: {a: {ingestion_rate_mb: 0.5}}", defaults)

    limits = StaticOverrides(defaults, tenants).limits_of("a")
    assert limits.ingestion_rate_bytes == 1 << 19
    assert limits.line_bytes_max == 1024
    assert StaticOverrides(defaults, tenants).limits_of("b") is defaults


def test_an_empty_overrides_file_overrides_nothing():
    assert parse_overrides("", Limits()) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "overrides: {a: {b: 1}}",
            "overrides.a: unknown limit 'b'; docs/configuration.md names all",
        ),
        ("override: {}", "unknown section 'override'"),
        ("a: [", "not YAML"),
        pytest.param("[" * 500, "it is nested too deeply", id="nested deeply"),
        ('!!bool "z"', "not YAML: line 1, column 1: not a value of its type"),
        ("[1]", "not a mapping"),
    ],
)
def test_a_wrong_overrides_file_is_refused_with_its_place(text, message):
    with pytest.raises(ValueError, match=message):
        parse_overrides(text, Limits())
