"""What a plan makes of rows elsewhere is what it makes of them here."""

import asyncio
import os
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from fakes.ingesters import FakeIngester, batch_of
from fakes.served import served

from loki_py.errors import CorruptData, QueryInvalid
from loki_py.logql.exec.range_leaf import RangePartial
from loki_py.logql.exec.summaries import Block
from loki_py.logql.parser import parse
from loki_py.logql.question import LeafQuestion, Question
from loki_py.model.results import Streams
from loki_py.model.scan import BatchUnit, ReadStats, TimedUnit
from loki_py.model.shares import ALWAYS, Share
from loki_py.querier.executor import AHEAD_PER_WORKER_EARLY
from loki_py.querier.served_leaves import ServedLeaves
from loki_py.querier.small_units import JoinedUnits
from loki_py.querier.wrapped_unit import WrappedUnit
from loki_py.transport.groups import GROUP_ROWS_MAX, RemoteGroup, grouped
from loki_py.transport.outbox import Outbox
from loki_py.transport.partials import (
    decode_partials,
    encode_partial,
    question_asked,
    question_of,
)
from loki_py.transport.read_unit import share_of
from loki_py.wire.messages import MapAnswered, ShareAsked, decode_message

S = 1_000_000_000
ROWS = [
    ({"app": app}, n * S, f"level={level} took={n}.5 user={n % 3}")
    for n in range(1, 60)
    for app, level in (("a", "info"), ("b", "error"))
]
QUERIES = [
    '{app=~".+"}',
    '{app="a"} |= "user=1" | logfmt | took > 20',
    'sum by (app) (count_over_time({app=~".+"} | logfmt | level="error" [10s]))',
    'rate({app="b"}[20s])',
    'quantile_over_time(0.9, {app="a"} | logfmt | unwrap took [10s]) by (user)',
    'first_over_time({app=~".+"} | logfmt | unwrap took [30s])',
    'absent_over_time({app="c"}[10s])',
    'sum_over_time({app="a"} | unwrap level [10s])',
]


def question_about(text, **changes):
    asked = Question(text, 0, 60 * S, 10 * S, 7, forward=False)
    return LeafQuestion(replace(asked, **changes), 0)


def outcome_of(question, partials):
    """Return what all partial results come to."""
    plan = question.question.plan(parse(question.question.text))
    try:
        for partial in partials:
            plan.leaves[0].evaluator.add(partial)
        return plan.finish()
    except QueryInvalid as error:
        return str(error)


def shown(result):
    if isinstance(result, str):
        return result
    data = result.data
    if not isinstance(data, Streams):
        return repr(data), result.rows_kept
    return data.labels, data.timestamp_ns.tolist(), data.line.to_pylist()


def encoded(partial):
    headers, payload = zip(*encode_partial(partial), strict=True)
    return list(headers), [column for columns in payload for column in columns]


@pytest.mark.parametrize("text", QUERIES)
async def test_answer_is_the_same_as_of_rows_that_are_here(text):
    """Log and metric queries, and the failures of pipelines."""
    ingester = FakeIngester()
    await ingester.push("t", batch_of(ROWS[:70]))
    await ingester.push("t", batch_of(ROWS[70:]))
    question = question_about(text)
    leaf = question.planned()
    local = (await ingester.select("t", leaf.scan)).units
    here = [leaf.evaluator.map(u.read(leaf.scan.columns, ReadStats())) for u in local]
    async with served(ingester) as (client, _):
        found = await client.select("t", leaf.scan)
        units = [
            unit.shared(Share(np.ones(len(unit.streams), np.bool_), ALWAYS))
            for unit in found.units
        ]
        stats = ReadStats()
        there = [
            partial
            for unit in units
            for partial in await asyncio.to_thread(unit.mapped, question, stats)
        ]

    assert shown(outcome_of(question, there)) == shown(outcome_of(question, here))
    assert stats.head_rows == sum(unit.rows_max for unit in local)
    assert stats.units_read == len(local)


class Timed(WrappedUnit, TimedUnit):
    """A unit that cannot but be answered for by its times."""

    def read(self, columns, stats):  # noqa: ARG002
        raise AssertionError("it is read")

    def read_times(self, columns, stats):  # noqa: ARG002
        return []


async def test_unit_of_which_times_suffice_is_not_read():
    question = question_about('sum(count_over_time({app="a"}[60s]))')
    unit = BatchUnit(batch_of(ROWS))

    stats = await ServedLeaves().run([Timed(unit)], question, [].append)

    assert (stats.units_timed, stats.units_read) == (1, 0)


async def test_units_behind_the_limit_are_left_unread():
    """Whatever is begun ahead, by as many threads as there are."""
    question = question_about('{app="a"}', limit=2)
    pieces = [BatchUnit(batch_of(ROWS[at : at + 20])) for at in (80, 60)]
    ahead = AHEAD_PER_WORKER_EARLY * (os.cpu_count() or 1)
    older = [BatchUnit(batch_of([({"app": "a"}, n, "old")])) for n in range(ahead + 2)]
    taken = []

    stats = await ServedLeaves().run(
        [JoinedUnits(pieces), *older], question, taken.append
    )

    assert stats.units_unneeded >= 2
    assert outcome_of(question, taken).data.timestamp_ns.tolist()[0] == 50 * S
    assert stats.head_rows < 40 + len(older)


