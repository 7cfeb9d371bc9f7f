"""Running leaves on threads: order, early stop, cancellation, turns."""

import asyncio
import contextlib
import threading
from dataclasses import dataclass, field

import numpy as np
import pytest

from loki_py.errors import DataUnreadable, LimitExceeded
from loki_py.logql.question import LeafQuestion, Question
from loki_py.model.batch import EntryBatch, concat
from loki_py.model.labels import LabelSet
from loki_py.model.scan import (
    BatchUnit,
    LargeUnit,
    LocalUnit,
    ReadStats,
    Scan,
    TimedUnit,
)
from loki_py.querier.executor import ROWS_ALONE_MAX, UNITS_ALONE, QueryExecutor
from loki_py.querier.fairness import FairQueue
from loki_py.querier.leaf_run import MAP_ROWS_FIRST_BY_LINE
from loki_py.transport.abc import MappingUnit

STREAMS = [LabelSet.of({"app": "api"})]
NEWEST = Scan((), 0, 10_000)
QUESTION = LeafQuestion(Question('{app=~".+"}', 0, 10_000, 1, 9, forward=False), 0)


def unit_at(start_ns, rows=10):
    times = np.arange(start_ns, start_ns + rows)
    return BatchUnit(EntryBatch(STREAMS, np.zeros(rows, np.uint32), times, None))


@dataclass
class Newest:
    """Keeps the newest `limit` timestamps."""

    limit: int = 10**9
    added: list = field(default_factory=list)
    mapped: int = 0

    def map(self, batch):
        self.mapped += 1
        return sorted(batch.timestamp_ns.tolist(), reverse=True)

    def add(self, partial):
        self.added.extend(partial)

    def enough(self, bound_ns):
        return len(self.added) >= self.limit and bound_ns <= self.added[self.limit - 1]


class NoWatch:
    def note(self, stats):
        pass


@pytest.fixture
def executor():
    made = QueryExecutor(threads_count=2, concurrent_max=2, outstanding_max=2)
    yield made
    made.close()


async def run(executor, units, evaluator, scan=NEWEST, *, stops_early=False, **more):
    return await executor.run_leaf(
        units,
        scan,
        evaluator,
        watch=more.pop("watch", NoWatch()),
        stops_early=stops_early,
        **more,
    )


async def test_partial_results_are_added_newest_first(executor):
    evaluator = Newest()

    outcome = await run(executor, [unit_at(n) for n in (40, 90, 10, 70)], evaluator)

    assert evaluator.added == sorted(evaluator.added, reverse=True)
    assert outcome.stats.head_rows == 40


async def test_partial_results_are_added_oldest_first_when_the_scan_asks_so(executor):
    evaluator = Newest()
    scan = Scan((), 0, 10_000, newest_first=False)

    await run(executor, [unit_at(n) for n in (40, 90, 10, 70)], evaluator, scan)

    assert evaluator.added[::10] == [19, 49, 79, 99]


async def test_a_leaf_without_units_ends_at_once(executor):
    outcome = await run(executor, [], Newest())

    assert outcome.stats == ReadStats()


async def test_a_limited_query_reads_few_units(executor):
    """What cannot change the newest rows is neither read nor counted as read."""
    evaluator = Newest(limit=10)

    outcome = await run(
        executor, [unit_at(n * 10) for n in range(500)], evaluator, stops_early=True
    )

    assert evaluator.added[0] == 4_999
    assert evaluator.mapped <= 8
    assert outcome.stats.units_unneeded >= 492
    assert outcome.stats.units_read + outcome.stats.units_unneeded == 500


class Timed(TimedUnit):
    """A unit whose entries are never read."""

    min_ns, max_ns, rows_max = 0, 9, 10

    def read_times(self, columns, stats):
        raise NotImplementedError


class Counting(Newest):
    """Takes units without reading them."""

    counts_times = True

    def map_times(self, unit, columns, stats):  # noqa: ARG002
        return [unit.min_ns]


