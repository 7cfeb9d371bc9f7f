"""Answer what Grafana asks beside queries: volumes, statistics, labels, fields.

Owns nothing; it asks the same sources as the querier, in the same turns.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np

from loki_py.config.limits import Overrides
from loki_py.errors import DataUnreadable, QueryInvalid, QueryTimeout, RequestRejected
from loki_py.logql import ast
from loki_py.logql.parser import parse
from loki_py.model.matchers import Matcher
from loki_py.model.results import Matrix, Streams, Vector
from loki_py.model.scan import Columns, ReadStats, Scan
from loki_py.querier import limits as rules
from loki_py.querier.detected_fields import Field, fields_of, values_of
from loki_py.querier.executor import QueryExecutor
from loki_py.querier.requests import MetadataRequest, RangeRequest
from loki_py.querier.selectors import matcher_groups
from loki_py.querier.service import Querier
from loki_py.querier.sources import Selected, Sources
from loki_py.querier.stats import QueryCost
from loki_py.querier.volume import (
    Tally,
    Volumes,
    edges_of,
    grouping_of,
    series_volumes,
)
from loki_py.runtime.clock import Clock

_NS_PER_S = 1_000_000_000
SPLIT_GAP_NS = 1_000_000
"""How long before the next span the point of a span stands, as in Loki."""

_KEPT_LABELS = {"cluster", "namespace", "instance", "pod"}
WITHOUT_LINES = Columns(line=False)


@dataclass(frozen=True, slots=True)
class VolumeRequest:
    """How much there is of what, in [start_ns, end_ns).

    Attributes:
        targets: the labels to group by; none for those that the query names.
        by_label: whether to add up by label name.
        limit: series in the answer.
        step_ns: the spans to tell apart; None for one.
    """

    query: str
    start_ns: int
    end_ns: int
    limit: int
    targets: Sequence[str] = ()
    by_label: bool = False
    step_ns: int | None = None


@dataclass(frozen=True, slots=True)
class FieldsRequest:
    """Which fields the newest lines of a query have.

    Attributes:
        line_limit: lines to look at.
        limit: fields, or values, in the answer.
    """

    query: str
    start_ns: int
    end_ns: int
    line_limit: int
    limit: int


@dataclass(frozen=True, slots=True)
class IndexStats:
    """How much a selector selects; bytes of lines and structured metadata."""

    streams: int
    chunks: int
    bytes: int
    entries: int


class _NoWatch:
    """Volumes read what they must; the query's timeout is their bound."""

    def note(self, stats: ReadStats) -> None:
        """Let it go on."""


