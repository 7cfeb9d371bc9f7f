"""Answer questions about entries: queries, labels, series, under limits.

Owns nothing; the executor and the store reader it is given are closed by
whoever made them, after the last question.
"""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from loki_py.config.limits import Limits, Overrides
from loki_py.errors import DataUnreadable, QueryTimeout
from loki_py.logql import ast
from loki_py.logql import ast_metric as metric
from loki_py.logql.parser import parse
from loki_py.logql.plan import Leaf, Plan
from loki_py.logql.question import LeafQuestion, Question
from loki_py.model.labels import LabelSet
from loki_py.model.results import Data, Matrix, Result, Streams, Vector
from loki_py.model.scan import ReadStats, Skipped
from loki_py.querier import limits as rules
from loki_py.querier.executor import LeafOutcome, QueryExecutor
from loki_py.querier.plan_leaf import PlanLeaf
from loki_py.querier.requests import (
    InstantRequest,
    MetadataRequest,
    QueryAnswer,
    RangeRequest,
)
from loki_py.querier.selectors import matcher_groups
from loki_py.querier.sources import Selected, Sources
from loki_py.querier.stats import QueryCost
from loki_py.runtime.clock import Clock

_NS_PER_S = 1_000_000_000


class Querier:
    """Answers the questions of all tenants.

    Args:
        sources: where entries are.
        executor: what runs plans.
        overrides: what each tenant may ask.
        clock: tells the time.
        partial_allowed: whether an answer may miss what cannot be read, with a
            warning that says so; else the question fails.
    """

    def __init__(
        self,
        sources: Sources,
        executor: QueryExecutor,
        overrides: Overrides,
        clock: Clock,
        *,
        partial_allowed: bool = False,
    ) -> None:
        self._sources = sources
        self._executor = executor
        self._overrides = overrides
        self._clock = clock
        self._partial_allowed = partial_allowed

    async def query_range(self, tenant: str, request: RangeRequest) -> QueryAnswer:
        """Return the entries, or the points, of an interval.

        Raises: RequestRejected, Unavailable.
        """
        limits = self._overrides.limits_of(tenant)
        expr = parse(request.query)
        rules.check_query(limits, request.query, expr, tags=request.tags)
        is_log = isinstance(expr, ast.LogQuery)
        if is_log:
            rules.check_entries(limits, request.limit)
        span = rules.clamped_span(
            limits,
            start_ns=request.start_ns,
            end_ns=request.end_ns,
            now_ns=self._clock.now_ns(),
        )
        start_ns = span.start_ns if span else request.end_ns
        rules.check_length(limits, request.end_ns - start_ns + rules.reach_ns_of(expr))
        end_ns = request.end_ns
        if is_log and start_ns == end_ns:
            # An interval of no length holds its start, as in Loki.
            end_ns += 1
        question = Question(
            request.query,
            start_ns,
            end_ns,
            request.step_ns,
            request.limit,
            forward=not request.newest_first,
            interval_ns=request.interval_ns,
            categorize=request.categorized,
        )
        asked = _Asked(question, expr, blank=span is None)
        return await self._run(tenant, asked, limits)

    async def query(self, tenant: str, request: InstantRequest) -> QueryAnswer:
        """Return the value of a metric query at one time.

        Raises: RequestRejected, Unavailable.
        """
        limits = self._overrides.limits_of(tenant)
        expr = parse(request.query)
        rules.check_query(limits, request.query, expr, tags=request.tags)
        question = Question(
            request.query,
            request.time_ns,
            request.time_ns,
            _NS_PER_S,
            request.limit,
            forward=not request.newest_first,
            instant=True,
        )
        rules.check_length(limits, rules.reach_ns_of(expr))
        span = rules.clamped_span(
            limits,
            start_ns=request.time_ns,
            end_ns=request.time_ns,
            now_ns=self._clock.now_ns(),
        )
        asked = _Asked(question, expr, blank=span is None)
        return await self._run(tenant, asked, limits)

    async def labels(self, tenant: str, request: MetadataRequest) -> Sequence[str]:
        """Return the names of labels on streams with entries, sorted.

        Raises: RequestRejected, Unavailable.
        """
        span = self._metadata_span(tenant, request)
        names: set[str] = set()
        for matchers in matcher_groups(request.selectors):
            names |= await self._sources.label_names(
                tenant, matchers, start_ns=span.start_ns, end_ns=span.end_ns + 1
            )
        return sorted(names)

    async def label_values(
        self, tenant: str, name: str, request: MetadataRequest
    ) -> Sequence[str]:
        """Return the values of a label on streams with entries, sorted.

        Raises: RequestRejected, Unavailable.
        """
        span = self._metadata_span(tenant, request)
        values: set[str] = set()
        for matchers in matcher_groups(request.selectors):
            values |= await self._sources.label_values(
                tenant, name, matchers, start_ns=span.start_ns, end_ns=span.end_ns + 1
            )
        return sorted(values)

    async def series(self, tenant: str, request: MetadataRequest) -> Sequence[LabelSet]:
        """Return the label sets of streams with entries, sorted by their text.

        Raises: RequestRejected, Unavailable.
        """
        groups = matcher_groups(request.selectors)
        span = self._metadata_span(tenant, request)
        found: set[LabelSet] = set()
        for matchers in groups:
            found |= await self._sources.series(
                tenant, matchers, start_ns=span.start_ns, end_ns=span.end_ns + 1
            )
        return sorted(found, key=lambda labels: labels.text)

    def _metadata_span(self, tenant: str, request: MetadataRequest) -> rules.Span:
        return rules.metadata_span(
            self._overrides.limits_of(tenant),
            start_ns=request.start_ns,
            end_ns=request.end_ns,
            now_ns=self._clock.now_ns(),
        )

    async def _run(self, tenant: str, asked: "_Asked", limits: Limits) -> QueryAnswer:
        """Run a plan; anew where an instance was lost that others can stand in for."""
        return await self._sources.whole(lambda: self._run_once(tenant, asked, limits))

    async def _run_once(
        self, tenant: str, asked: "_Asked", limits: Limits
    ) -> QueryAnswer:
        """Run a plan in its turn and time."""
        plan = asked.question.plan(asked.expr, series_max=limits.query_series_max)
        timeout_s = limits.query_timeout_ns / _NS_PER_S or None
        asked_ns = self._clock.monotonic_ns()
        try:
            async with asyncio.timeout(timeout_s), self._executor.turn(tenant):
                began_ns = self._clock.monotonic_ns()
                outcomes = await self._run_leaves(tenant, plan, asked, limits)
                result = await self._executor.call(plan.finish)
        except TimeoutError:
            raise QueryTimeout(
                f"query ran for more than {timeout_s} s, its limit"
            ) from None
        return self._answer_of(
            result,
            outcomes,
            queue_ns=began_ns - asked_ns,
            exec_ns=self._clock.monotonic_ns() - began_ns,
        )

    async def _run_leaves(
        self, tenant: str, plan: Plan, asked: "_Asked", limits: Limits
    ) -> "list[tuple[Selected, LeafOutcome]]":
        budget = _Budget(limits)
        leaves = () if asked.blank else plan.leaves

        async def run(number: int, leaf: Leaf) -> tuple[Selected, LeafOutcome]:
            question = LeafQuestion(asked.question, number)
            selected = await self._sources.select(
                tenant, leaf.scan, stops_early=asked.is_log, question=question
            )
            self._check_selected(selected, budget, limits)
            outcome = await self._executor.run_leaf(
                selected.units,
                leaf.scan,
                PlanLeaf(plan, leaf),
                watch=budget,
                stops_early=asked.is_log,
                partial_allowed=self._partial_allowed,
                question=question,
                by_line=leaf.evaluator.by_line,
            )
            return selected, outcome

        if len(leaves) == 1:
            return [await run(0, leaves[0])]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(run(*each)) for each in enumerate(leaves)]
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return [task.result() for task in tasks]

    def _check_selected(
        self, selected: Selected, budget: "_Budget", limits: Limits
    ) -> None:
        if selected.missing and not self._partial_allowed:
            raise DataUnreadable("; ".join(selected.missing))
        rules.check_chunks(limits, selected.chunks_matched)
        budget.expect(selected.line_bytes)

    def _answer_of(
        self,
        result: Result,
        outcomes: "Sequence[tuple[Selected, LeafOutcome]]",
        *,
        queue_ns: int,
        exec_ns: int,
    ) -> QueryAnswer:
        read = ReadStats()
        warnings: dict[str, None] = {}
        for selected, outcome in outcomes:
            read.add(outcome.stats)
            read.chunks_matched += selected.chunks_matched
            told = (*selected.missing, *selected.gone, *outcome.warnings)
            warnings |= dict.fromkeys(told)
        cost = QueryCost(
            read=read,
            exec_ns=exec_ns,
            queue_ns=queue_ns,
            subqueries_count=len(outcomes),
            rows_kept=result.rows_kept,
            rows_returned=_rows_of(result.data),
            streams_matched=max((s.streams_matched for s, _ in outcomes), default=0),
            ingesters_reached=max((s.ingesters_count for s, _ in outcomes), default=0),
            bytes_estimated=sum(selected.line_bytes for selected, _ in outcomes),
            skipped=Skipped.total_of(selected.skipped for selected, _ in outcomes),
        )
        return QueryAnswer(result, cost, tuple(warnings))


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question, parsed.

    Attributes:
        blank: whether all that it could read is too old to be read.
    """

    question: Question
    expr: "ast.LogQuery | metric.MetricExpr"
    blank: bool

    @property
    def is_log(self) -> bool:
        """Whether it asks for entries."""
        return isinstance(self.expr, ast.LogQuery)


@dataclass(slots=True)
class _Budget:
    """The bytes of lines that one query reads, over all its leaves."""

    limits: Limits
    expected: int = 0
    read: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def expect(self, size_bytes: int) -> None:
        """Count bytes that the index says will be read.

        Raises: LimitBroken.
        """
        self.expected += size_bytes
        rules.check_bytes(self.limits, self.expected)

    def note(self, stats: ReadStats) -> None:
        """Count what was read.

        Raises: LimitBroken.
        """
        with self._lock:
            self.read += stats.head_bytes + stats.block_bytes
            rules.check_bytes(self.limits, self.read)


def _rows_of(data: Data) -> int:
    match data:
        case Streams():
            return len(data)
        case Matrix():
            return int(data.present.sum())
        case Vector():
            return len(data.values)
        case _:
            return 1
