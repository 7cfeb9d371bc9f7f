"""What a unit has in common with what is made of it: bounds, origin, pieces."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace

from loki_py.model.batch import EntryBatch
from loki_py.model.labels import LabelSet
from loki_py.model.scan import Columns, LargeUnit, ReadStats, ScanUnit, StreamRuns


@dataclass(frozen=True, slots=True)
class WrappedUnit(LargeUnit):
    """A unit whose rows are read in another way; its pieces are, too."""

    unit: ScanUnit

    @property
    def streams(self) -> Sequence[LabelSet]:
        return self.unit.streams

    @property
    def min_ns(self) -> int:
        return self.unit.min_ns

    @property
    def max_ns(self) -> int:
        return self.unit.max_ns

    @property
    def rows_max(self) -> int:
        return self.unit.rows_max

    @property
    def origin(self) -> str:
        return self.unit.origin

    @property
    def runs(self) -> StreamRuns:
        return self.unit.runs

    @abstractmethod
    def read(self, columns: Columns, stats: ReadStats) -> EntryBatch:
        """Return the rows; see ScanUnit."""

    def pieces(self) -> Sequence[ScanUnit]:
        """Return the unit in pieces, or itself where it cannot be cut."""
        if not isinstance(self.unit, LargeUnit):
            return [self]
        return [replace(self, unit=piece) for piece in self.unit.pieces()]

    def narrowed(self, *, start_ns: int, end_ns: int) -> ScanUnit:
        """Return the part in a time, or itself where it cannot be cut."""
        if not isinstance(self.unit, LargeUnit):
            return self
        return replace(self, unit=self.unit.narrowed(start_ns=start_ns, end_ns=end_ns))
