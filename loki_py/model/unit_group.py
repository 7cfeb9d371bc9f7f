"""Several units as one: what a group says of itself is what its units say."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from loki_py.model.labels import LabelSet
from loki_py.model.scan import ScanUnit, StreamRuns

U_co = TypeVar("U_co", bound=ScanUnit, covariant=True)


@dataclass(frozen=True, slots=True)
class UnitGroup(Generic[U_co]):
    """Units over one list of streams, free of each other's duplicates.

    Attributes:
        units: one or more.
    """

    units: Sequence[U_co]

    @property
    def streams(self) -> Sequence[LabelSet]:
        return self.units[0].streams

    @property
    def origin(self) -> str:
        return self.units[0].origin

    @property
    def min_ns(self) -> int:
        return min(unit.min_ns for unit in self.units)

    @property
    def max_ns(self) -> int:
        return max(unit.max_ns for unit in self.units)

    @property
    def rows_max(self) -> int:
        return sum(unit.rows_max for unit in self.units)

    @property
    def runs(self) -> StreamRuns:
        runs = [unit.runs for unit in self.units]
        return StreamRuns(
            np.concatenate([each.stream for each in runs]),
            np.concatenate([each.min_ns for each in runs]),
            np.concatenate([each.max_ns for each in runs]),
        )
