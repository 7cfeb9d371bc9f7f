"""Read a unit for somebody elsewhere: filtered a first time, in pieces to send."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from loki_py.model.batch import EntryBatch
from loki_py.model.scan import Columns, ReadStats, ScanUnit
from loki_py.wire.digests import Digests, digests_of
from loki_py.wire.messages import BatchShape
from loki_py.wire.messages_batch import encode_batch, shape_of

PIECE_BYTES = 2 << 20
"""Line and metadata bytes of one message, about."""


def read_pieces(
    unit: ScanUnit, columns: Columns, literals: Sequence[str], stats: ReadStats
) -> Iterator[tuple[BatchShape, Any]]:
    """Yield shape and columns of the unit's rows, at least once.

    Lines that lack one of the literals are left out, where lines are read. Each
    step blocks; `stats` is whole when the first piece is there.
    """
    batch = unit.read(columns, stats)
    if columns.line and literals:
        batch = with_literals(batch, literals)
    weight = batch.total_metadata_bytes() + 12 * len(batch)
    if batch.line is not None:
        weight += batch.total_line_bytes()
    count = max(-(-weight // PIECE_BYTES), 1)
    edges = np.linspace(0, len(batch), count + 1).astype(int).tolist()
    for start, end in pairwise(edges):
        piece = batch.slice(start, end)
        yield shape_of(piece), encode_batch(piece, piece.stream)


def read_digests(unit: ScanUnit, literals: Sequence[str]) -> Digests:
    """Return the numbers of the rows that `read_pieces` yields where lines are read.

    Blocks. What it costs is not counted: the entries are read for comparison.
    """
    batch = unit.read(Columns(), ReadStats())
    return digests_of(with_literals(batch, literals) if literals else batch)


def with_literals(batch: EntryBatch, literals: Sequence[str]) -> EntryBatch:
    """Return the rows whose line contains every literal."""
    if not len(batch):
        return batch
    lines = pl.Series(pl.from_arrow(batch.line))
    mask = np.ones(len(batch), np.bool_)
    for literal in literals:
        mask &= lines.str.contains(literal, literal=True).to_numpy()
    return batch.filter(mask)
