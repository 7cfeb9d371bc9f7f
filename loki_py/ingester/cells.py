"""Cells of what heads and block files hold, worked out once and kept.

What a query compares replicas by (`wire.cells`). Entries are looked at when cells
are first asked for: those of a file once, those of a head as they come.

Blocking, for worker threads, several at once. What is kept is bounded.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from loki_py.errors import CorruptData
from loki_py.ingester.blockstore import LocalFile, TenantPart
from loki_py.ingester.selection import FIRST_NS, LAST_NS, Wanted
from loki_py.ingester.stream_table import Refs
from loki_py.model.batch import EntryBatch, concat
from loki_py.model.scan import Columns
from loki_py.wire.cells import SHIFT_MIN, Cells, added, at_most, cells_of, shift_of

KEPT_CELLS_MAX = 2_000_000
"""Cells that are kept, of 28 bytes each."""

ROWS_PER_CELL = 16
"""A file whose cells would have fewer entries on average has longer slices."""

BATCH_ROWS_MIN = 4_096
"""Smaller pieces of a head are put together before they are looked at."""

CELLS_AT_ONCE_MAX = 100_000
"""Cells that are looked through on the event loop: a thread is dearer."""

FEW_STREAMS_MAX = 64
"""Of so many streams cells are looked up; of more, all cells are looked at."""

_Key = tuple[str, str, int | tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Held:
    """What a selection found, as it was then.

    Attributes:
        heads: generation and pieces of each head.
        files: block files, with what of them is the tenant's.
    """

    tenant: str
    wanted: Wanted
    heads: Sequence[tuple[int, Sequence[EntryBatch]]]
    files: Sequence[tuple[LocalFile, TenantPart]]


class CellBook:
    """The cells of one ingester."""

    def __init__(self) -> None:
        self._kept: OrderedDict[_Key, tuple[int, Cells]] = OrderedDict()
        self._kept_cells = 0
        self._joined: dict[str, _Key] = {}
        self._lock = threading.Lock()

    def cells_of(self, held: Held, cells_max: int) -> Cells | None:
        """Return the cells of what was found; streams are positions in `wanted`.

        Slices that the scan cuts are counted whole. They are so long that there
        are at most `cells_max` cells, or the longest. None where a block is
        damaged: whoever reads it is told.
        """
        try:
            found = [self._of_files(held)]
        except CorruptData:
            return None
        for number, pieces in held.heads:
            found.append(self._of_head(("head", held.tenant, number), pieces))
        shift = _shift_of(found, held.wanted, cells_max)
        return added([_wanted_of(cells, held.wanted, shift) for cells in found])

    def has_counted(self, held: Held) -> bool:
        """Return whether what was found is counted already and comes to few cells."""
        sought: list[tuple[_Key, int | None]] = [(_files_key(held), None)]
        for number, pieces in held.heads:
            counted = sum(map(len, pieces))
            if counted:
                sought.append((("head", held.tenant, number), counted))
        cells_count = 0
        with self._lock:
            for key, rows in sought:
                kept = self._kept.get(key)
                if kept is None or rows not in {None, kept[0]}:
                    return False
                cells_count += len(kept[1])
        return cells_count <= CELLS_AT_ONCE_MAX

    def _of_files(self, held: Held) -> Cells:
        """Return the cells of all files together, by ref; the last ones are kept."""
        key = _files_key(held)
        kept = self._find(key)
        if kept is not None:
            return kept[1]
        parts = []
        for local, part in held.files:
            cells = self._of_file(held.tenant, local)
            parts.append(replace(cells, stream=part.refs[cells.stream]))
        cells = _by_stream(added(parts))
        self._keep(key, len(cells), cells)
        with self._lock:
            former = self._joined.get(held.tenant, key)
            self._joined[held.tenant] = key
            if former != key:
                self._drop(former)
        return cells

    def _of_file(self, tenant: str, local: LocalFile) -> Cells:
        """Return the cells of a tenant's part of a file, by position there."""
        key = ("file", tenant, local.generation)
        kept = self._find(key)
        if kept is not None:
            return kept[1]
        parts = local.file.select(tenant, None, start_ns=FIRST_NS, end_ns=LAST_NS)
        rows = sum(part.rows_max for part in parts)
        cells = added([cells_of(local.file.read(part, Columns())) for part in parts])
        streams = len(local.file.streams(tenant))
        cells = at_most(cells, max(rows // ROWS_PER_CELL, streams))
        self._keep(key, rows, cells)
        return cells

    def _of_head(self, key: _Key, pieces: Sequence[EntryBatch]) -> Cells:
        """Return the cells of a head's first pieces, by ref.

        A head only grows at its end, so what was counted of it stays right.
        """
        rows = sum(map(len, pieces))
        kept = self._find(key)
        if kept is not None and kept[0] > rows:
            # Another query came later and was faster; its count is too high.
            return added([cells_of(batch) for batch in _behind(pieces, 0)])
        counted, cells = kept or (0, added([]))
        if counted == rows:
            return cells
        news = [cells_of(batch) for batch in _behind(pieces, counted)]
        cells = added([cells, *news])
        self._keep(key, rows, cells)
        return cells

    def _find(self, key: _Key) -> tuple[int, Cells] | None:
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None:
                self._kept.move_to_end(key)
            return kept

    def _keep(self, key: _Key, rows: int, cells: Cells) -> None:
        with self._lock:
            self._drop(key)
            self._kept[key] = rows, cells
            self._kept_cells += len(cells)
            while self._kept_cells > KEPT_CELLS_MAX:
                self._drop(next(iter(self._kept)))

    def _drop(self, key: _Key) -> None:
        """Forget cells; the lock is held."""
        former = self._kept.pop(key, None)
        if former is not None:
            self._kept_cells -= len(former[1])


def _files_key(held: Held) -> _Key:
    return "files", held.tenant, tuple(local.generation for local, _ in held.files)


def _shift_of(found: Sequence[Cells], wanted: Wanted, cells_max: int) -> int:
    """Return how long slices must be for all cells of the scan to be few."""
    held = [cells for cells in found if len(cells)]
    if not held:
        return SHIFT_MIN
    first = min(int(cells.slice.min()) << cells.shift for cells in held)
    last = max(int(cells.slice.max()) << cells.shift for cells in held)
    return shift_of(
        max(first, wanted.start_ns),
        min(last, wanted.end_ns),
        slices_max=cells_max // max(len(wanted.streams), 1),
    )


def _wanted_of(cells: Cells, wanted: Wanted, shift: int) -> Cells:
    """Return the cells of wanted streams and times, by position in `wanted`.

    Args:
        cells: by ref, in its order.
        shift: slices are at least so long.
    """
    if len(wanted.refs) <= FEW_STREAMS_MAX:
        rows = _rows_of(wanted.refs, cells)
        cells, local = cells.take(rows), wanted.local_of_ref[cells.stream[rows]]
    else:
        local = wanted.local_of_ref[cells.stream]
        chosen = local >= 0
        if not chosen.all():
            cells, local = cells.take(chosen), local[chosen]
    cells = replace(cells, stream=local.astype(np.uint32))
    cells = cells.coarser(max(shift, cells.shift))
    first = wanted.start_ns >> cells.shift
    last = (wanted.end_ns - 1) >> cells.shift
    inside = (cells.slice >= first) & (cells.slice <= last)
    return cells if inside.all() else cells.take(inside)


def _by_stream(cells: Cells) -> Cells:
    """Return the cells in the order of their streams."""
    stream = cells.stream
    if (stream[1:] >= stream[:-1]).all():
        return cells
    return cells.take(np.argsort(stream, kind="stable"))


def _rows_of(refs: Refs, cells: Cells) -> npt.NDArray[np.intp]:
    """Return where cells of some streams are, in order of the refs."""
    first = np.searchsorted(cells.stream, refs, "left")
    counts = np.searchsorted(cells.stream, refs, "right") - first
    skipped = first - (np.cumsum(counts) - counts)
    rows: npt.NDArray[np.intp] = np.arange(counts.sum()) + np.repeat(skipped, counts)
    return rows


def _behind(pieces: Sequence[EntryBatch], rows: int) -> list[EntryBatch]:
    """Return the rows of the pieces behind the first `rows`, in fewer pieces."""
    found: list[EntryBatch] = []
    group: list[EntryBatch] = []
    for piece in pieces:
        skipped = min(rows, len(piece))
        rows -= skipped
        if skipped < len(piece):
            group.append(piece.slice(skipped, len(piece)))
        if sum(map(len, group)) >= BATCH_ROWS_MIN:
            found.append(concat(group))
            group = []
    if group:
        found.append(concat(group))
    return found
