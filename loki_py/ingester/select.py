"""What an ingester holds for a scan: block files first, then heads.

Called on the event loop; nothing is read here.
"""

from functools import partial

from loki_py.ingester.block_units import units_of_file
from loki_py.ingester.blockstore import BlockStore
from loki_py.ingester.cells import CellBook, Held
from loki_py.ingester.selection import skipped_of_head, units_of_head, wanted_of
from loki_py.ingester.state import IngesterState
from loki_py.model.scan import Scan, ScanUnit, Skipped, chunks_of
from loki_py.transport.abc import Selection
from loki_py.wire.cells import NO_CELLS


def survey(
    tenant: str,
    scan: Scan,
    state: IngesterState,
    blocks: BlockStore,
    cells: CellBook,
) -> Selection:
    """Return what is held, without units; see `SurveyedSource.survey`."""
    table = state.tables.get(tenant)
    if table is None:
        return Selection([], cells=lambda _: NO_CELLS)
    wanted = wanted_of(table, scan)
    heads = [(number, head.pieces()) for number, head in state.heads_of(tenant)]
    held = Held(tenant, wanted, heads, list(blocks.parts_of(tenant)))
    return Selection(
        [],
        blocks.packs_covered(tenant),
        missing=blocks.missing,
        streams=wanted.streams,
        cells=partial(cells.cells_of, held),
        cells_counted=cells.has_counted(held),
    )


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
    skipped: list[Skipped] = []
    chunks = 0
    files = list(blocks.parts_of(tenant))
    for local, part in files:
        found = units_of_file(
            blocks,
            local,
            part,
            tenant,
            wanted,
            with_lines=scan.columns.line,
        )
        units += found.units
        chunks += found.chunks
        skipped.append(found.skipped)
    heads = list(state.heads_of(tenant))
    for number, head in heads:
        mine = units_of_head(head, wanted, f"head/{number}")
        skipped.append(skipped_of_head(head, wanted, mine))
        units += mine
        chunks += sum(map(chunks_of, mine))
    held = Held(tenant, wanted, [(n, head.pieces()) for n, head in heads], files)
    if scan.newest_first:
        units.reverse()
    return Selection(
        units,
        blocks.packs_covered(tenant),
        chunks,
        blocks.missing,
        streams=wanted.streams,
        cells=partial(cells.cells_of, held),
        cells_counted=cells.has_counted(held),
        skipped=Skipped.total_of(skipped),
    )
