"""Overrides from files: reloaded while running, kept when a file goes bad."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from loki_py.config.limits import Limits
from loki_py.errors import ConfigInvalid
from loki_py.runtime.overrides import FileOverrides

GOOD = "overrides: {t1: {max_query_series: 7}}"
MILLISECOND_NS = 1_000_000
HOUR_NS = 3_600 * 10**9


def overrides_of(*paths, period_ns=MILLISECOND_NS):
    registry = CollectorRegistry()
    overrides = FileOverrides(paths, Limits(), period_ns=period_ns, registry=registry)
    return overrides, lambda: registry.get_sample_value(
        "loki_runtime_config_last_reload_successful"
    )


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "overrides.yaml"
    path.write_text(GOOD)
    return path


def test_tenant_has_its_limits_and_others_the_defaults(path):
    overrides, succeeded = overrides_of(path)

    overrides.load()

    assert overrides.limits_of("t1").query_series_max == 7
    assert overrides.limits_of("t2") is overrides.defaults
    assert succeeded() == 1


def test_unchanged_file_keeps_the_same_limits(path):
    overrides, _ = overrides_of(path)
    overrides.load()
    before = overrides.limits_of("t1")

    overrides.load()

    assert overrides.limits_of("t1") is before


@pytest.mark.parametrize(
    "text",
    [
        "overrides: {t1: {nope: 1}}",
        "a: [",
        "\udcff",
        "overrides: {t1: {ingestion_rate_mb: .inf}}",
        '!!bool "z"',
        '!!int ""',
        pytest.param("[" * 500, id="nested deeply"),
    ],
)
def test_bad_file_keeps_the_last_good_limits(path, text):
    overrides, succeeded = overrides_of(path)
    overrides.load()
    path.write_bytes(text.encode("utf-8", "surrogateescape"))

    with pytest.raises(ConfigInvalid, match=r"overrides\.yaml"):
        overrides.load()

    assert overrides.limits_of("t1").query_series_max == 7
    assert succeeded() == 0


def test_missing_file_is_named(tmp_path):
    overrides, _ = overrides_of(tmp_path / "gone.yaml")

    with pytest.raises(ConfigInvalid, match=r"gone\.yaml"):
        overrides.load()


def test_later_file_wins(path, tmp_path):
    second = tmp_path / "second.yaml"
    second.write_text("overrides: {t1: {max_query_series: 9}}")
    overrides, _ = overrides_of(path, second)

    overrides.load()

    assert overrides.limits_of("t1").query_series_max == 9


async def test_changed_file_is_in_force_after_a_period(path):
    overrides, succeeded = overrides_of(path)
    await overrides.start()
    path.write_text("overrides: {t1: {nope: 1}}")
    await until(lambda: succeeded() == 0)
    path.write_text("overrides: {t1: {max_query_series: 8}}")
    await until(lambda: succeeded() == 1)
    await overrides.stop()

    assert overrides.limits_of("t1").query_series_max == 8


class FailingFile:
    """A file of which reading fails as nobody foresaw, until it is mended."""

    failure = None

    def read_text(self, encoding):
        assert encoding == "utf-8"
        if self.failure is not None:
            raise self.failure
        return GOOD


async def test_any_failure_is_told_and_outlived():
    file = FailingFile()
    overrides, succeeded = overrides_of(file)
    await overrides.start()
    with capture_logs() as events:
        file.failure = OverflowError("topsecret")
        await until(lambda: succeeded() == 0)
        file.failure = None
        await until(lambda: succeeded() == 1)
    await overrides.stop()

    assert events[0]["error"].startswith("OverflowError at ")
    assert "topsecret" not in str(events)


async def until(is_so):
    async with asyncio.timeout(5):
        while not is_so():  # noqa: ASYNC110  # there is no event to wait for
            await asyncio.sleep(0.001)


async def test_limits_that_do_less_than_in_loki_are_told_of(path):
    """Once each, however many tenants have them, and not those of Loki's effect."""
    path.write_text(
        "overrides:\n"
        "  t1: {cardinality_limit: 9, retention_period: 1d, max_query_series: 7}\n"
        "  t2: {cardinality_limit: 8, max_query_parallelism: 0}\n"
    )
    defaults = Limits.from_mapping({"max_query_parallelism": 16})
    overrides = FileOverrides(
        [path], defaults, period_ns=HOUR_NS, registry=CollectorRegistry()
    )

    with capture_logs() as events:
        await overrides.start()
        overrides.load()
        await overrides.stop()

    told = [(e["key"], e["why"], e.get("tenants")) for e in events]
    assert told == [
        ("limits_config.max_query_parallelism", "only 0 has an effect here", None),
        ("overrides.t1.cardinality_limit", "it has no effect here", 2),
        ("overrides.t1.retention_period", "nothing is deleted yet", 1),
    ]
    assert {e["log_level"] for e in events} == {"warning"}
