"""Pushes of tenants whose limits ask for a latency."""

import asyncio

import pytest

from loki_py.api.late_pushes import LatePushes
from loki_py.config.limits import Limits, StaticOverrides
from loki_py.errors import ValidationFailed

SLOW = Limits.from_mapping({"simulated_push_latency": "30d"})
OVERRIDES = StaticOverrides(tenants={"slow": SLOW})


class Pushes:
    """Counts pushes; raises what it is told to."""

    def __init__(self, error=None):
        self.count = 0
        self.error = error

    async def push(self, _tenant, _batch, *, push_format):
        assert push_format == "json"
        self.count += 1
        if self.error is not None:
            raise self.error


async def test_a_tenant_without_latency_does_not_wait():
    pushes = Pushes()

    await LatePushes(pushes, OVERRIDES).push("a", None, push_format="json")

    assert pushes.count == 1


async def test_what_is_stored_at_once_is_answered_late():
    pushes = Pushes()
    pushing = LatePushes(pushes, OVERRIDES).push("slow", None, push_format="json")
    waiting = asyncio.create_task(pushing)
    for _ in range(3):
        await asyncio.sleep(0)

    assert pushes.count == 1
    assert not waiting.done()

    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_refusal_does_not_wait():
    pushes = Pushes(ValidationFailed("no"))

    with pytest.raises(ValidationFailed):
        await LatePushes(pushes, OVERRIDES).push("slow", None, push_format="json")