async def test_units_answered_from_times_are_counted_as_that(executor):
    outcome = await run(executor, [Timed(), unit_at(20), Timed()], Counting())

    assert outcome.stats.units_timed == 2
    assert outcome.stats.units_read == 1


@dataclass
class Large(LargeUnit):
    """A unit that is only readable in pieces."""

    min_ns: int
    max_ns: int
    parts: list
    streams: tuple = ()
    rows_max: int = 1_000_000
    origin: str = ""
    cuts: int = 0

    def pieces(self):
        self.cuts += 1
        return self.parts

    def narrowed(self, *, start_ns, end_ns):
        raise NotImplementedError


async def test_large_units_are_cut_only_when_their_time_has_come(executor):
    """Cutting may fetch a footer, so little is cut ahead of need."""
    units = [Large(0, n, [unit_at(n - 9), unit_at(0)]) for n in range(100, 5_000, 100)]
    evaluator = Newest(limit=10)

    await run(executor, units, evaluator, stops_early=True)

    assert sum(unit.cuts for unit in units) <= 8
    assert max(evaluator.added) == 4_900


@dataclass
class Here(LocalUnit, LargeUnit):
    """Rows in memory, of which the reads are noted."""

    times: list
    reads: list = field(default_factory=list)
    streams = STREAMS
    origin = ""

    @property
    def min_ns(self):
        return self.times[0]

    @property
    def max_ns(self):
        return self.times[-1]

    @property
    def rows_max(self):
        return len(self.times)

    def pieces(self):
        return [self]

    def narrowed(self, *, start_ns, end_ns):
        times = [t for t in self.times if start_ns <= t < end_ns]
        return Here(times, self.reads)

    def read(self, columns, stats):
        self.reads.append((self.min_ns, self.max_ns))
        return unit_at(self.times[0], len(self.times)).read(columns, stats)


@pytest.mark.parametrize(
    ("limit", "reads"), [(50, [(50, 99)]), (51, [(50, 99), (0, 49)])]
)
async def test_few_rows_are_looked_for_in_the_later_half_first(executor, limit, reads):
    here = Here(list(range(100)))

    await run(executor, [here], Newest(limit), stops_early=True)

    assert here.reads == reads


async def test_few_rows_are_looked_for_in_the_earlier_half_where_those_come_first(
    executor,
):
    here = Here(list(range(100)))
    evaluator = Newest()
    evaluator.enough = lambda _: len(evaluator.added) >= 10
    scan = Scan((), 0, 10_000, newest_first=False)

    await run(executor, [here], evaluator, scan, stops_early=True)

    assert here.reads == [(0, 49)]


class Meeting(Here):
    """Rows whose readers wait a little for one another."""

    def read(self, columns, stats):
        with contextlib.suppress(threading.BrokenBarrierError):
            self.barrier.wait()
            self.met.append(self.min_ns)
        return super().read(columns, stats)


def meetings(count, rows_max):
    class Sized(Meeting):
        barrier, met = threading.Barrier(2, timeout=0.02), []

        @property
        def rows_max(self):
            return rows_max

    return [Sized([n]) for n in range(count)], Sized.met


@pytest.mark.parametrize(
    ("limit", "more"), [(UNITS_ALONE, {"stops_early": True}), (200, {})]
)
async def test_little_is_read_by_one_thread_at_a_time(executor, limit, more):
    """Where each read waits for nobody, two threads only take turns."""
    units, met = meetings(UNITS_ALONE, 1)

    await run(executor, units, Newest(limit), **more)

    assert met == []


async def test_much_is_read_by_all_threads(executor):
    units, met = meetings(2, ROWS_ALONE_MAX)
    type(units[0]).barrier = threading.Barrier(2, timeout=10)

    await run(executor, units, Newest())

    assert sorted(met) == [0, 1]


async def test_pieces_stand_in_the_order_of_their_own_times(executor):
    large = Large(0, 999, [unit_at(100), unit_at(300)])
    evaluator = Newest()

    await run(executor, [unit_at(200), large], evaluator)

    assert evaluator.added[::10] == [309, 209, 109]


