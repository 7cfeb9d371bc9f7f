"""Pushes that wait together: one batch for the ingester, one answer for each."""

import asyncio

import numpy as np
import pyarrow as pa
import pytest
from prometheus_client import CollectorRegistry

from loki_py.config.limits import Limits, StaticOverrides
from loki_py.distributor import groups
from loki_py.distributor.metrics import DistributorMetrics
from loki_py.distributor.service import Distributor
from loki_py.errors import DurabilityFailed, LimitExceeded, ValidationFailed
from loki_py.model.batch import EntryBatch
from loki_py.model.labels import LabelSet
from loki_py.runtime.clock import ManualClock
from loki_py.transport.abc import Discard, PushAnswer

NOW_NS = 1_795_210_753_000_000_000  # 2026-11-20T21:39:13Z
A, B = LabelSet.of({"service_name": "a"}), LabelSet.of({"service_name": "b"})


class SlowIngester:
    """Answers a push when it is told to."""

    def __init__(self):
        self.waiting = []
        self.came = asyncio.Condition()

    async def push(self, tenant, batch):
        answered = asyncio.get_running_loop().create_future()
        async with self.came:
            self.waiting.append((tenant, batch, answered))
            self.came.notify_all()
        return await answered

    def batches(self):
        return [batch for _, batch, _ in self.waiting]

    def answer(self, number, answer=None):
        self.waiting[number][2].set_result(answer or PushAnswer())

    def fail(self, number, error):
        self.waiting[number][2].set_exception(error)


class Store:
    """A distributor over an ingester whose answers are given by hand."""

    def __init__(self, **limits):
        self.ingester = SlowIngester()
        self.registry = CollectorRegistry()
        self.distributor = Distributor(
            self.ingester,
            overrides=StaticOverrides(Limits.from_mapping(limits)),
            metrics=DistributorMetrics(self.registry),
            clock=ManualClock(NOW_NS),
        )

    def push(self, *rows, tenant="t", **metadata):
        """Start a push of (labels, line) rows; return its task."""
        return asyncio.ensure_future(
            self.distributor.push(tenant, batch_of(*rows, **metadata))
        )

    async def sent(self, count):
        """Return once the ingester was given so many batches."""
        async with asyncio.timeout(10), self.ingester.came:
            await self.ingester.came.wait_for(
                lambda: len(self.ingester.waiting) >= count
            )

    async def occupied(self):
        """Return the task of a push that keeps the ingester busy."""
        task = self.push((A, "1st"))
        await self.sent(1)
        return task

    def received(self):
        return self.registry.get_sample_value(
            "loki_distributor_lines_received_total",
            {"tenant": "t", "retention_hours": "0", "format": "loki"},
        )


def batch_of(*rows, **metadata):
    streams = [labels for labels, _ in rows]
    return EntryBatch(
        streams,
        np.arange(len(rows), dtype=np.uint32),
        np.full(len(rows), NOW_NS),
        pa.array([line for _, line in rows], pa.large_string()),
        {
            name: pa.array([value] * len(rows), pa.large_string())
            for name, value in metadata.items()
        },
    )


def test_pushes_that_come_meanwhile_go_together():
    """One batch holds what waited, and each push is answered."""

    async def run():
        store = Store()
        first = await store.occupied()
        second = store.push((A, "x"), (B, "y"))
        third = store.push((A, "z"), trace_id="1")
        other = store.push((A, "w"), tenant="u")
        await store.sent(2)
        assert len(store.ingester.waiting) == 2
        store.ingester.answer(0)
        await store.sent(3)
        store.ingester.answer(1)
        store.ingester.answer(2)
        await asyncio.gather(first, second, third, other)
        return store

    store = asyncio.run(run())

    together = store.ingester.batches()[2]
    assert together.line.to_pylist() == ["x", "y", "z"]
    assert [together.streams[s] for s in together.stream] == [A, B, A]
    assert together.metadata["trace_id"].to_pylist() == [None, None, "1"]
    assert store.received() == 4


def test_push_at_fault_is_refused_alone():
    """The others of its group are stored, and counted once."""

    async def run():
        store = Store(max_line_size=3)
        first = await store.occupied()
        good, bad = store.push((A, "x")), store.push((A, "long"))
        await asyncio.sleep(0)
        store.ingester.answer(0)
        await store.sent(2)
        store.ingester.answer(1)
        await asyncio.gather(first, good)
        with pytest.raises(ValidationFailed) as caught:
            await bad
        return store, str(caught.value)

    store, text = asyncio.run(run())

    assert "max entry size '3' bytes exceeded" in text
    assert [b.line.to_pylist() for b in store.ingester.batches()] == [["1st"], ["x"]]
    assert store.received() == 3


