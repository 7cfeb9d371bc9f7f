"""A leaf of a plan as the executor runs it."""

from dataclasses import dataclass
from typing import Any

from loki_py.logql.exec.range_leaf import RangeEvaluator
from loki_py.logql.plan import Leaf, Plan
from loki_py.model.batch import EntryBatch
from loki_py.model.scan import Columns, ReadStats, TimedUnit


@dataclass(frozen=True, slots=True)
class PlanLeaf:
    """A `TimesEvaluator`; the plan knows what is enough."""

    plan: Plan
    leaf: Leaf

    @property
    def counts_times(self) -> bool:
        """Whether times suffice, where a unit knows them."""
        evaluator = self.leaf.evaluator
        return isinstance(evaluator, RangeEvaluator) and evaluator.counts_times

    def map(self, batch: EntryBatch) -> Any:
        """Return the batch's partial result."""
        return self.leaf.evaluator.map(batch)

    def map_times(self, unit: TimedUnit, columns: Columns, stats: ReadStats) -> Any:
        """Return what comes of the unit's times; None where it must be read."""
        evaluator = self.leaf.evaluator
        assert isinstance(evaluator, RangeEvaluator)
        runs = unit.read_times(columns, stats)
        return None if runs is None else evaluator.map_times(runs)

    def add(self, partial: Any) -> None:
        """Take a partial result."""
        self.leaf.evaluator.add(partial)

    def enough(self, bound_ns: int) -> bool:
        """Return whether rows no newer (older) than this can change nothing."""
        return self.plan.enough(bound_ns)
