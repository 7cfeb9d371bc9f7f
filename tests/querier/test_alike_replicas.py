"""Where replicas hold the same, one answers while it is asked what it holds."""

import contextlib
from dataclasses import replace

import pytest
from fakes.ingesters import FakeIngester, batch_of
from fakes.rings import joined
from fakes.served import served

from loki_py.logql.parser import parse
from loki_py.logql.plan import LogPlan
from loki_py.logql.question import LeafQuestion, Question
from loki_py.model.batch import concat
from loki_py.model.scan import BatchUnit
from loki_py.querier import replicated
from loki_py.querier.executor import QueryExecutor
from loki_py.querier.likeness import WAIT_NS_MAX, WAIT_NS_MIN, Likeness
from loki_py.querier.merge import merged
from loki_py.querier.plan_leaf import PlanLeaf
from loki_py.querier.replicated import ReplicatedSource
from loki_py.ring.replication import ReadSet
from loki_py.runtime.clock import SystemClock
from loki_py.transport import remote_units
from loki_py.transport.abc import Selection, SurveyedSource
from loki_py.wire.cells import NO_CELLS, cells_of

S = 1_000_000_000
ROWS = [
    ({"app": app}, n * S, f"{app} {n} took={n % 7}")
    for n in range(1, 200)
    for app in ("a", "b", "c")
]
QUERIES = [
    '{app=~".+"}',
    '{app=~"a|b"} |= "took=3"',
    'sum by (app) (count_over_time({app=~".+"}[20s]))',
    'sum(sum_over_time({app=~"[ab]"} | logfmt | unwrap took [30s]))',
    '{app="nobody"}',
]


class Holder(FakeIngester, SurveyedSource):
    """Holds one batch, and tells its cells; notes what it was asked."""

    def __init__(self, rows):
        super().__init__()
        self.rows = rows
        self.asked = []

    async def select(self, tenant, scan):
        self.asked.append("select")
        return await self._found(tenant, scan)

    async def survey(self, tenant, scan):
        self.asked.append("survey")
        found = await self._found(tenant, scan)
        return replace(found, units=())

    async def _found(self, tenant, scan):
        self.batches = [(tenant, batch_of(self.rows))]
        units = (await FakeIngester.select(self, tenant, scan)).units
        if not units:
            return Selection([], cells=lambda _: NO_CELLS)
        batch = concat([unit.batch for unit in units])
        cells = cells_of(batch)
        units = [BatchUnit(batch)]
        return Selection(units, streams=batch.streams, cells=lambda _: cells)


@contextlib.asynccontextmanager
async def cluster(*held):
    """Yield the holders of rows, and a source over them."""
    holders = [Holder(rows) for rows in held]
    instances = joined(len(held))
    names = [instance.instance_id for instance in instances]
    async with contextlib.AsyncExitStack() as stack:
        clients = {
            name: (await stack.enter_async_context(served(holder, name=name)))[0]
            for name, holder in zip(names, holders, strict=True)
        }

        class Ring:
            def read_set(self):
                return ReadSet(tuple(instances), ())

        yield (
            holders,
            ReplicatedSource(
                Ring(),
                lambda one: clients[one.instance_id],
                SystemClock(),
                replication_factor=3,
                zone_aware=False,
            ),
        )


async def answer_of(source, text):
    """Return the result of a query and what it cost."""
    question = Question(text, 0, 200 * S, 10 * S, 11, forward=False)
    plan = question.plan(parse(text))
    leaf = plan.leaves[0]
    stops_early = isinstance(plan, LogPlan)
    asked = LeafQuestion(question, 0)
    found = await source.select_for("t", leaf.scan, asked, stops_early=stops_early)
    executor = QueryExecutor(threads_count=2, concurrent_max=1, outstanding_max=1)
    outcome = await executor.run_leaf(
        merged(found.units, leaf.scan),
        leaf.scan,
        PlanLeaf(plan, leaf),
        watch=Unwatched(),
        stops_early=stops_early,
        question=asked,
    )
    executor.close()
    data = plan.finish().data
    if stops_early:
        return (data.labels, data.timestamp_ns.tolist(), data.line.to_pylist()), outcome
    return repr(data), outcome


class Unwatched:
    def note(self, stats):
        pass


async def expected(text):
    async with cluster(ROWS) as (_, source):
        return (await answer_of(source, text))[0]


@pytest.mark.parametrize("at_once_bytes", [0, remote_units.ANSWER_AT_ONCE_BYTES])
@pytest.mark.parametrize("text", QUERIES)
async def test_equal_replicas_are_answered_for_by_one(text, at_once_bytes, monkeypatch):
    """The others only tell what they hold, and nobody is asked a second time."""
    monkeypatch.setattr(remote_units, "ANSWER_AT_ONCE_BYTES", at_once_bytes)
    monkeypatch.setattr(replicated, "SPARE_S", 60.0)
    async with cluster(ROWS, ROWS, ROWS) as (holders, source):
        answer, _ = await answer_of(source, text)

    asked = sorted(what for holder in holders for what in holder.asked)
    assert answer == await expected(text)
    assert asked == ["select", "survey"]


@pytest.mark.parametrize("text", QUERIES)
@pytest.mark.parametrize("lost", [0, 1, 2])
async def test_replicas_that_differ_are_put_together(text, lost):
    """What one of them missed is found with the others, each line once."""
    held = [ROWS, ROWS, ROWS]
    held[lost] = ROWS[:300] + ROWS[390:]
    async with cluster(*held) as (_, source):
        answers = [(await answer_of(source, text))[0] for _ in range(3)]

    assert answers == [await expected(text)] * 3


async def test_after_a_difference_all_are_selected_at_once():
    """What is answered in advance where replicas differ is for nothing."""
    async with cluster(ROWS, ROWS[:-1], ROWS[1:]) as (holders, source):
        await answer_of(source, QUERIES[0])
        for holder in holders:
            holder.asked.clear()
        await answer_of(source, QUERIES[0])

    assert {what for holder in holders for what in holder.asked} == {"select"}


async def test_more_instances_than_replicas_are_selected_at_once():
    """Nobody holds everything there."""
    async with cluster(ROWS, ROWS, ROWS, ROWS) as (holders, source):
        answer, _ = await answer_of(source, QUERIES[2])

    assert {what for holder in holders for what in holder.asked} == {"select"}
    assert answer == await expected(QUERIES[2])


def test_likeness_is_counted_on_again_after_a_while():
    likeness = Likeness()
    likeness.note("t", 0, alike=False)

    assert not likeness.is_likely("t", WAIT_NS_MIN - 1)
    assert likeness.is_likely("t", WAIT_NS_MIN)
    assert likeness.is_likely("other", 0)


def test_each_further_difference_doubles_the_wait():
    likeness = Likeness()
    now_ns = 0
    for _ in range(20):
        now_ns += WAIT_NS_MAX
        likeness.note("t", now_ns, alike=False)

    assert not likeness.is_likely("t", now_ns + WAIT_NS_MAX - 1)
    assert likeness.is_likely("t", now_ns + WAIT_NS_MAX)
    likeness.note("t", now_ns, alike=True)
    assert likeness.is_likely("t", now_ns)


def test_one_difference_that_many_questions_meet_is_one():
    likeness = Likeness()
    for now_ns in range(20):
        likeness.note("t", now_ns, alike=False)

    assert likeness.is_likely("t", WAIT_NS_MIN)
