"""Units of one instance as one, so that a call is worth its while."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from loki_py.logql.question import LeafQuestion
from loki_py.model.batch import EntryBatch, concat
from loki_py.model.scan import Columns, ReadStats, ScanUnit
from loki_py.model.shares import Share
from loki_py.model.unit_group import UnitGroup
from loki_py.transport.abc import MappingUnit
from loki_py.transport.remote_units import RemoteUnit

GROUP_ROWS_MAX = 1_500_000
"""Rows that one call evaluates: a query that is given up soon ends there too."""


@dataclass(frozen=True, slots=True)
class RemoteGroup(UnitGroup[RemoteUnit], MappingUnit):
    """Units of one share of one selection, evaluated in one call; a `ScanUnit`."""

    @property
    def maps(self) -> bool:
        return True

    def read(self, columns: Columns, stats: ReadStats) -> EntryBatch:
        """Return the rows of all units."""
        return concat([unit.read(columns, stats) for unit in self.units])

    def knows(self, question: LeafQuestion) -> bool:
        """Return whether the answer came with the selection; see `MappingUnit`."""
        return self.units[0].selection.knows(self.units, question)

    def mapped(self, question: LeafQuestion, stats: ReadStats) -> Sequence[Any]:
        """Return what a leaf makes of the rows, in order of the units."""
        return self.units[0].selection.mapped(self.units, question, stats)


def grouped(units: Sequence[ScanUnit]) -> list[ScanUnit]:
    """Return the same rows in fewer units, where they are evaluated elsewhere.

    Whoever evaluates a group has several threads for it, and leaves the rest where
    the first of it suffice.
    """
    found: list[ScanUnit] = []
    apart: dict[tuple[int, Share | None], list[RemoteUnit]] = {}
    for unit in units:
        if isinstance(unit, RemoteUnit) and unit.maps:
            apart.setdefault((id(unit.selection), unit.share), []).append(unit)
        else:
            found.append(unit)
    for together in apart.values():
        answered, own = _answered_apart(together)
        if answered:
            found.append(RemoteGroup(answered))
        if not own:
            continue
        rows = sum(unit.rows_max for unit in own)
        most = rows / max(-(-rows // GROUP_ROWS_MAX), 1)
        group: list[RemoteUnit] = []
        held = 0
        for unit in own:
            if group and held + unit.rows_max > most:
                found.append(RemoteGroup(group))
                group, held = [], 0
            group.append(unit)
            held += unit.rows_max
        found.append(RemoteGroup(group))
    return found


def _answered_apart(
    units: Sequence[RemoteUnit],
) -> tuple[list[RemoteUnit], list[RemoteUnit]]:
    """Return the units that are answered for already, and the others."""
    count = units[0].selection.answered_count
    share = units[0].share
    if not count or share is None or not share.is_whole:
        return [], list(units)
    answered = sorted(
        (unit for unit in units if unit.number < count), key=lambda unit: unit.number
    )
    if len(answered) < count:
        return [], list(units)
    return answered, [unit for unit in units if unit.number >= count]
