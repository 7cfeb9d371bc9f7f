"""An ingester whose accepted pushes the patterns follow."""

from collections.abc import Sequence

from loki_py.model.batch import EntryBatch
from loki_py.model.labels import LabelSet
from loki_py.model.matchers import Matcher
from loki_py.model.scan import Scan
from loki_py.patterns.service import PatternService
from loki_py.transport.abc import PushAnswer, Selection, SurveyedSource
from loki_py.transport.pattern_source import HeldPatterns
from loki_py.transport.tailing import FedIngester, Following


class FollowedIngester(SurveyedSource):
    """All that one ingester does for others, and patterns.

    Args:
        ingester: stores and reads.
        patterns: None: nobody looks for any, and none are answered.
    """

    def __init__(self, ingester: FedIngester, patterns: PatternService | None) -> None:
        self._ingester = ingester
        self._patterns = patterns

    async def push(self, tenant: str, batch: EntryBatch) -> PushAnswer:
        """Store the batch, then offer it; see `IngesterClient.push`."""
        answer = await self._ingester.push(tenant, batch)
        if self._patterns is not None:
            self._patterns.offer(tenant, batch, tuple(answer.rejected))
        return answer

    async def select(self, tenant: str, scan: Scan) -> Selection:
        """See `IngesterClient.select`."""
        return await self._ingester.select(tenant, scan)

    async def survey(self, tenant: str, scan: Scan) -> Selection:
        """See `SurveyedSource.survey`."""
        if isinstance(self._ingester, SurveyedSource):
            return await self._ingester.survey(tenant, scan)
        return await self._ingester.select(tenant, scan)

    async def series(
        self, tenant: str, matchers: Sequence[Matcher], *, start_ns: int, end_ns: int
    ) -> Sequence[LabelSet]:
        """See `IngesterClient.series`."""
        return await self._ingester.series(
            tenant, matchers, start_ns=start_ns, end_ns=end_ns
        )

    async def patterns(
        self, tenant: str, matchers: Sequence[Matcher], *, start_ns: int, end_ns: int
    ) -> HeldPatterns:
        """See `PatternSource.patterns`."""
        if self._patterns is None:
            return HeldPatterns("")
        return await self._patterns.patterns(
            tenant, matchers, start_ns=start_ns, end_ns=end_ns
        )

    def tail(self, tenant: str, matchers: Sequence[Matcher]) -> Following:
        """See `EntryFeed.tail`."""
        return self._ingester.tail(tenant, matchers)

    async def flush(self) -> None:
        """Flush the ingester, and store its patterns; see `IngesterClient.flush`."""
        await self._ingester.flush()
        if self._patterns is not None:
            await self._patterns.persist()
