"""Evaluate leaves of plans for queriers in other processes, as for one's own.

Owns an executor: units are cut, put together, read by several threads, and left
where the first of them suffice, as the same query here would have it. It shares
no thread with the queries of this process, which wait for other processes.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from loki_py.logql.exec.range_leaf import RangePartial, joined
from loki_py.logql.parser import parse
from loki_py.logql.plan import LogPlan
from loki_py.logql.question import LeafQuestion
from loki_py.model.scan import ReadStats, ScanUnit
from loki_py.querier.executor import QueryExecutor
from loki_py.querier.plan_leaf import PlanLeaf
from loki_py.transport.read_unit import ANY_ROWS, GivenUp

JOINED_ROWS = 50_000
"""Samples that are told together: to tell of a few costs the same."""


ROWS_AT_ONCE_MAX = 10_000
"""Rows that are told on the event loop: a thread is dearer."""

QUERIES_KEPT = 128
"""Texts of queries that need not be parsed again: all shares of one have the same,
and dashboards ask it every few seconds."""

BYTES_AT_ONCE_MAX = 4 << 20
"""Bytes of which they may be: on the loop nobody waits until they are sent."""

_parsed = lru_cache(maxsize=QUERIES_KEPT)(parse)


class ServedLeaves:
    """Evaluates the leaves that others ask for; a `transport.read_unit.LeafRunner`."""

    def __init__(self) -> None:
        self._executor = QueryExecutor(
            threads_count=0, concurrent_max=0, outstanding_max=0
        )

    async def run(
        self,
        units: Sequence[ScanUnit],
        question: LeafQuestion,
        take: Callable[[Any], None],
        *,
        rows_max: int = ANY_ROWS,
    ) -> ReadStats:
        """Give what a leaf makes of the units' rows to `take`; see `LeafRunner`.

        Raises: GivenUp, QueryInvalid, DataUnreadable, Unavailable.
        """
        asked = question.question
        plan = asked.plan(_parsed(asked.text))
        leaf = plan.leaves[question.leaf]
        told: _Newest | _Samples = (
            _Newest(plan, leaf, take)
            if isinstance(plan, LogPlan)
            else _Samples(plan, leaf, take)
        )
        outcome = await self._executor.run_leaf(
            units,
            leaf.scan,
            told,
            watch=_Watch(rows_max),
            stops_early=isinstance(plan, LogPlan),
            by_line=leaf.evaluator.by_line,
        )
        stats = outcome.stats
        read_bytes = stats.head_bytes + stats.block_bytes + stats.metadata_bytes
        if told.rows_count > ROWS_AT_ONCE_MAX or read_bytes > BYTES_AT_ONCE_MAX:
            await self._executor.call(told.end)
        else:
            told.end()
        return stats

    def close(self) -> None:
        """Wait for the units at work."""
        self._executor.close()


@dataclass(frozen=True, slots=True)
class _Newest(PlanLeaf):
    """A log query's leaf, told at the end: the entries that may be wanted."""

    plan: LogPlan
    take: Callable[[Any], None]

    @property
    def rows_count(self) -> int:
        return self.plan.evaluator.rows_kept

    def end(self) -> None:
        for partial in self.plan.evaluator.collected():
            self.take(partial)


@dataclass(frozen=True, slots=True)
class _Samples(PlanLeaf):
    """A range aggregation's leaf, told as it goes on, many partial results as one."""

    take: Callable[[Any], None]
    held: list[RangePartial] = field(default_factory=list)

    @property
    def rows_count(self) -> int:
        return sum(len(each.block.series) for each in self.held)

    def add(self, partial: Sequence[RangePartial]) -> None:
        self.held.extend(partial)
        if self.rows_count >= JOINED_ROWS:
            self.end()

    def end(self) -> None:
        if self.held:
            self.take((joined(self.held),))
            self.held.clear()


@dataclass(slots=True)
class _Watch:
    """What is read counts where the query was asked; here it may be too much."""

    rows_max: int
    rows: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, stats: ReadStats) -> None:
        """Count rows.

        Raises: GivenUp.
        """
        with self.lock:
            self.rows += stats.head_rows + stats.block_rows
            if self.rows > self.rows_max:
                raise GivenUp(f"{self.rows} rows were read; limit is {self.rows_max}")
