"""Answer with patterns: what instances hold, and what they stored before.

Owns nothing. Instances are asked first and the store is listed after: what one
stored in between is in both, and it says so.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from loki_py.model.matchers import Matcher
from loki_py.patterns.merging import Pattern, merged_patterns
from loki_py.patterns.store import PatternStore
from loki_py.transport.pattern_source import (
    HeldPatterns,
    PatternSource,
    PatternSources,
)

QUERIES_MAX = 4
"""Answers that are put together at once; others wait."""


@dataclass(frozen=True, slots=True)
class PatternAnswer:
    """The patterns, most lines first.

    Attributes:
        missing: what was stored and can not be read any more, in words.
    """

    patterns: Sequence[Pattern]
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OneInstance:
    """The only instance there is, as all of them."""

    source: PatternSource

    async def patterns(
        self, tenant: str, matchers: Sequence[Matcher], *, start_ns: int, end_ns: int
    ) -> Sequence[HeldPatterns]:
        """See `PatternSources.patterns`."""
        held = await self.source.patterns(
            tenant, matchers, start_ns=start_ns, end_ns=end_ns
        )
        return (held,)


class PatternQuerier:
    """Answers for all tenants."""

    def __init__(self, sources: PatternSources, store: PatternStore) -> None:
        self._sources = sources
        self._store = store
        self._turns = asyncio.Semaphore(QUERIES_MAX)

    async def select(
        self,
        tenant: str,
        matchers: Sequence[Matcher],
        *,
        start_ns: int,
        end_ns: int,
        step_ns: int,
    ) -> PatternAnswer:
        """Return the patterns of matching streams in [start, end).

        Raises: RequestRejected where that is too much at once, Unavailable.
        """
        async with self._turns:
            held = await self._sources.patterns(
                tenant, matchers, start_ns=start_ns, end_ns=end_ns
            )
            stored = await asyncio.to_thread(
                self._store.read,
                tenant,
                matchers,
                start_ns=start_ns,
                end_ns=end_ns,
                skip={key for each in held for key in each.covered},
            )
            parts = [*((each.writer, each.rows) for each in held), *stored.parts]
            found = await asyncio.to_thread(merged_patterns, parts, step_ns=step_ns)
            return PatternAnswer(found, stored.missing)