@dataclass
class Broken:
    """A unit whose pack is damaged."""

    min_ns: int = 50
    max_ns: int = 60
    rows_max: int = 1
    streams: tuple = ()
    origin: str = ""

    def read(self, *_):
        raise DataUnreadable("pack 't/packs/1' is damaged")


class Answered(Broken, MappingUnit):
    """Lies elsewhere, from where the answer has come; notes who decodes it."""

    maps = True

    def __init__(self, *, known=True):
        super().__init__()
        self.known = known
        self.threads = []

    def knows(self, question):
        return self.known and question == QUESTION

    def mapped(self, question, stats):  # noqa: ARG002
        self.threads.append(threading.current_thread())
        stats.block_rows += 3
        return [[9, 8], [7]]


@pytest.mark.parametrize("known", [True, False])
async def test_an_answer_that_is_there_is_taken_without_a_thread(executor, known):
    unit, evaluator = Answered(known=known), Newest()

    outcome = await run(executor, [unit], evaluator, question=QUESTION)

    assert evaluator.added == [9, 8, 7]
    assert outcome.stats.block_rows == 3
    assert (unit.threads == [threading.current_thread()]) == known


async def test_an_answer_that_is_there_counts_for_the_watch(executor):
    class Budget:
        def note(self, stats):
            raise LimitExceeded(f"{stats.block_rows} rows")

    with pytest.raises(LimitExceeded, match="3 rows"):
        await run(executor, [Answered()], Newest(), question=QUESTION, watch=Budget())


async def test_damaged_data_fails_the_query(executor):
    with pytest.raises(DataUnreadable, match="t/packs/1"):
        await run(executor, [unit_at(0), Broken(), unit_at(70)], Newest())


async def test_damaged_data_becomes_a_warning_where_that_is_allowed(executor):
    evaluator = Newest()

    outcome = await run(
        executor,
        [unit_at(0), Broken(), unit_at(70)],
        evaluator,
        partial_allowed=True,
    )

    assert outcome.warnings == ("pack 't/packs/1' is damaged",)
    assert len(evaluator.added) == 20


async def test_an_error_in_an_evaluator_ends_the_query(executor):
    class Faulty(Newest):
        def map(self, _):
            raise LimitExceeded("too much")

    with pytest.raises(LimitExceeded):
        await run(executor, [unit_at(n) for n in range(50)], Faulty())


async def test_the_watch_may_end_a_query(executor):
    class Budget:
        rows = 0

        def note(self, stats):
            self.rows += stats.head_rows
            if self.rows > 100:
                raise LimitExceeded("too many bytes")

    evaluator = Newest()
    with pytest.raises(LimitExceeded):
        await run(executor, [unit_at(n) for n in range(500)], evaluator, watch=Budget())

    assert evaluator.mapped < 20


