"""Ask ingesters and object storage for a scan, and join what they answer."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from loki_py.logql.question import LeafQuestion
from loki_py.model.labels import LabelSet
from loki_py.model.matchers import Matcher
from loki_py.model.scan import NOTHING_SKIPPED, Scan, ScanUnit, Skipped
from loki_py.querier.merge import merged
from loki_py.querier.store_reader import StoreReader
from loki_py.transport.abc import (
    EntrySource,
    InstanceLost,
    QuestionedSource,
    Selection,
)

T = TypeVar("T")

LOSSES_MAX = 2
"""How often a read is made anew because an instance was lost in its middle."""


@dataclass(frozen=True, slots=True)
class Selected:
    """What all sources hold for one scan.

    Attributes:
        units: free of duplicates, in the scan's order.
        chunks_matched: chunks that matched, of all sources.
        streams_matched: streams that matched, of the source that has most.
        line_bytes: line bytes of the chunks in object storage.
        missing: what could not be looked at, in words.
        gone: what no later try can bring back, in words: it is told with every
            answer, since refusing all answers for good would help nobody.
        ingesters_count: how many ingesters answered.
        skipped: chunks that sources hold and no unit has.
    """

    units: Sequence[ScanUnit]
    chunks_matched: int
    streams_matched: int
    line_bytes: int
    missing: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    ingesters_count: int = 0
    skipped: Skipped = NOTHING_SKIPPED


@dataclass(frozen=True, slots=True)
class Sources:
    """Where entries are: some ingesters and one store.

    The index is looked through once ingesters have answered: what one flushes
    meanwhile is then in both places, and dropped as a duplicate, instead of in
    neither. That it is fresh is seen to while they answer: an index that was listed
    a moment earlier misses nothing that ingesters do not keep.

    Attributes:
        ingesters: one, or one that stands for all of a ring.
        on_lost: told of an instance that was lost while it was read.
    """

    ingesters: Sequence[EntrySource]
    store: StoreReader
    on_lost: Callable[[str], None] | None = None

    async def whole(self, read: Callable[[], Awaitable[T]]) -> T:
        """Return what a read returns; anew where others stand in for who was lost.

        Raises: Unavailable where too many were lost, and whatever `read` raises.
        """
        for _ in range(LOSSES_MAX):
            try:
                return await read()
            except InstanceLost as lost:
                if self.on_lost is None:
                    raise
                self.on_lost(lost.instance_id)
        return await read()

    async def select(
        self,
        tenant: str,
        scan: Scan,
        *,
        stops_early: bool,
        question: LeafQuestion | None = None,
    ) -> Selected:
        """Return what matches the scan; next to nothing is read.

        Args:
            stops_early: whether the first few rows may suffice.
            question: what will be asked of what is found.

        Raises: Unavailable.
        """

        async def asked(ingester: EntrySource) -> Selection:
            if question is not None and isinstance(ingester, QuestionedSource):
                return await ingester.select_for(
                    tenant, scan, question, stops_early=stops_early
                )
            return await ingester.select(tenant, scan)

        selections = await self._prepared(
            tenant, asyncio.gather(*map(asked, self.ingesters))
        )
        covered = frozenset[str]().union(*(each.packs_covered for each in selections))
        stored = await self.store.select(
            tenant, scan, skip=covered, stops_early=stops_early
        )
        local = [unit for each in selections for unit in each.units]
        streams = max((len(unit.streams) for unit in local), default=0)
        return Selected(
            merged([*local, *stored.units], scan),
            sum(each.chunks_matched for each in selections) + stored.chunks_matched,
            max(streams, stored.streams_matched),
            stored.line_bytes,
            stored.missing,
            tuple(text for each in selections for text in each.missing),
            sum(each.ingesters_count for each in selections),
            Skipped.total_of([stored.skipped, *(s.skipped for s in selections)]),
        )

    async def _prepared(self, tenant: str, answers: "asyncio.Future[T]") -> T:
        """Return what ingesters answer; the index is fresh by then.

        Raises: Unavailable.
        """
        if self.store.is_prepared(tenant):
            return await answers
        found, _ = await asyncio.gather(answers, self.store.prepare(tenant))
        return found

    async def series(
        self, tenant: str, matchers: Sequence[Matcher], *, start_ns: int, end_ns: int
    ) -> set[LabelSet]:
        """Return the label sets of matching streams with entries in [start, end).

        Raises: Unavailable.
        """
        found = await self._local_series(tenant, matchers, start_ns, end_ns)
        return found.union(
            await self.store.series(tenant, matchers, start_ns=start_ns, end_ns=end_ns)
        )

    async def label_names(
        self, tenant: str, matchers: Sequence[Matcher], *, start_ns: int, end_ns: int
    ) -> set[str]:
        """Return the label names on such streams.

        Raises: Unavailable.
        """
        local = await self._local_series(tenant, matchers, start_ns, end_ns)
        names = {name for labels in local for name, _ in labels.pairs}
        return names.union(
            await self.store.label_names(
                tenant, matchers, start_ns=start_ns, end_ns=end_ns
            )
        )

    async def label_values(
        self,
        tenant: str,
        name: str,
        matchers: Sequence[Matcher],
        *,
        start_ns: int,
        end_ns: int,
    ) -> set[str]:
        """Return the values of one label on such streams.

        Raises: Unavailable.
        """
        local = await self._local_series(tenant, matchers, start_ns, end_ns)
        values = {labels.get(name) for labels in local}
        values.update(
            await self.store.label_values(
                tenant, name, matchers, start_ns=start_ns, end_ns=end_ns
            )
        )
        return values - {""}

    async def _local_series(
        self, tenant: str, matchers: Sequence[Matcher], start_ns: int, end_ns: int
    ) -> set[LabelSet]:
        found = await asyncio.gather(
            *(
                ingester.series(tenant, matchers, start_ns=start_ns, end_ns=end_ns)
                for ingester in self.ingesters
            )
        )
        return {labels for each in found for labels in each}
