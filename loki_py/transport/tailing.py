"""What components may ask of each other about entries that are still to come."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from loki_py.model.batch import EntryBatch
from loki_py.model.matchers import Matcher
from loki_py.transport.abc import IngesterClient


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What came since the last look.

    Attributes:
        batches: entries in the order in which they became durable.
        dropped: entries, without lines, for which there was no room; not all of
            them, if they are many.
        dropped_count: how many there were.
    """

    batches: Sequence[EntryBatch]
    dropped: Sequence[EntryBatch] = ()
    dropped_count: int = 0


class Following(Protocol):
    """The entries of some streams from now on, until it is closed."""

    async def begun(self) -> None:
        """Return when nothing that becomes durable from now on is missed.

        Raises: Unavailable.
        """
        ...

    async def arrivals(self) -> Arrivals:
        """Return what came since the last call; wait while that is nothing.

        Raises: Unavailable where entries could be missed from now on.
        """
        ...

    def close(self) -> None:
        """Take no more; may be called twice."""
        ...


class EntryFeed(Protocol):
    """One ingester, or all of them, as a tail sees it."""

    def tail(self, tenant: str, matchers: Sequence[Matcher]) -> Following:
        """Return what follows new entries of matching streams.

        Every entry that becomes durable after it has begun comes once, after it
        is durable, or is counted as dropped where nobody took it in time.

        Raises: Unavailable.
        """
        ...


class FedIngester(IngesterClient, EntryFeed, Protocol):
    """One ingester, and what follows it."""
