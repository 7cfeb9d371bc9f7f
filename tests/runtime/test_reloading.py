"""Files that are looked at again: no failure ends the looking."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from loki_py.errors import ConfigInvalid
from loki_py.runtime.reloading import Reloader

MILLISECOND_NS = 1_000_000


class Loads:
    """What is loaded, and fails where a test says so."""

    def __init__(self):
        self.failure = None
        self.wakes = asyncio.Event()

    def __call__(self):
        self.wakes.set()
        if self.failure is not None:
            raise self.failure

    async def again(self):
        """Wait for two more loads: what the first of them found is then told."""
        for _ in range(2):
            self.wakes.clear()
            async with asyncio.timeout(5):
                await self.wakes.wait()


def reloader_of(load):
    registry = CollectorRegistry()
    reloader = Reloader({"keys": load}, period_ns=MILLISECOND_NS, registry=registry)
    return reloader, lambda: registry.get_sample_value(
        "loki_py_reload_successful", {"what": "keys"}
    )


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (ConfigInvalid("keys.json: not JSON"), "keys.json: not JSON"),
        (KeyError("topsecret"), "KeyError at "),
        (RecursionError("topsecret"), "RecursionError at "),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_a_failure_is_told_and_the_next_good_file_is_read(failure, told):
    load = Loads()
    reloader, succeeded = reloader_of(load)
    await reloader.start()
    load.failure = failure
    with capture_logs() as events:
        await load.again()
    assert succeeded() == 0
    load.failure = None
    await load.again()
    assert succeeded() == 1
    await reloader.stop()

    assert events[0]["what"] == "keys"
    assert events[0]["error"].startswith(told)
    assert "topsecret" not in str(events)


async def test_a_failure_at_the_start_ends_it():
    load = Loads()
    load.failure = OverflowError("too large")
    reloader, succeeded = reloader_of(load)

    with pytest.raises(OverflowError):
        await reloader.start()

    assert succeeded() == 0
