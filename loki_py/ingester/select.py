"""What an ingester holds for a scan: block files first, then heads.

Called on the event loop; nothing is read here.
"""

from functools import partial

import numpy as np

from loki_py.ingester.block_units import units_of_file
from loki_py.ingester.blockstore import BlockStore
from loki_py.ingester.cells import CellBook, Held
from loki_py.ingester.selection import units_of_head, wanted_of
from loki_py.ingester.state import IngesterState
from loki_py.model.scan import Scan, ScanUnit
from loki_py.transport.abc import Selection


def select(
    tenant: str,
    scan: Scan,
    state: IngesterState,
    blocks: BlockStore,
    cells: CellBook,
) -> Selection:
    """Return what matches the scan; see `IngesterClient.select`."""
    table = state.tables.get(tenant)
    if table is None:
        return Selection([])
    wanted = wanted_of(table, scan)
    units: list[ScanUnit] = []
    files = list(blocks.parts_of(tenant))
    for local, part in files:
        units += units_of_file(
            blocks,
            local,
            part,
            tenant,
            wanted,
            with_lines=scan.columns.line,
        )
    heads = list(state.heads_of(tenant))
    for number, head in heads:
        units += units_of_head(head, wanted, f"head/{number}")
    held = Held(tenant, wanted, [(n, head.pieces()) for n, head in heads], files)
    if scan.newest_first:
        units.reverse()
    chunks_matched = sum(
        int(np.count_nonzero(np.bincount(unit.runs.stream))) for unit in units
    )
    return Selection(
        units,
        blocks.packs_covered(tenant),
        chunks_matched,
        blocks.missing,
        streams=wanted.streams,
        cells=partial(cells.cells_of, held),
    )
