"""Small units as one: what a thread does for a unit costs the same for few rows."""

from collections.abc import Sequence
from dataclasses import dataclass

from loki_py.model.batch import EntryBatch, concat
from loki_py.model.scan import Columns, LargeUnit, ReadStats, ScanUnit, TimedUnit
from loki_py.model.unit_group import UnitGroup

JOINED_ROWS_MAX = 50_000
"""Rows of small units that are read as one, and half a unit more."""


@dataclass(frozen=True, slots=True)
class JoinedUnits(UnitGroup[ScanUnit], LargeUnit):
    """Small units as one."""

    def read(self, columns: Columns, stats: ReadStats) -> EntryBatch:
        """Return the rows of all units."""
        batches = [unit.read(columns, stats) for unit in self.units]
        return concat([batch for batch in batches if len(batch)] or batches[:1])

    def pieces(self) -> Sequence[ScanUnit]:
        """Return the units one by one."""
        return self.units

    def narrowed(self, *, start_ns: int, end_ns: int) -> ScanUnit:
        """Return the units in a time, as far as they can be cut."""
        return JoinedUnits(
            [
                unit.narrowed(start_ns=start_ns, end_ns=end_ns)
                if isinstance(unit, LargeUnit)
                else unit
                for unit in self.units
            ]
        )


def small_joined(
    units: Sequence[ScanUnit], *, groups_min: int, columns: Columns
) -> list[ScanUnit]:
    """Return the same rows in fewer units, where neighbours are small.

    Only units that lie here in files are joined, and only where lines are read:
    from times alone they are counted without being read.

    Args:
        groups_min: so many units remain at least, one for each thread.
        columns: what is read.
    """
    if not columns.line:
        return list(units)
    rows = sum(unit.rows_max for unit in units)
    most = min(JOINED_ROWS_MAX, -(-rows // groups_min))
    found: list[ScanUnit] = []
    group: list[ScanUnit] = []
    held = 0
    for unit in units:
        together = (
            group
            and isinstance(unit, TimedUnit)
            and unit.streams is group[0].streams
            and held + unit.rows_max // 2 <= most
        )
        if group and not together:
            found.append(_one_of(group))
            group, held = [], 0
        if isinstance(unit, TimedUnit):
            group.append(unit)
            held += unit.rows_max
        else:
            found.append(unit)
    if group:
        found.append(_one_of(group))
    return found


def _one_of(group: Sequence[ScanUnit]) -> ScanUnit:
    return group[0] if len(group) == 1 else JoinedUnits(group)