def test_refusals_of_the_ingester_reach_the_push_they_concern():
    """Who shares a group with a refused stream is not refused."""

    async def run():
        store = Store()
        first = await store.occupied()
        good, bad = store.push((A, "x")), store.push((B, "y"), (A, "z"))
        await asyncio.sleep(0)
        store.ingester.answer(0)
        await store.sent(2)
        refused = PushAnswer({1: LimitExceeded("too fast")}, [Discard("r", 1, 1, 1)])
        store.ingester.answer(1, refused)
        await asyncio.gather(first, good)
        with pytest.raises(ValidationFailed, match="too fast") as caught:
            await bad
        return caught.value

    error = asyncio.run(run())

    assert (error.entries_refused, error.entries_stored) == (1, 1)


def test_group_that_was_not_stored_is_stored_for_nobody():
    """A disk that fails is told to every push of the group."""

    async def run():
        store = Store()
        first = await store.occupied()
        both = [store.push((A, "x")), store.push((B, "y"))]
        await asyncio.sleep(0)
        store.ingester.answer(0)
        await store.sent(2)
        store.ingester.fail(1, DurabilityFailed("no"))
        await first
        return await asyncio.gather(*both, return_exceptions=True)

    assert [type(error) for error in asyncio.run(run())] == [DurabilityFailed] * 2


def test_push_whose_client_left_stops_nobody():
    """It is stored with its group, and the others are answered."""

    async def run():
        store = Store()
        first = await store.occupied()
        gone, stays = store.push((A, "x")), store.push((B, "y"))
        await asyncio.sleep(0)
        gone.cancel()
        store.ingester.answer(0)
        await store.sent(2)
        store.ingester.answer(1)
        await asyncio.gather(first, stays)
        return store

    assert asyncio.run(run()).ingester.batches()[1].line.to_pylist() == ["x", "y"]


def test_large_push_waits_for_nobody():
    """A push of many entries, or as many small ones, go while others are at work."""

    async def run():
        store = Store()
        first = await store.occupied()
        large = store.push(*[(A, "x")] * (groups.ROWS_MAX + 1))
        await store.sent(2)
        fair = groups.ROWS_MAX
        many = [store.push(*[(A, "y")] * fair) for _ in range(4)]
        await store.sent(3)
        for number in range(3):
            store.ingester.answer(number)
        await asyncio.gather(first, large, *many)
        return store

    _, alone, together = asyncio.run(run()).ingester.batches()
    assert len(alone) == groups.ROWS_MAX + 1
    assert len(together) == groups.GROUP_ROWS_MAX


def test_groups_are_bounded_in_bytes():
    """Few entries of long lines, or of much metadata, go as soon as many."""

    async def run():
        unlimited = {"max_line_size": 0, "max_structured_metadata_size": 0}
        store = Store(**unlimited, ingestion_burst_size_mb=100)
        first = await store.occupied()
        half = "x" * (groups.BYTES_MAX // 2)
        long = [store.push((A, half)) for _ in range(16)]
        await store.sent(2)
        marked = [store.push((A, ""), mark=half) for _ in range(16)]
        await store.sent(3)
        alone = store.push((A, "y"), mark="x" * groups.BYTES_MAX)
        await store.sent(4)
        for number in range(4):
            store.ingester.answer(number)
        await asyncio.gather(first, *long, *marked, alone)
        return store

    sizes = [len(batch) for batch in asyncio.run(run()).ingester.batches()]
    assert sizes == [1, 16, 16, 1]


def test_next_group_waits_for_the_company_of_the_last():
    """Clients that were answered together send again together."""

    async def run():
        store = Store()
        first = await store.occupied()
        pushes = [store.push((A, "x")) for _ in range(3)]
        await asyncio.sleep(0)
        store.ingester.answer(0)
        await store.sent(2)
        store.ingester.answer(1)
        await asyncio.gather(first, *pushes)
        again = [store.push((A, line)) for line in "abc"]
        await store.sent(3)
        store.ingester.answer(2)
        await asyncio.gather(*again)
        alone = store.push((A, "alone"))
        await store.sent(4)
        store.ingester.answer(3)
        await alone
        return store

    *_, together, last = asyncio.run(run()).ingester.batches()
    assert together.line.to_pylist() == ["a", "b", "c"]
    assert last.line.to_pylist() == ["alone"]
