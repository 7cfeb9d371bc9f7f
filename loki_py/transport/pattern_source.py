"""What components may ask of each other about patterns."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from loki_py.model.matchers import Matcher
from loki_py.model.pattern_rows import NO_ROWS, PatternRows
from loki_py.transport.abc import EntrySource
from loki_py.transport.tailing import FedIngester


@dataclass(frozen=True, slots=True)
class HeldPatterns:
    """What one instance counted and holds in memory.

    Attributes:
        writer: which instance.
        rows: what it holds; rows of the same stream, pattern and time add up.
        covered: keys of objects whose rows are among them, so that they must
            not be read too.
    """

    writer: str
    rows: PatternRows = field(default_factory=lambda: NO_ROWS)
    covered: tuple[str, ...] = ()


class PatternSource(Protocol):
    """One instance that counts patterns."""

    async def patterns(
        self, tenant: str, matchers: Sequence[Matcher], *, start_ns: int, end_ns: int
    ) -> HeldPatterns:
        """Return what it counted of matching streams in [start, end).

        What is not held any more was in the object store before the answer.

        Raises: Unavailable.
        """
        ...


class PatternSources(Protocol):
    """All instances that count patterns."""

    async def patterns(
        self, tenant: str, matchers: Sequence[Matcher], *, start_ns: int, end_ns: int
    ) -> Sequence[HeldPatterns]:
        """Return what they hold; replicas count the same lines.

        Raises: Unavailable where more of them are missing than may be.
        """
        ...


class ReadSource(EntrySource, PatternSource, Protocol):
    """One ingester, as what reads from all of them sees it."""


class ServedIngester(FedIngester, PatternSource, Protocol):
    """All that one ingester does for others."""
