"""Several tenants asked as one: a label tells whose each stream is.

A request names them `a|b`. Their streams get the label `__tenant_id__`; one that
was stored under that name is called `original___tenant_id__`. Matchers on the
former choose among the tenants, matchers on the latter mean the stored label.
Every tenant is asked for itself: nothing below this module knows several.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from loki_py.config.limits import Limits, Overrides
from loki_py.logql.question import LeafQuestion
from loki_py.model.batch import EntryBatch
from loki_py.model.labels import LabelSet
from loki_py.model.matchers import Matcher
from loki_py.model.scan import Columns, ReadStats, Scan, ScanUnit, Skipped
from loki_py.querier.merge import in_order
from loki_py.querier.sources import Selected, Sources
from loki_py.querier.wrapped_unit import WrappedUnit

SEPARATOR = "|"
TENANT_LABEL = "__tenant_id__"
STORED_LABEL = "original___tenant_id__"

_SMALLEST = (
    *("query_entries_max", "query_series_max", "query_length_ns_max"),
    *("query_range_ns_max", "query_lookback_ns_max", "query_chunks_max"),
    *("query_bytes_read_max", "querier_bytes_read_max", "query_timeout_ns"),
    *("query_matchers_max", "volume_series_max"),
)


def labels_of(tenant: str, labels: LabelSet) -> LabelSet:
    """Return a tenant's label set as it is shown among those of others."""
    shown = {STORED_LABEL if n == TENANT_LABEL else n: v for n, v in labels.pairs}
    return LabelSet.of({**shown, TENANT_LABEL: tenant})


def chosen(
    tenant: str, matchers: Sequence[Matcher]
) -> tuple[list[str], tuple[Matcher, ...]]:
    """Return which of the tenants matchers choose, and what their streams must match.

    Args:
        tenant: of the request, one or several.
    """
    tenants = [
        one
        for one in tenant.split(SEPARATOR)
        if all(m.matches(one) for m in matchers if m.name == TENANT_LABEL)
    ]
    own = tuple(
        replace(matcher, name=TENANT_LABEL) if matcher.name == STORED_LABEL else matcher
        for matcher in matchers
        if matcher.name != TENANT_LABEL
    )
    return tenants, own


@dataclass(slots=True)
class Shown:
    """A tenant's label sets as they are shown: one list for each of its sources.

    May be used from several threads; whoever comes second does the work again.
    """

    tenant: str
    _lists: dict[int, tuple[Sequence[LabelSet], Sequence[LabelSet]]] = field(
        default_factory=dict
    )

    def of(self, streams: Sequence[LabelSet]) -> Sequence[LabelSet]:
        """Return the list for a source's list, the same for the same."""
        known = self._lists.get(id(streams))
        if known is None:
            # The source's list is kept as well, so that no other gets its identity.
            made = [labels_of(self.tenant, labels) for labels in streams]
            known = self._lists.setdefault(id(streams), (streams, made))
        return known[1]


@dataclass(frozen=True, slots=True)
class TenantUnit(WrappedUnit):
    """A unit of one tenant, whose streams say so."""

    shown: Shown

    @property
    def streams(self) -> Sequence[LabelSet]:
        return self.shown.of(self.unit.streams)

    @property
    def origin(self) -> str:
        return f"{self.shown.tenant}/{self.unit.origin}"

    def read(self, columns: Columns, stats: ReadStats) -> EntryBatch:
        """Return the unit's rows."""
        batch = self.unit.read(columns, stats)
        return replace(batch, streams=self.shown.of(batch.streams))


