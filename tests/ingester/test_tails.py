"""Tails of an ingester: who is handed what, once, in order, within bounds."""

import asyncio

import numpy as np
import pyarrow as pa
import pytest
from fakes.disks import FakeDisk

from loki_py.errors import DurabilityFailed
from loki_py.ingester import tails as module
from loki_py.ingester.stream_table import StreamTable
from loki_py.ingester.tails import Tails
from loki_py.model.batch import EntryBatch
from loki_py.model.labels import LabelSet
from loki_py.model.matchers import Matcher, MatchType

A, B, C = (LabelSet.of({"app": name}) for name in "abc")
APP_A = (Matcher("app", MatchType.EQUAL, "a"),)
APP_NOT_A = (Matcher("app", MatchType.NOT_EQUAL, "a"),)


class Cell:
    """The streams of a tenant, and the tails that follow them."""

    def __init__(self):
        self.tails = Tails()
        self.table = StreamTable()

    def follow(self, matchers, tenant="t"):
        return self.tails.follow(tenant, matchers, self.table)

    def publish(self, *rows, tenant="t"):
        """Rows are (labels, timestamp, line)."""
        labels, times, lines = zip(*rows, strict=True)
        refs = self.table.refs_of(labels, now_ns=0)
        piece = EntryBatch(
            (), refs, np.array(times, np.int64), pa.array(lines, pa.large_string())
        )
        self.tails.publish(tenant, self.table, piece, np.unique(refs))


async def rows_of(tail):
    arrivals = await asyncio.wait_for(tail.arrivals(), 1)
    return [
        (batch.streams[stream], timestamp_ns, line)
        for batch in arrivals.batches
        for stream, timestamp_ns, line in zip(
            batch.stream.tolist(),
            batch.timestamp_ns.tolist(),
            batch.line.to_pylist(),
            strict=True,
        )
    ]


def is_idle(tail):
    return not tail._news.is_set()


async def test_matching_rows_come_in_order_of_arrival():
    cell = Cell()
    tail = cell.follow(APP_A)

    cell.publish((A, 2, "two"), (B, 1, "other"), (A, 1, "one"))
    cell.publish((A, 3, "three"))

    assert await rows_of(tail) == [(A, 2, "two"), (A, 1, "one"), (A, 3, "three")]
    assert is_idle(tail)


async def test_stream_known_before_the_tail_is_followed():
    cell = Cell()
    first = cell.follow(APP_NOT_A)
    cell.publish((A, 1, "one"), (B, 2, "two"))

    second = cell.follow(APP_A)
    cell.publish((A, 3, "three"))

    assert await rows_of(second) == [(A, 3, "three")]
    assert await rows_of(first) == [(B, 2, "two")]


async def test_tail_of_a_tenant_without_streams_sees_its_first_entry():
    cell = Cell()
    tail = cell.tails.follow("t", APP_A, None)

    cell.publish((A, 1, "one"))

    assert await rows_of(tail) == [(A, 1, "one")]


@pytest.mark.parametrize(
    ("matchers", "streams"),
    [
        ([("app", "=", "a")], "a"),
        ([("app", "!=", "a")], "bc"),
        ([("app", "=~", "a|b"), ("app", "=", "b")], "b"),
        ([("app", "=", "a"), ("other", "=", "")], "a"),
        ([("app", "=", "a"), ("other", "=", "x")], ""),
        ([("other", "=", "")], "abc"),
    ],
)
async def test_every_kind_of_selector_is_followed(matchers, streams):
    """Whether streams are new to the tail or the tail is new to them."""
    cell = Cell()
    selector = [Matcher(name, MatchType(op), value) for name, op, value in matchers]
    early = cell.follow(selector)
    cell.publish((A, 1, "a"), (B, 1, "b"), (C, 1, "c"))
    late = cell.tails.follow("t", tuple(selector[::-1]), cell.table)
    cell.publish((A, 2, "a"), (B, 2, "b"), (C, 2, "c"))

    for tail, times in ((early, 2), (late, 1)):
        if streams:
            lines = [line for *_, line in await rows_of(tail)]
            assert lines == list(streams) * times
        assert is_idle(tail)


