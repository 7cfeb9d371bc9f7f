"""Chunks over gRPC: they arrive as they are, refusals come back as they were."""

import asyncio
import contextlib

import grpc
import pytest
from fakes.ingesters import FakeIngester, batch_of, rows_of
from fakes.served import served
from prometheus_client import CollectorRegistry

from loki_py.errors import (
    BodyTooLarge,
    DurabilityFailed,
    LimitExceeded,
    NotOwner,
    ReceiverBusy,
    ReceiverLocked,
    TenantInvalid,
)
from loki_py.transport.abc import InstanceLost
from loki_py.transport.transfer_metrics import CountedTarget, TransferMetrics
from loki_py.transport.transfers import TransferClient

A, B = {"app": "a"}, {"app": "b", "env": 'x"\n'}


class Target:
    """Keeps what is transferred; raises or answers what it is told to."""

    def __init__(self, *, refused=None, error=None):
        self.taken = []
        self._refused = refused or {}
        self._error = error

    async def transfer(self, sender, tenant, batch):
        if self._error is not None:
            raise self._error
        self.taken.append((sender, tenant, batch))
        return self._refused


@contextlib.asynccontextmanager
async def transferring(target, *, message_bytes_max=1 << 20):
    async with served(FakeIngester(), transfers=target) as (_, server):
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{server.port}")
        yield TransferClient(
            "i-1", channel, call_s_max=30, message_bytes_max=message_bytes_max
        )
        await channel.close()


async def test_chunks_arrive_as_they_were_sent():
    target = Target()
    sent = batch_of([(A, 1, "one"), (B, 2, "zwei ü\n")], metadata={"t": ["x", None]})
    async with transferring(target) as client:
        assert await client.transfer("i-0", "t", sent) == {}

    [(sender, tenant, batch)] = target.taken
    assert (sender, tenant) == ("i-0", "t")
    assert rows_of(batch) == rows_of(sent)
    assert batch.metadata["t"].to_pylist() == ["x", None]


async def test_refused_chunks_are_told_at_the_positions_of_the_sender():
    """Which need not be those of the receiver: only streams with rows travel."""
    target = Target(refused={0: NotOwner("not mine")})
    held = batch_of([(A, 1, "a"), (B, 2, "b")])
    async with transferring(target) as client:
        refused = await client.transfer("i-0", "t", held.filter(held.stream == 1))

    assert list(refused) == [1]
    assert isinstance(refused[1], NotOwner)
    assert refused[1].status == 409


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ReceiverLocked("leaving"), 423),
        (ReceiverBusy("later"), 429),
        (DurabilityFailed("the disk is gone"), 500),
    ],
)
async def test_refusal_of_everything_is_raised_as_it_was(error, status):
    async with transferring(Target(error=error)) as client:
        with pytest.raises(type(error), match=str(error)) as raised:
            await client.transfer("i-0", "t", batch_of([(A, 1, "a")]))

    assert raised.value.status == status


async def test_process_that_takes_nothing_over_is_locked():
    async with transferring(None) as client:
        with pytest.raises(ReceiverLocked):
            await client.transfer("i-0", "t", batch_of([(A, 1, "a")]))


async def test_older_process_is_as_good_as_lost():
    """It knows no transfers: the sender uploads."""
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
    client = TransferClient("i-1", channel, call_s_max=30, message_bytes_max=1 << 20)

    with pytest.raises(InstanceLost, match="unimplemented"):
        await client.transfer("i-0", "t", batch_of([(A, 1, "a")]))
    await channel.close()
    await server.stop(0)


async def test_channel_that_closes_meanwhile_is_a_lost_instance():
    """Who waits is not cancelled by it."""
    target = Target()
    reached, goes_on = asyncio.Event(), asyncio.Event()

    async def transfer(*_):
        reached.set()
        await goes_on.wait()
        return {}

    target.transfer = transfer
    async with served(FakeIngester(), transfers=target) as (_, server):
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{server.port}")
        client = TransferClient("i", channel, call_s_max=30, message_bytes_max=1 << 20)
        asked = asyncio.create_task(
            client.transfer("i-0", "t", batch_of([(A, 1, "a")]))
        )
        await reached.wait()
        await channel.close()
        with pytest.raises(InstanceLost):
            await asked
        goes_on.set()


async def test_tenant_is_checked_again():
    target = Target()
    async with transferring(target) as client:
        with pytest.raises(TenantInvalid):
            await client.transfer("i-0", "../etc", batch_of([(A, 1, "a")]))

    assert target.taken == []


async def test_transfer_over_the_message_cap_is_not_sent():
    target = Target()
    async with transferring(target, message_bytes_max=100) as client:
        with pytest.raises(BodyTooLarge, match="limit is 100"):
            await client.transfer("i-0", "t", batch_of([(A, 1, "a" * 100)]))

    assert target.taken == []


async def test_what_goes_over_is_counted_on_both_sides():
    """What was taken over by streams and bytes, what was refused by its reason."""
    registry = CollectorRegistry()
    metrics = TransferMetrics(registry)
    batch = batch_of(
        [(A, 1, "one"), (A, 2, "two"), (B, 3, "three")],
        metadata={"t": ["x", None, "y"]},
    )
    for answer in (
        {"refused": {1: LimitExceeded("too many streams")}},
        {"error": ReceiverBusy("later")},
    ):
        there = CountedTarget(Target(**answer), metrics.received)
        async with transferring(there) as client:
            here = CountedTarget(client, metrics.sent)
            with contextlib.suppress(ReceiverBusy):
                await here.transfer("i-0", "t", batch)

    for side in ("sent", "received"):

        def counted(name, *, side=side, **labels):
            return registry.get_sample_value(f"loki_ingester_{side}_{name}", labels)

        assert counted("streams_total") == 1
        assert counted("bytes_total") == len("one" + "two" + "t" + "x")
        assert counted("refused_streams_total", reason="stream_limit") == 1
        assert counted("refused_streams_total", reason="busy") == 2


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (NotOwner("no"), "not_owner"),
        (ReceiverLocked("no"), "locked"),
        (BodyTooLarge("no"), "too_large"),
        (InstanceLost("i-1", "no"), "failed"),
    ],
)
def test_reasons_of_refusals_are_few(error, reason):
    registry = CollectorRegistry()

    TransferMetrics(registry).sent.note_refused(error, 3)

    name = "loki_ingester_sent_refused_streams_total"
    assert registry.get_sample_value(name, {"reason": reason}) == 3
