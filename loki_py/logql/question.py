"""Questions: what a query asks, as a value that makes its plan anywhere.

Pure.
"""

from dataclasses import dataclass

from loki_py.logql import ast
from loki_py.logql import ast_metric as metric
from loki_py.logql.parser import parse
from loki_py.logql.plan import SERIES_MAX_DEFAULT, Leaf, Plan, plan_of


@dataclass(frozen=True, slots=True)
class Question:
    """The text of a query and what it is asked with; see `plan_of`."""

    text: str
    start_ns: int
    end_ns: int
    step_ns: int
    limit: int
    forward: bool
    interval_ns: int = 0
    instant: bool = False
    categorize: bool = False

    def plan(
        self,
        expr: "ast.LogQuery | metric.MetricExpr",
        *,
        series_max: int = SERIES_MAX_DEFAULT,
    ) -> Plan:
        """Return the plan.

        Args:
            expr: what the text parses to.

        Raises: QueryInvalid.
        """
        return plan_of(
            expr,
            start_ns=self.start_ns,
            end_ns=self.end_ns,
            step_ns=self.step_ns,
            limit=self.limit,
            forward=self.forward,
            interval_ns=self.interval_ns,
            instant=self.instant,
            categorize=self.categorize,
            series_max=series_max,
        )


@dataclass(frozen=True, slots=True)
class LeafQuestion:
    """One leaf of the plan that a question makes, by its position."""

    question: Question
    leaf: int

    def planned(self) -> Leaf:
        """Return the leaf, of a plan of its own.

        Raises: QueryInvalid.
        """
        plan = self.question.plan(parse(self.question.text))
        return plan.leaves[self.leaf]