async def test_other_tenants_entries_are_not_seen():
    cell = Cell()
    tail = cell.follow(APP_A)

    cell.publish((A, 1, "one"), tenant="other")

    assert is_idle(tail)


async def test_ref_that_another_stream_took_over_is_not_followed():
    """A tail follows label sets, whatever refs they have."""
    cell = Cell()
    tail = cell.follow(APP_A)
    cell.publish((A, 1, "one"))
    await rows_of(tail)
    assert cell.table.remove_unused(appended_before_ns=1) == 1

    cell.publish((C, 2, "two"))
    cell.publish((A, 3, "three"))

    assert await rows_of(tail) == [(A, 3, "three")]


async def test_closed_tail_costs_nothing_and_leaves_others_alone():
    cell = Cell()
    closed, same, other = (
        cell.follow(APP_A),
        cell.follow(APP_A),
        cell.follow(APP_NOT_A),
    )
    cell.publish((A, 1, "one"), (B, 1, "one"))

    closed.close()
    closed.close()
    same.close()
    cell.publish((A, 2, "two"), (B, 2, "two"))

    assert await rows_of(other) == [(B, 1, "one"), (B, 2, "two")]
    other.close()
    assert not cell.tails._tenants["t"].groups
    assert cell.tails._room.used_bytes == 0


async def test_full_queue_drops_and_counts(monkeypatch):
    """What a reader does not take in time is counted; the push does not wait."""
    monkeypatch.setattr(module, "QUEUE_BYTES_MAX", 100)
    monkeypatch.setattr(module, "DROPPED_ROWS_MAX", 3)
    cell = Cell()
    tail = cell.follow(APP_A)

    cell.publish((A, 1, "x" * 60))
    cell.publish((A, 2, "y" * 60), (A, 3, "z"))
    cell.publish((A, 4, "y" * 60), (A, 5, "z"))
    arrivals = await tail.arrivals()

    assert [len(batch) for batch in arrivals.batches] == [1]
    assert arrivals.dropped_count == 4
    assert [t for b in arrivals.dropped for t in b.timestamp_ns.tolist()] == [2, 3, 4]
    cell.publish((A, 6, "z"))
    assert await rows_of(tail) == [(A, 6, "z")]


async def test_large_batch_has_room_in_an_empty_queue(monkeypatch):
    monkeypatch.setattr(module, "QUEUE_BYTES_MAX", 10)
    cell = Cell()
    tail = cell.follow(APP_A)

    cell.publish((A, 1, "x" * 60))

    assert await rows_of(tail) == [(A, 1, "x" * 60)]


async def test_waiting_reader_may_give_up_and_come_again():
    cell = Cell()
    tail = cell.follow(APP_A)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(tail.arrivals(), 0.001)

    cell.publish((A, 1, "one"))

    assert await rows_of(tail) == [(A, 1, "one")]


async def test_ingester_tells_what_is_durable_and_nothing_else(tmp_path):
    """An entry is told of after its fsync; one that the disk refused never is."""
    from test_ingester_service import Cell as IngesterCell

    cell = IngesterCell(tmp_path)
    disk = FakeDisk()
    cell.disk = disk.calls
    async with cell.ingester() as ingester:
        tail = ingester.tail("t", APP_A)
        await ingester.push("t", cell.batch((0, 0, "kept"), (1, 0, "other")))
        kept = await rows_of(tail)
        disk.sync_error = OSError("disk is gone")
        with pytest.raises(DurabilityFailed):
            await ingester.push("t", cell.batch((0, 1, "lost")))

        assert [line for *_, line in kept] == ["kept"]
        assert is_idle(tail)
