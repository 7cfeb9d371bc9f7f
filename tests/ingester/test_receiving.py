"""A receiver of chunks: what it takes is on disk, what it refuses says why."""

import asyncio

import numpy as np
import pytest
from fakes.ingesters import batch_of, rows_of
from fakes.rings import joined
from test_ingester_service import THREE, A, B, Cell, expected
from test_ingester_service import rows_of as rows_held

from loki_py.config.limits import Limits, StaticOverrides
from loki_py.errors import (
    LimitExceeded,
    NotOwner,
    NotReady,
    Overloaded,
    ReceiverBusy,
    ReceiverLocked,
)
from loki_py.ingester.receiving import ChunkReceiver
from loki_py.model.labels import token_of
from loki_py.ring.lookup import build_table
from loki_py.ring.settings import RingSettings
from loki_py.transport.abc import PushAnswer

ROWS = [({"app": str(n)}, n, f"line {n}") for n in range(40)]


class FakeTaker:
    """An ingester that keeps what it takes over, and waits or fails as told."""

    def __init__(self):
        self.taken = []
        self.reason = None
        self.error = None
        self.answer = PushAnswer()
        self.goes_on = asyncio.Event()
        self.goes_on.set()

    def reason_not_ready(self):
        return self.reason

    async def take_over(self, tenant, batch):
        await self.goes_on.wait()
        if self.error is not None:
            raise self.error
        self.taken.append((tenant, batch))
        return self.answer


class Ring:
    """Five instances with two replicas of each stream."""

    settings = RingSettings("ingester", replication_factor=2)

    def __init__(self):
        self.instances = joined(5)

    def writable(self):
        return self.instances

    def owned_by(self, name, *, without):
        """Which of the streams of ROWS it owns where one has left."""
        others = [i for i in self.instances if i.instance_id != without]
        table = build_table(others, replication_factor=2, zone_aware=False)
        tokens = [token_of("t", s) for s in batch_of(ROWS).streams]
        owners = [table.owners_of(token) for token in tokens]
        return np.array([name in {i.instance_id for i in each} for each in owners])


async def test_only_streams_that_it_owns_without_the_sender_are_taken():
    ring, taker = Ring(), FakeTaker()
    batch = batch_of(ROWS)
    own = ring.owned_by("ingester-1", without="ingester-0")

    receiver = ChunkReceiver(taker, ring, "ingester-1")
    refused = await receiver.transfer("ingester-0", "t", batch)

    [(tenant, taken)] = taker.taken
    assert tenant == "t"
    assert rows_of(taken) == rows_of(batch.filter(own[batch.stream]))
    assert set(refused) == set(np.flatnonzero(~own).tolist())
    assert {type(error) for error in refused.values()} == {NotOwner}
    assert {error.status for error in refused.values()} == {409}


async def test_what_its_rules_refuse_is_told_by_stream():
    ring, taker = Ring(), FakeTaker()
    own = ring.owned_by("ingester-1", without="ingester-0")
    batch = batch_of(ROWS)
    held = batch.filter(own[batch.stream])
    first = int(held.stream[0])
    taker.answer = PushAnswer({first: LimitExceeded("too many streams")})

    receiver = ChunkReceiver(taker, ring, "ingester-1")

    assert list(await receiver.transfer("ingester-0", "t", held)) == [first]


@pytest.mark.parametrize("why", ["not on the ring", "not ready", "closed meanwhile"])
async def test_receiver_that_leaves_or_starts_is_locked(why):
    ring, taker = Ring(), FakeTaker()
    if why == "not on the ring":
        ring.instances = [i for i in ring.instances if i.instance_id != "ingester-1"]
    taker.reason = "it replays" if why == "not ready" else None
    taker.error = NotReady("it stops") if why == "closed meanwhile" else None
    receiver = ChunkReceiver(taker, ring, "ingester-1")

    with pytest.raises(ReceiverLocked) as raised:
        await receiver.transfer("ingester-0", "t", batch_of(ROWS))

    assert raised.value.status == 423
    assert taker.taken == []


async def test_more_bytes_than_it_takes_at_once_are_for_later():
    """One transfer is taken whatever its size; beside it, none beyond the bound."""
    taker = FakeTaker()
    receiver = ChunkReceiver(taker, Ring(), "ingester-1", bytes_max=1)
    taker.goes_on.clear()
    first = asyncio.create_task(receiver.transfer("ingester-0", "t", batch_of(ROWS)))
    await asyncio.sleep(0)

    with pytest.raises(ReceiverBusy, match="limit is 1") as raised:
        await receiver.transfer("ingester-0", "t", batch_of(ROWS))
    taker.goes_on.set()
    await first
    await receiver.transfer("ingester-0", "t", batch_of(ROWS))

    assert raised.value.status == 429
    assert len(taker.taken) == 2


async def test_ingester_over_its_bounds_is_busy():
    taker = FakeTaker()
    taker.error = Overloaded("the disk is full")
    receiver = ChunkReceiver(taker, Ring(), "ingester-1")

    with pytest.raises(ReceiverBusy, match="the disk is full"):
        await receiver.transfer("ingester-0", "t", batch_of(ROWS))


async def test_what_is_taken_over_survives_a_kill(tmp_path):
    cell = Cell(tmp_path)
    async with cell.ingester(stop=False) as ingester:
        answer = await ingester.take_over("t", cell.batch(*THREE))
    async with cell.ingester() as ingester:
        assert await rows_held(ingester) == expected(cell, *THREE)
    assert answer.rejected == {}


async def test_rates_and_times_do_not_hold_for_what_is_taken_over(tmp_path):
    """They were checked where it was pushed; the limit on streams holds."""
    cell = Cell(tmp_path)
    limits = Limits(stream_rate_bytes=1, stream_burst_bytes=1, streams_global_max=1)
    async with cell.ingester() as ingester:
        ingester._overrides = StaticOverrides(limits)
        for rows in ([(0, 9_000, "new")], [(0, 0, "old, and more than a byte")]):
            answer = await ingester.take_over("t", cell.batch(*rows, streams=(A,)))
            assert answer.rejected == {}
        answer = await ingester.take_over("t", cell.batch((0, 1, "x"), streams=(B,)))

        assert len(await rows_held(ingester)) == 2
    assert isinstance(answer.rejected[0], LimitExceeded)


async def test_nobody_who_follows_is_told_of_what_is_taken_over(tmp_path):
    """It was told where it was pushed."""
    cell = Cell(tmp_path)
    async with cell.ingester() as ingester:
        following = ingester.tail("t", ())
        await following.begun()
        await ingester.take_over("t", cell.batch((0, 1, "old")))
        await ingester.push("t", cell.batch((0, 2, "new")))
        [batch] = (await following.arrivals()).batches
        following.close()

    assert batch.line.to_pylist() == ["new"]
