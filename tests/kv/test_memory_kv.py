"""The store in memory can be out of reach, as a real one can."""

import pytest

from loki_py.kv import memory
from loki_py.kv.abc import KvUnavailable
from loki_py.kv.memory import MemoryKv
from loki_py.runtime.clock import ManualClock


async def test_store_out_of_reach_answers_nothing_and_forgets_nothing():
    kv = MemoryKv(ManualClock())
    await kv.write({"/a": b"1"})
    kv.is_reachable = False

    with pytest.raises(KvUnavailable):
        await kv.read("/a")
    with pytest.raises(KvUnavailable):
        await kv.write({"/a": b"2"})
    kv.is_reachable = True
    assert (await kv.read("/a")).entries["/a"].value == b"1"


async def test_watch_ends_when_the_store_goes_out_of_reach():
    kv = MemoryKv(ManualClock())
    watch = kv.watch("/a", after_revision=1)
    await anext(watch)
    kv.is_reachable = False

    with pytest.raises(KvUnavailable):
        await anext(watch)


async def test_history_is_bounded(monkeypatch):
    monkeypatch.setattr(memory, "HISTORY_MAX", 100)
    kv = MemoryKv(ManualClock())
    for _ in range(101):
        await kv.write({"/a": b""})

    assert len(kv._history) <= 100
