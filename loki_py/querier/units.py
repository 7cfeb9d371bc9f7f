"""Units that are too large to be read in one go, or read for a part of them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from loki_py.model.scan import ScanUnit


class LargeUnit(ABC):
    """A unit that can be cut, at the price of asking its source for details.

    The pieces hold the unit's rows, each once, and have the unit's origin and
    `streams`; their bounds are narrower.
    """

    @abstractmethod
    def pieces(self) -> Sequence[ScanUnit]:
        """Return the unit in pieces of the size that threads work on.

        Blocking; called on worker threads.

        Raises: CorruptData, ObjectNotFound, Unavailable.
        """

    @abstractmethod
    def narrowed(self, *, start_ns: int, end_ns: int) -> ScanUnit:
        """Return a unit of the rows with times in [start_ns, end_ns)."""
