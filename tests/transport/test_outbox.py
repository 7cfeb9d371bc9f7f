"""An outbox: bounded, and nobody waits at it for ever."""

import asyncio
import threading
from dataclasses import replace

import pytest
from fakes.ingesters import FakeIngester, batch_of
from test_evaluation import ROWS, question_about

from loki_py.errors import DataUnreadable
from loki_py.logql.exec.log_leaf import LogPartial
from loki_py.querier.merge import distinct_units
from loki_py.runtime.clock import SystemClock
from loki_py.transport.grpc_reads import ReadCalls
from loki_py.transport.outbox import (
    ANSWER_BYTES,
    WAITING_BYTES_MAX,
    Advance,
    Outbox,
    ReaderStalled,
)
from loki_py.transport.partials import question_asked
from loki_py.transport.read_unit import GivenUp
from loki_py.wire import messages as wire
from loki_py.wire.messages import MapAnswered, decode_message, encode_message
from loki_py.wire.messages_select import scan_asked

PARTIAL = LogPartial(batch_of([({"app": "a"}, 1, "x" * 1_000)]), 1)


def outbox_of(**bounds):
    loop = asyncio.get_running_loop()
    return Outbox(loop, answer_bytes=1, waiting_bytes_max=1, **bounds)


async def ended(thread):
    await asyncio.to_thread(thread.join)


async def test_who_makes_messages_waits_until_they_are_sent():
    """Of three messages the second is only made room for by taking the first."""
    outbox = outbox_of()
    taken = []

    def make():
        for number in range(3):
            outbox.take(PARTIAL)
            taken.append(number)

    thread = threading.Thread(target=make)
    thread.start()
    found = []
    for number in range(3):
        found.append(await outbox.next())
        assert len(taken) <= number + 2
    await ended(thread)

    told = [decode_message(message, MapAnswered)[0] for message in found]
    assert [len(each.partials) for each in told] == [1, 1, 1]
    assert taken == [0, 1, 2]


async def test_reader_that_takes_nothing_is_given_up():
    """A thread does not wait for ever for a process that hangs."""
    outbox = outbox_of(stalled_s=0.001)
    await asyncio.to_thread(outbox.take, PARTIAL)

    with pytest.raises(ReaderStalled, match="none was taken"):
        await asyncio.to_thread(outbox.take, PARTIAL)


async def test_nobody_waits_at_an_outbox_that_is_closed():
    """The call ended: its threads end, though nothing is taken any more."""
    outbox = outbox_of()
    await asyncio.to_thread(outbox.take, PARTIAL)
    thread = threading.Thread(target=outbox.take, args=(PARTIAL,))
    thread.start()

    outbox.close()

    await ended(thread)
    assert not thread.is_alive()


async def test_nobody_waits_on_the_loop_that_sends():
    """It could never send then."""
    outbox = outbox_of()

    outbox.take(PARTIAL)
    outbox.take(PARTIAL)

    assert await outbox.next()
    assert await outbox.next()


def test_answer_in_advance_is_given_up_where_it_is_too_large():
    advance = Advance(bytes_max=1_500)
    advance.take(PARTIAL)

    with pytest.raises(GivenUp, match="limit is 1500"):
        advance.take(PARTIAL)


class FullLeaves:
    """Leaves that come to more than waits to be sent."""

    def __init__(self):
        self.error = None
        self.ended = asyncio.Event()

    async def run(self, _units, _question, take, **_):
        loop = asyncio.get_running_loop()
        many = LogPartial(batch_of([({"app": "a"}, 1, "x" * ANSWER_BYTES)]), 1)

        def fill():
            try:
                for _ in range(WAITING_BYTES_MAX // ANSWER_BYTES + 2):
                    take(many)
            except ReaderStalled as error:
                self.error = error
            loop.call_soon_threadsafe(self.ended.set)

        await asyncio.to_thread(fill)


class HangingLeaves:
    """Leaves that are never done; note that they were told to end."""

    def __init__(self):
        self.begun = asyncio.Event()
        self.has_ended = False

    async def run(self, *_args, **_):
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.has_ended = True


class Unreadable(FakeIngester):
    """What it holds can not be summed up."""

    async def select(self, tenant, scan):
        found = await super().select(tenant, scan)
        streams = found.units[0].streams

        def fail(_):
            raise DataUnreadable("a block is damaged")

        return replace(found, streams=streams, cells=fail)


def reads_of(ingester, leaves):
    calls = ReadCalls(
        ingester, clock=SystemClock(), distinct=distinct_units, leaves=leaves
    )
    calls.start()
    return calls


async def test_work_for_a_reader_that_went_away_ends():
    """Its thread waits for nobody any more."""
    ingester, leaves = FakeIngester(), FullLeaves()
    await ingester.push("t", batch_of(ROWS))
    reads = reads_of(ingester, leaves)
    streams = batch_of(ROWS).streams
    session = reads.sessions.open("t", None, [], streams)
    share = wire.ShareAsked([(0, 60)])
    question = question_asked(question_about('{app="a"}'))
    asked = wire.MapAsked("t", session, [], share, question)
    answer = reads.map(encode_message(asked, [b"\xc0"]), None)

    await anext(answer)
    await answer.aclose()

    await leaves.ended.wait()
    assert leaves.error is None


async def test_selection_that_fails_leaves_nothing_at_work():
    """What is evaluated beside it ends before the failure is told."""
    ingester, leaves = Unreadable(), HangingLeaves()
    await ingester.push("t", batch_of(ROWS))
    reads = reads_of(ingester, leaves)
    question = question_about('{app="a"}')
    scan = question.planned().scan
    asked = scan_asked("t", scan, cells=True, question=question_asked(question))

    with pytest.raises(DataUnreadable, match="damaged"):
        await reads.select(encode_message(asked), None)

    assert leaves.begun.is_set()
    assert leaves.has_ended