async def test_rows_larger_than_a_message_come_in_pieces():
    ingester = FakeIngester()
    await ingester.push(
        "t", batch_of([({"app": "a"}, n, "x" * 10**6) for n in range(9)])
    )
    question = question_about('{app="a"}', limit=100)
    async with served(ingester) as (client, _):
        found = await client.select("t", question.planned().scan)
        unit = found.units[0].shared(Share(np.ones(1, np.bool_), ALWAYS))
        partials = await asyncio.to_thread(unit.mapped, question, ReadStats())

    assert sum(partial.kept for partial in partials) == 9
    assert len(outcome_of(question, partials).data) == 9


async def test_only_the_rows_of_the_share_are_evaluated():
    """Of the streams and times that are asked for; rows of others count nowhere."""
    ingester = FakeIngester()
    await ingester.push("t", batch_of(ROWS))
    question = question_about('count_over_time({app=~".+"}[60s])', step_ns=60 * S)
    async with served(ingester) as (client, _):
        found = await client.select("t", question.planned().scan)
        unit = found.units[0]
        only_b = np.array([labels.get("app") == "b" for labels in unit.streams])
        share = Share(only_b, ((0, 10 * S), (50 * S, 60 * S)))
        mine = unit.shared(share)
        partials = await asyncio.to_thread(mine.mapped, question, ReadStats())
        rows = await asyncio.to_thread(
            mine.read, question.planned().scan.columns, ReadStats()
        )

    assert outcome_of(question, partials).rows_kept == 9 + 10
    assert len(rows) == 9 + 10
    assert unit.shared(Share(np.zeros_like(only_b), ALWAYS)) is None


@pytest.mark.parametrize(
    ("spans", "bits"), [([], b"\xff"), ([(0, 1)], b""), ([(0, 1)], b"\xff\xff")]
)
def test_share_that_can_be_none_is_refused(spans, bits):
    with pytest.raises(CorruptData, match="share"):
        share_of(ShareAsked(spans), memoryview(bits), range(3))


async def test_many_units_are_evaluated_in_few_calls():
    ingester = FakeIngester()
    for n, row in enumerate(ROWS[:40]):
        await ingester.push("t", batch_of([row, ({"app": "c"}, n, "x")]))
    question = question_about('count_over_time({app=~".+"}[60s])')
    async with served(ingester) as (client, _):
        found = await client.select("t", question.planned().scan)
        share = Share(np.ones(2, np.bool_), ALWAYS)
        units = [replace(unit, share=share) for unit in found.units]
        few = grouped(units)
        large = [
            replace(unit, desc=replace(unit.desc, rows_max=GROUP_ROWS_MAX // 10))
            for unit in units
        ]
        sizes = [len(group.units) for group in grouped(large)]

    assert [len(group.units) for group in few] == [40]
    assert sizes == [10, 10, 10, 10]


async def test_work_that_takes_long_says_that_it_goes_on():
    """So that a call may last longer than its peer may be silent."""
    question = question_about('{app="a"}')
    partial = question.planned().evaluator.map(batch_of(ROWS))
    outbox = Outbox(asyncio.get_running_loop(), sign_s=0.001)

    sign = await outbox.next()
    outbox.take(partial)
    outbox.end(asyncio.get_running_loop().create_future())

    assert decode_message(sign, MapAnswered)[0].partials == []
    assert await outbox.next() is None
    assert len(decode_message(outbox.last({}), MapAnswered)[0].partials) == 1


async def test_units_of_peers_with_other_plans_are_read_instead():
    ingester = FakeIngester()
    await ingester.push("t", batch_of(ROWS))
    async with served(ingester) as (client, _):
        found = await client.select("t", question_about('{app="a"}').planned().scan)
        unit = found.units[0]
        shared = unit.shared(Share(np.ones(len(unit.streams), np.bool_), ALWAYS))
        unit.selection.plans = "other"

        assert not shared.maps
        assert not isinstance(grouped([shared])[0], RemoteGroup)


@pytest.mark.parametrize(
    "values",
    [
        [],
        [1.0, 1.0, 1.0],
        [0.0, 255.0, 3.0],
        [0.0, 65_536.0, 3.0],
        [0.0, 2.0**32, 3.0],
        [0.5, 1.0, -0.0],
        [-0.0, 1.0, 2.0],
        [np.nan, np.inf, -np.inf],
    ],
)
def test_numbers_come_back_exactly(values):
    """Whatever type they travel in."""
    field = np.array(values)
    series = np.arange(len(values))
    when = series * 2**33 - 5
    partial = (RangePartial([()] * len(values), Block(series, when, (field,)), 3),)
    headers, payload = encoded(partial)
    (found,) = decode_partials(MapAnswered(headers), memoryview(b"".join(payload)), ())

    assert found[0].block.series.tolist() == series.tolist()
    assert found[0].block.when.tolist() == when.tolist()
    assert found[0].block.fields[0].tobytes() == field.tobytes()


@pytest.mark.parametrize("cut", [1, 8, 30])
def test_cut_numbers_are_refused(cut):
    series = np.arange(20)
    partial = (RangePartial([()] * 20, Block(series, series * 2**40, (series,)), 3),)
    headers, payload = encoded(partial)
    data = memoryview(b"".join(payload))[:-cut]

    with pytest.raises(CorruptData):
        decode_partials(MapAnswered(headers), data, ())


def test_series_that_is_not_there_is_refused():
    partial = (RangePartial([()], Block(np.array([1]), np.array([1]), ()), 1),)
    headers, payload = encoded(partial)

    with pytest.raises(CorruptData, match="series 1"):
        decode_partials(MapAnswered(headers), memoryview(b"".join(payload)), ())


def test_question_survives_the_way():
    question = question_about(QUERIES[2], forward=True, interval_ns=5, instant=True)
    asked = question_asked(question)
    told = msgspec.json.decode(msgspec.json.encode(asked), type=type(asked))

    assert question_of(told) == question
