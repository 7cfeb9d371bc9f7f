"""The parts of blocks that a scan wants: which runs of rows of which blocks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from loki_py.model.scan import StreamRuns

SELECTIONS_KEPT = 8
"""Selections of one file that are remembered."""

_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class BlockPart:
    """The rows of one block that belong to wanted streams and a wanted time.

    Attributes:
        tenant: whose block it is.
        block: position of the block in the file.
        start_ns, end_ns: the wanted time, [start_ns, end_ns).
        runs: the wanted runs; streams by position in `BlockFile.streams`.
        run: int64, the number of each run in the file.
        row_first, rows: int64, where each run lies in the block.
        min_ns, max_ns: bounds of what comes back, max inclusive.
        lines_crc: uint32, the CRC-32C of the lines of each run.
        rows_max: at most this many rows come back, exactly so unless `is_cut`.
        line_bytes: bytes of the lines of these runs, before time cuts them.
        is_cut: whether some rows of the runs are outside the wanted time.
    """

    tenant: str
    block: int
    start_ns: int
    end_ns: int
    runs: StreamRuns
    run: _Ints
    row_first: _Ints
    rows: _Ints
    lines_crc: npt.NDArray[np.uint32]
    min_ns: int
    max_ns: int
    rows_max: int
    line_bytes: int
    is_cut: bool


@dataclass(frozen=True, slots=True)
class TenantExtent:
    """How much of a block file belongs to one tenant; bounds are inclusive."""

    blocks: int
    streams: int
    rows: int
    line_bytes: int
    metadata_bytes: int
    min_ns: int
    max_ns: int


class Selections:
    """The last few selections of a file; used by several threads without a lock.

    People ask for the same streams again and again, and a file never changes.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[Any, ...], Sequence[BlockPart]] = {}

    def get(self, key: tuple[Any, ...]) -> Sequence[BlockPart] | None:
        """Return a selection, if it is kept."""
        return self._kept.get(key)

    def put(self, key: tuple[Any, ...], parts: Sequence[BlockPart]) -> None:
        """Keep a selection; the one that was kept longest goes."""
        kept = dict(list(self._kept.items())[-(SELECTIONS_KEPT - 1) :])
        kept[key] = parts
        # Threads that meet here lose one of their selections, nothing more.
        self._kept = kept


def parts_of(
    tenant: str,
    runs: dict[str, npt.NDArray[Any]],
    wanted: npt.NDArray[np.bool_] | None,
    *,
    start_ns: int,
    end_ns: int,
) -> Sequence[BlockPart]:
    """Return the parts that the wanted ones of these runs make up.

    Args:
        runs: sorted by block.
        wanted: bool by stream; None for all.
    """
    hit = (runs["max_ns"] >= start_ns) & (runs["min_ns"] < end_ns)
    if wanted is not None:
        hit &= wanted[runs["stream"]]
    if not hit.any():
        return ()
    if not hit.all():
        runs = {name: values[hit] for name, values in runs.items()}
    return tuple(_parts(tenant, runs, start_ns=start_ns, end_ns=end_ns))


def _parts(
    tenant: str, runs: dict[str, npt.NDArray[Any]], *, start_ns: int, end_ns: int
) -> Iterator[BlockPart]:
    """Yield the parts that these runs, sorted by block, make up."""
    block = runs["block"]
    starts = np.concatenate(([0], np.flatnonzero(block[1:] != block[:-1]) + 1))
    ends = np.append(starts[1:], len(block))
    low = np.maximum(np.minimum.reduceat(runs["min_ns"], starts), start_ns)
    high = np.minimum(np.maximum.reduceat(runs["max_ns"], starts), end_ns - 1)
    cut = (runs["min_ns"] < start_ns) | (runs["max_ns"] >= end_ns)
    per_block = zip(
        block[starts].tolist(),
        starts.tolist(),
        ends.tolist(),
        low.tolist(),
        high.tolist(),
        np.add.reduceat(runs["rows"], starts).tolist(),
        np.add.reduceat(runs["line_bytes"], starts).tolist(),
        np.logical_or.reduceat(cut, starts).tolist(),
        strict=True,
    )
    for number, a, b, *numbers in per_block:
        yield BlockPart(
            tenant,
            number,
            start_ns,
            end_ns,
            StreamRuns(runs["stream"][a:b], runs["min_ns"][a:b], runs["max_ns"][a:b]),
            runs["run"][a:b],
            runs["row_first"][a:b],
            runs["rows"][a:b],
            runs["lines_crc"][a:b],
            *numbers,
        )
