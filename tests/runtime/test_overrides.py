"""Overrides from files: reloaded while running, kept when a file goes bad."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from loki_py.config.limits import Limits
from loki_py.errors import ConfigInvalid
from loki_py.runtime.overrides import FileOverrides

GOOD = "overrides: {t1: {max_query_series: 7}}"
MILLISECOND_NS = 1_000_000


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


@pytest.mark.parametrize("text", ["overrides: {t1: {nope: 1}}", "a: [", "\udcff"])
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


async def until(is_so):
    async with asyncio.timeout(5):
        while not is_so():  # noqa: ASYNC110  # there is no event to wait for
            await asyncio.sleep(0.001)