@dataclass(frozen=True, slots=True)
class FederatedSources(Sources):
    """Sources that know several tenants."""

    async def select(
        self,
        tenant: str,
        scan: Scan,
        *,
        stops_early: bool,
        question: LeafQuestion | None = None,
    ) -> Selected:
        """Return what the chosen tenants hold; see Sources."""
        if SEPARATOR not in tenant:
            return await Sources.select(
                self, tenant, scan, stops_early=stops_early, question=question
            )
        tenants, matchers = chosen(tenant, scan.matchers)
        own = replace(scan, matchers=matchers)
        found = await asyncio.gather(
            *(Sources.select(self, t, own, stops_early=stops_early) for t in tenants)
        )
        units: list[ScanUnit] = []
        for one, selected in zip(tenants, found, strict=True):
            shown = Shown(one)
            units += [TenantUnit(unit, shown) for unit in selected.units]
        return Selected(
            in_order(units, scan),
            sum(each.chunks_matched for each in found),
            sum(each.streams_matched for each in found),
            sum(each.line_bytes for each in found),
            tuple(text for each in found for text in each.missing),
            tuple(text for each in found for text in each.gone),
            max((each.ingesters_count for each in found), default=0),
            Skipped.total_of(each.skipped for each in found),
        )

    async def series(
        self, tenant: str, matchers: Sequence[Matcher], *, start_ns: int, end_ns: int
    ) -> set[LabelSet]:
        """Return the label sets of the chosen tenants; see Sources."""
        if SEPARATOR not in tenant:
            return await Sources.series(
                self, tenant, matchers, start_ns=start_ns, end_ns=end_ns
            )
        tenants, own = chosen(tenant, matchers)
        found = await asyncio.gather(
            *(
                Sources.series(self, one, own, start_ns=start_ns, end_ns=end_ns)
                for one in tenants
            )
        )
        return {
            labels_of(one, labels)
            for one, each in zip(tenants, found, strict=True)
            for labels in each
        }

    async def label_names(
        self, tenant: str, matchers: Sequence[Matcher], *, start_ns: int, end_ns: int
    ) -> set[str]:
        """Return the label names of the chosen tenants; see Sources."""
        if SEPARATOR not in tenant:
            return await Sources.label_names(
                self, tenant, matchers, start_ns=start_ns, end_ns=end_ns
            )
        found = await self.series(tenant, matchers, start_ns=start_ns, end_ns=end_ns)
        return {name for labels in found for name, _ in labels.pairs}

    async def label_values(
        self,
        tenant: str,
        name: str,
        matchers: Sequence[Matcher],
        *,
        start_ns: int,
        end_ns: int,
    ) -> set[str]:
        """Return the values of a label of the chosen tenants; see Sources."""
        if SEPARATOR not in tenant:
            return await Sources.label_values(
                self, tenant, name, matchers, start_ns=start_ns, end_ns=end_ns
            )
        found = await self.series(tenant, matchers, start_ns=start_ns, end_ns=end_ns)
        return {labels.get(name) for labels in found} - {""}


@dataclass(frozen=True, slots=True)
class FederatedOverrides:
    """Limits of several tenants together: the strictest of each."""

    overrides: Overrides

    @property
    def defaults(self) -> Limits:
        """The limits of tenants without limits of their own."""
        return self.overrides.defaults

    @property
    def tenants(self) -> Mapping[str, Limits]:
        """The tenants that have limits of their own."""
        return self.overrides.tenants

    def limits_of(self, tenant: str) -> Limits:
        """Return the limits of a request's tenant, or tenants."""
        each = [self.overrides.limits_of(one) for one in tenant.split(SEPARATOR)]
        return each[0] if len(each) == 1 else strictest(each)


def strictest(each: Sequence[Limits]) -> Limits:
    """Return what all of the limits allow; 0 is no limit, but for parallelism."""
    smallest: dict[str, Any] = {
        name: min((getattr(one, name) for one in each if getattr(one, name)), default=0)
        for name in _SMALLEST
    }
    return replace(
        each[0],
        **smallest,
        query_parallelism_max=min(one.query_parallelism_max for one in each),
        tsdb_query_parallelism_max=min(one.tsdb_query_parallelism_max for one in each),
        label_matchers_min=max(one.label_matchers_min for one in each),
        required_labels=tuple(
            dict.fromkeys(name for one in each for name in one.required_labels)
        ),
        blocked_queries=tuple(block for one in each for block in one.blocked_queries),
        volume_enabled=all(one.volume_enabled for one in each),
    )
