"""Run queries on threads: whose turn it is, the leaves at work, their end.

Owns one pool of named threads, as many as cores. A query first waits for its
turn; its leaves then share the pool with those of the other queries at work.
Cancelling whoever awaits a query stops it: units at work come to their end,
none is begun. Start is construction; `close` waits for units at work.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeGuard, TypeVar

from loki_py.logql.question import LeafQuestion
from loki_py.model.scan import LocalUnit, ReadStats, Scan, ScanUnit
from loki_py.querier.fairness import FairQueue
from loki_py.querier.leaf_run import (
    MAP_ROWS_FIRST,
    MAP_ROWS_FIRST_BY_LINE,
    Evaluator,
    LeafRun,
    ReadWatch,
    RunPolicy,
    counts_times,
)
from loki_py.querier.small_units import small_joined
from loki_py.transport.abc import MappingUnit
from loki_py.transport.groups import grouped

T = TypeVar("T")

AHEAD_PER_WORKER = 8
"""Partial results that may wait for those before them, for each worker."""

AHEAD_PER_WORKER_EARLY = 2
"""The same where a few rows may suffice: what is read ahead may be for nothing."""


UNITS_ALONE = 4
"""Units that one thread reads where a few rows may suffice: what others would read
meanwhile is mostly for nothing."""


ROWS_ALONE_MAX = 131_072
"""Rows, in all, that are best read and evaluated by one thread."""


@dataclass(frozen=True, slots=True)
class LeafOutcome:
    """What running a leaf came to, beside what its evaluator holds.

    Attributes:
        stats: what reading cost.
        warnings: what is missing from the result.
    """

    stats: ReadStats
    warnings: Sequence[str]


class QueryExecutor:
    """Runs the queries of one process.

    Args:
        threads_count: threads that read and evaluate; 0 means one per core.
        concurrent_max: queries at work at once; others wait for their turn.
        outstanding_max: queries of one tenant that may wait.
    """

    def __init__(
        self, *, threads_count: int, concurrent_max: int, outstanding_max: int
    ) -> None:
        self._workers = threads_count or os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="querier")
        self._concurrent_max = concurrent_max
        self._running = 0
        self._queue: FairQueue[asyncio.Future[None]] = FairQueue(
            outstanding_max=outstanding_max
        )

    @property
    def waiting_count(self) -> int:
        """Queries that wait for their turn."""
        return len(self._queue)

    @property
    def running_count(self) -> int:
        """Queries at work."""
        return self._running

    @asynccontextmanager
    async def turn(self, tenant: str) -> AsyncIterator[None]:
        """Wait for the tenant's turn, and hold it.

        Raises: LimitExceeded where too many queries of the tenant wait.
        """
        await self._wait_for_turn(tenant)
        try:
            yield
        finally:
            self._running -= 1
            self._hand_out()

    async def run_leaf(
        self,
        units: Sequence[ScanUnit],
        scan: Scan,
        evaluator: Evaluator,
        *,
        watch: ReadWatch,
        stops_early: bool,
        partial_allowed: bool = False,
        question: LeafQuestion | None = None,
        by_line: bool = True,
    ) -> LeafOutcome:
        """Read and evaluate the units; the evaluator holds the result.

        Args:
            units: free of duplicates, see `merge`; selected for `scan`.
            evaluator: takes the batches.
            watch: told what each unit cost; may end the query.
            stops_early: whether the newest (oldest) few suffice; reads little ahead.
            partial_allowed: whether data that cannot be read becomes a warning.
            question: what the evaluator answers; units elsewhere that know the
                plan of it are evaluated there.
            by_line: whether lines may be looked at one by one, so that few are
                evaluated at once at first.

        Raises: DataUnreadable, Unavailable, what `watch` and the evaluator raise.
        """
        if question is not None:
            units = grouped(units)
            if len(units) == 1 and _is_answered(units[0], question):
                return _answered(units[0], question, evaluator, watch)
        ahead = AHEAD_PER_WORKER_EARLY if stops_early else AHEAD_PER_WORKER
        policy = RunPolicy(
            workers=self._workers,
            ahead_max=self._workers * ahead,
            alone_max=_alone_max(units, evaluator, stops_early=stops_early),
            map_rows_first=MAP_ROWS_FIRST_BY_LINE if by_line else MAP_ROWS_FIRST,
            cut_small=stops_early,
            partial_allowed=partial_allowed,
        )
        run = LeafRun(scan, evaluator, self._pool, policy, watch, question)
        if not stops_early:
            units = small_joined(units, groups_min=self._workers, columns=scan.columns)
        run.start(units)
        try:
            await asyncio.wrap_future(run.done)
        except asyncio.CancelledError:
            run.stop()
            raise
        return LeafOutcome(run.stats, tuple(run.warnings))

    async def call(self, function: Callable[[], T]) -> T:
        """Return what the function returns, called on a thread of the pool."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function)

    def close(self) -> None:
        """Wait for the units at work; queries not at their end by then fail."""
        self._pool.shutdown(wait=True)

    async def _wait_for_turn(self, tenant: str) -> None:
        if self._running < self._concurrent_max and not len(self._queue):
            self._running += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._queue.push(tenant, turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._running -= 1
                self._hand_out()
            else:
                self._queue.discard(tenant, turn)
            raise

    def _hand_out(self) -> None:
        while self._running < self._concurrent_max:
            turn = self._queue.pop()
            if turn is None:
                return
            if not turn.done():
                self._running += 1
                turn.set_result(None)


def _is_answered(unit: ScanUnit, question: LeafQuestion) -> TypeGuard[MappingUnit]:
    return isinstance(unit, MappingUnit) and unit.maps and unit.knows(question)


def _answered(
    unit: MappingUnit, question: LeafQuestion, evaluator: Evaluator, watch: ReadWatch
) -> LeafOutcome:
    """Add what came of all units in advance: a thread is dearer than that."""
    stats = ReadStats()
    for partial in unit.mapped(question, stats):
        evaluator.add(partial)
    watch.note(stats)
    return LeafOutcome(stats, ())


def _alone_max(
    units: Sequence[ScanUnit], evaluator: Evaluator, *, stops_early: bool
) -> int:
    """Return how many units are best read by one thread.

    Counting times is mostly work between calls, for which threads take turns; and
    what is little work at all is done before a second thread pays.
    """
    if not all(isinstance(unit, LocalUnit) for unit in units):
        return 0
    rows = sum(unit.rows_max for unit in units)
    if counts_times(evaluator) or rows <= ROWS_ALONE_MAX:
        return len(units)
    return UNITS_ALONE if stops_early else 0