async def test_a_cancelled_query_begins_no_further_unit(executor):
    """Cancelling returns at once, while a unit is still being read."""
    begun, go_on = threading.Event(), threading.Event()

    class Slow(Newest):
        def map(self, batch):
            begun.set()
            go_on.wait(5)
            return super().map(batch)

    evaluator = Slow()
    task = asyncio.create_task(
        run(executor, [unit_at(n) for n in range(100)], evaluator)
    )
    await asyncio.to_thread(begun.wait, 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    executor.close()

    assert evaluator.mapped <= 2
    assert evaluator.added == []


async def test_a_long_query_does_not_keep_a_short_one_waiting(executor):
    """Threads take turns between queries, unit by unit."""
    release = threading.Event()

    class Endless(Newest):
        def enough(self, _):
            return release.is_set()

    long = asyncio.create_task(
        run(executor, [unit_at(n, rows=1) for n in range(9_999)], Endless())
    )
    await run(executor, [unit_at(0)], Newest())
    assert not long.done()
    release.set()
    await long


async def test_queries_wait_for_their_turn_tenant_by_tenant(executor):
    """A tenant with many waiting queries delays another tenant by one at most."""
    order = []
    hold = asyncio.Event()

    async def query(tenant):
        async with executor.turn(tenant):
            order.append(tenant)
            await hold.wait()
            hold.clear()

    tasks = [asyncio.create_task(query(t)) for t in ("a", "a", "a", "a", "b")]
    for _ in range(5):
        await asyncio.sleep(0)
    assert order == ["a", "a"]
    assert executor.waiting_count == 3
    while not all(task.done() for task in tasks):
        hold.set()
        await asyncio.sleep(0)

    assert order.index("b") == 3
    assert executor.running_count == 0


async def test_too_many_waiting_queries_of_a_tenant_are_refused(executor):
    async with executor.turn("a"), executor.turn("a"):
        waiting = [asyncio.create_task(executor._wait_for_turn("a")) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(LimitExceeded, match="too many outstanding requests"):
            await executor._wait_for_turn("a")
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    assert (executor.waiting_count, executor.running_count) == (0, 0)


def test_a_fair_queue_takes_tenants_in_turn():
    queue = FairQueue(outstanding_max=3)
    for tenant, item in [("a", 1), ("a", 2), ("a", 3), ("b", 4), ("c", 5)]:
        queue.push(tenant, item)
    queue.discard("c", 5)
    queue.discard("c", 5)

    assert [queue.pop() for _ in range(5)] == [1, 4, 2, 3, None]


@dataclass
class Whole(Large):
    """A unit that is read as a whole, if none of its pieces is damaged."""

    rows_max: int = 30

    def read(self, columns, stats):
        batches = [part.read(columns, stats) for part in self.parts]
        return concat(batches)


async def test_of_a_large_unit_only_the_damaged_piece_is_missing(executor):
    """Its other pieces are read one by one, and counted once."""
    evaluator = Newest()
    whole = Whole(0, 90, [unit_at(0), Broken(), unit_at(70)])

    outcome = await run(executor, [whole], evaluator, partial_allowed=True)

    assert outcome.warnings == ("pack 't/packs/1' is damaged",)
    assert sorted(evaluator.added) == [*range(10), *range(70, 80)]
    assert outcome.stats.head_rows == 20


class Held(Newest):
    """Evaluates nothing until it is let go."""

    def __init__(self):
        super().__init__()
        self.began, self.let_go = threading.Event(), threading.Event()

    def map(self, batch):
        self.began.set()
        assert self.let_go.wait(60)
        return super().map(batch)


async def test_rows_of_a_unit_are_not_evaluated_when_the_query_is_given_up(executor):
    """However large the unit: no more than the rows at work."""
    evaluator = Held()
    large = unit_at(0, rows=10 * MAP_ROWS_FIRST_BY_LINE)
    asked = asyncio.create_task(run(executor, [large], evaluator))
    await asyncio.to_thread(evaluator.began.wait, 60)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    evaluator.let_go.set()
    await executor.call(lambda: None)
    executor.close()

    assert evaluator.mapped == 1


async def test_large_units_are_evaluated_whole(executor):
    """In parts, without a row twice or missing."""
    evaluator = Newest()
    scan = Scan((), 0, 10**6, newest_first=False)
    await run(
        executor, [unit_at(0, rows=10 * MAP_ROWS_FIRST_BY_LINE + 1)], evaluator, scan
    )

    assert sorted(evaluator.added) == list(range(10 * MAP_ROWS_FIRST_BY_LINE + 1))


class InOrder(Newest):
    """Keeps the first time of each part."""

    def map(self, batch):
        return [int(batch.timestamp_ns[0])]


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("stops_early", [True, False])
async def test_parts_of_a_unit_are_added_as_rows_of_equal_time_stand_in_the_answer(
    executor, newest_first, stops_early
):
    """The last ones first where the newest few rows are wanted, else as they came."""
    evaluator = InOrder()
    scan = Scan((), 0, 10**6, newest_first=newest_first)
    unit = unit_at(0, rows=4 * MAP_ROWS_FIRST_BY_LINE)

    await run(executor, [unit], evaluator, scan, stops_early=stops_early)

    is_last_first = newest_first and stops_early
    assert len(evaluator.added) > 1
    assert evaluator.added == sorted(evaluator.added, reverse=is_last_first)