class IndexQuerier:
    """Answers these questions of all tenants.

    Args:
        querier: runs the queries whose lines are sampled.
        sources: where entries are.
        executor: what reads.
        overrides: what each tenant may ask.
        clock: tells the time.
    """

    def __init__(
        self,
        querier: Querier,
        sources: Sources,
        executor: QueryExecutor,
        overrides: Overrides,
        clock: Clock,
    ) -> None:
        self._querier = querier
        self._sources = sources
        self._executor = executor
        self._overrides = overrides
        self._clock = clock

    async def stats(self, tenant: str, request: MetadataRequest) -> IndexStats:
        """Return how much there is of what the selectors select.

        Raises: RequestRejected, Unavailable.
        """
        [matchers] = matcher_groups(request.selectors)
        volumes, cost = await self._volumes(
            tenant,
            matchers,
            start_ns=request.start_ns,
            end_ns=request.end_ns,
            edges_ns=np.array([request.start_ns]),
        )
        return IndexStats(
            len(volumes.streams),
            cost.read.chunks_matched,
            int(volumes.size_bytes.sum()),
            int(volumes.entries.sum()),
        )

    async def volume(
        self, tenant: str, request: VolumeRequest
    ) -> tuple[Vector | Matrix, QueryCost]:
        """Return bytes by series: at the end, or for each span of time.

        Raises: RequestRejected, Unavailable.
        """
        limits = self._overrides.limits_of(tenant)
        if not limits.volume_enabled:
            raise RequestRejected("not found", status=404)
        [given] = matcher_groups((request.query,) if request.query else ())
        grouping, matchers = grouping_of(
            given, request.targets, by_label=request.by_label
        )
        edges_ns = np.array([request.start_ns])
        if request.step_ns is not None:
            edges_ns = edges_of(
                start_ns=request.start_ns,
                end_ns=request.end_ns,
                step_ns=request.step_ns,
            )
        volumes, cost = await self._volumes(
            tenant,
            matchers,
            start_ns=request.start_ns,
            end_ns=request.end_ns,
            edges_ns=edges_ns,
        )
        found = series_volumes(
            volumes,
            grouping,
            spans=len(edges_ns),
            series_max=limits.volume_series_max,
        )
        labels, sizes = found.labels[: request.limit], found.size_bytes[: request.limit]
        if request.step_ns is None or not labels:
            total = sizes.sum(axis=1).astype(np.float64)
            return Vector(labels, request.end_ns, total), cost
        times_ns = np.append(edges_ns[1:] - SPLIT_GAP_NS, request.end_ns)
        return Matrix(labels, times_ns, sizes.astype(np.float64), sizes > 0), cost

    async def detected_labels(
        self, tenant: str, request: MetadataRequest
    ) -> Mapping[str, int]:
        """Return the labels worth choosing from, and how many values each has.

        Raises: RequestRejected, Unavailable.
        """
        values: dict[str, set[str]] = {}
        for labels in await self._querier.series(tenant, request):
            for name, value in labels.pairs:
                values.setdefault(name, set()).add(value)
        return {
            name: len(given) for name, given in values.items() if is_told(name, given)
        }

    async def detected_fields(
        self, tenant: str, request: FieldsRequest
    ) -> Mapping[str, Field]:
        """Return the fields of the newest lines of a query.

        Raises: RequestRejected, Unavailable.
        """
        sample = await self._sample(tenant, request)
        return await self._executor.call(
            lambda: fields_of(sample, count_max=request.limit)
        )

    async def detected_field_values(
        self, tenant: str, name: str, request: FieldsRequest
    ) -> Sequence[str]:
        """Return the values that a field has in the newest lines of a query.

        Raises: RequestRejected, Unavailable.
        """
        sample = await self._sample(tenant, request)
        return await self._executor.call(
            lambda: values_of(sample, name, count_max=request.limit)
        )

    async def _sample(self, tenant: str, request: FieldsRequest) -> Streams:
        if not isinstance(parse(request.query), ast.LogQuery):
            raise QueryInvalid("only log selector is supported")
        answer = await self._querier.query_range(
            tenant,
            RangeRequest(
                query=request.query,
                start_ns=request.start_ns,
                end_ns=request.end_ns,
                step_ns=_NS_PER_S,
                limit=request.line_limit,
                categorized=True,
            ),
        )
        assert isinstance(answer.result.data, Streams)
        return answer.result.data

    async def _volumes(
        self,
        tenant: str,
        matchers: Sequence[Matcher],
        *,
        start_ns: int,
        end_ns: int,
        edges_ns: "np.typing.NDArray[np.int64]",
    ) -> tuple[Volumes, QueryCost]:
        """Return what there is in [start, end), and what finding it cost."""
        limits = self._overrides.limits_of(tenant)
        rules.check_labels(limits, matchers)
        span = rules.metadata_span(
            limits, start_ns=start_ns, end_ns=end_ns, now_ns=self._clock.now_ns()
        )
        scan = Scan(tuple(matchers), span.start_ns, end_ns)
        timeout_s = limits.query_timeout_ns / _NS_PER_S or None
        return await self._sources.whole(
            lambda: self._tallied(tenant, scan, Tally(edges_ns), timeout_s)
        )

    async def _tallied(
        self, tenant: str, scan: Scan, tally: Tally, timeout_s: float | None
    ) -> tuple[Volumes, QueryCost]:
        """Count in its turn and time."""
        asked_ns = self._clock.monotonic_ns()
        try:
            async with asyncio.timeout(timeout_s), self._executor.turn(tenant):
                began_ns = self._clock.monotonic_ns()
                read, selected = await self._run(tenant, scan, tally)
                volumes = await self._executor.call(tally.volumes)
        except TimeoutError:
            raise QueryTimeout(
                f"query ran for more than {timeout_s} s, its limit"
            ) from None

        cost = QueryCost(
            read=read,
            exec_ns=self._clock.monotonic_ns() - began_ns,
            queue_ns=began_ns - asked_ns,
            streams_matched=len(volumes.streams),
            ingesters_reached=selected.ingesters_count,
            skipped=selected.skipped,
        )
        return volumes, cost

    async def _run(
        self, tenant: str, scan: Scan, tally: Tally
    ) -> tuple[ReadStats, Selected]:
        selected = await self._sources.select(tenant, scan, stops_early=False)
        if selected.missing:
            raise DataUnreadable("; ".join(selected.missing))
        counted, others = tally.take_chunks(
            selected.units, start_ns=scan.start_ns, end_ns=scan.end_ns
        )
        without_lines = Scan(scan.matchers, scan.start_ns, scan.end_ns, WITHOUT_LINES)
        read = ReadStats(chunks_matched=selected.chunks_matched)
        for units, one in ((counted, without_lines), (others, scan)):
            if units:
                outcome = await self._executor.run_leaf(
                    units, one, tally, watch=_NoWatch(), stops_early=False
                )
                read.add(outcome.stats)
        return read, selected


def is_told(name: str, values: set[str]) -> bool:
    """Return whether a label is worth choosing from: its values are not all ids."""
    if name in _KEPT_LABELS:
        return True
    return not all(map(_is_id, values))


def _is_id(value: str) -> bool:
    for read in (float, UUID):
        try:
            read(value)
        except ValueError:
            continue
        return True
    return False
