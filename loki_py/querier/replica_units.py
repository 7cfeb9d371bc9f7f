"""Which units answer a read of replicas: those of one where all are alike.

Pure, but for cells, which may be worked out when they are asked for.
"""

from collections.abc import Collection, Sequence
from zlib import crc32

import numpy as np

from loki_py.model.scan import Scan, ScanUnit, chunks_of
from loki_py.model.shares import ALWAYS, Share, shared
from loki_py.querier.shares import Replica, alike, shared_out
from loki_py.transport.abc import MappingUnit, Selection
from loki_py.wire.cells import CELLS_MAX, NO_CELLS


def favoured_of(
    names: Sequence[str], suspects: Collection[str], tenant: str, scan: Scan
) -> str:
    """Return who is asked to answer for all: for equal questions the same."""
    well = [name for name in names if name not in suspects] or names
    key = repr((tenant, scan.matchers)).encode()
    return well[crc32(key) % len(well)] if well else ""


def are_alike(own: Selection, answers: Sequence[Selection]) -> bool:
    """Return whether all hold what one does, which has units of it."""
    if any(each.cells is None and each is not own for each in answers):
        return False
    found = [NO_CELLS if s.cells is None else s.cells(CELLS_MAX) for s in answers]
    cells = [each for each in found if each is not None]
    if len(cells) < len(answers):
        return False
    if not own.units:
        return not any(map(len, cells))
    return own.cells is not None and alike(
        [
            Replica(each.units, each.streams, its)
            for each, its in zip(answers, cells, strict=True)
        ]
    )


def answered_for(own: Selection) -> list[ScanUnit]:
    """Return units of which those elsewhere are answered for there."""
    share = Share(np.ones(len(own.streams), np.bool_), ALWAYS)
    return [
        (shared(unit, share) or unit) if isinstance(unit, MappingUnit) else unit
        for unit in own.units
    ]


def shared_units(selections: Sequence[Selection]) -> tuple[list[ScanUnit], int]:
    """Return the units of all, shared out where cells say that they are equal.

    Beside them: of how many chunks no unit is. Blocking.
    """
    replicas = []
    for each in selections:
        cells = None if each.cells is None else each.cells(CELLS_MAX)
        if cells is None:
            return [unit for each in selections for unit in each.units], 0
        replicas.append(Replica(each.units, each.streams, cells))
    units = shared_out(replicas)
    matched = sum(each.chunks_matched for each in selections)
    return units, max(matched - sum(map(chunks_of, units)), 0)
