"""Evaluate leaves of plans for queriers in other processes, as for one's own.

Owns an executor: units are cut, put together, read by several threads, and left
where the first of them suffice, as the same query here would have it. It shares
no thread with the queries of this process, which wait for other processes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from loki_py.logql.parser import parse
from loki_py.logql.plan import LogPlan
from loki_py.logql.question import LeafQuestion
from loki_py.model.scan import ReadStats, ScanUnit
from loki_py.querier.executor import QueryExecutor
from loki_py.querier.plan_leaf import PlanLeaf


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
    ) -> ReadStats:
        """Give what a leaf makes of the units' rows to `take`; see `LeafRunner`.

        Raises: QueryInvalid, DataUnreadable, Unavailable.
        """
        asked = question.question
        plan = asked.plan(parse(asked.text))
        leaf = plan.leaves[question.leaf]
        outcome = await self._executor.run_leaf(
            units,
            leaf.scan,
            _Told(plan, leaf, take),
            watch=_Unwatched(),
            stops_early=isinstance(plan, LogPlan),
        )
        return outcome.stats

    def close(self) -> None:
        """Wait for the units at work."""
        self._executor.close()


@dataclass(frozen=True, slots=True)
class _Told(PlanLeaf):
    """The evaluation of a leaf whose partial results are added up elsewhere."""

    take: Callable[[Any], None]

    def add(self, partial: Any) -> None:
        if isinstance(self.plan, LogPlan):
            # Added up here too, to know when it is enough.
            self.leaf.evaluator.add(partial)
        self.take(partial)


class _Unwatched:
    """What is read counts where the query was asked."""

    def note(self, stats: ReadStats) -> None:
        """Allow it."""
