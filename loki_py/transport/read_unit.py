"""Read units for somebody elsewhere: filtered a first time, in pieces to send."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import polars as pl

from loki_py.errors import CorruptData, Unavailable
from loki_py.logql.question import LeafQuestion
from loki_py.model.batch import EntryBatch
from loki_py.model.labels import LabelSet
from loki_py.model.scan import Columns, ReadStats, Scan, ScanUnit
from loki_py.model.shares import Share
from loki_py.wire.digests import Digests, digests_of
from loki_py.wire.messages import BatchShape, ShareAsked
from loki_py.wire.messages_batch import (
    EncodedBatch,
    encode_batch,
    pieces_of,
    shape_of,
)

ADVANCE_ROWS_MAX = 300_000
"""Rows that are evaluated before it is known whether that is wanted."""

EARLY_ROWS_MAX = 3_000_000
"""Rows of which any number may be, where mostly the first few suffice."""

ANY_ROWS = 1 << 62
"""As many as there are."""

TIMED_ROWS = 8
"""Rows of which times suffice that are as dear as one whose line is read."""


class GivenUp(Unavailable):
    """More rows were read than it is worth."""


class LeafRunner(Protocol):
    """Evaluates leaves for those who ask from elsewhere."""

    async def run(
        self,
        units: Sequence[ScanUnit],
        question: LeafQuestion,
        take: Callable[[Any], None],
        *,
        rows_max: int = ANY_ROWS,
    ) -> ReadStats:
        """Evaluate units that hold no entry twice; return what reading cost.

        Args:
            take: gets each partial result, on some thread, one call at a time, in
                the order in which they are to be added. Units that cannot change
                the result are not read.
            rows_max: after how many rows to give up.

        Raises: GivenUp, QueryInvalid, DataUnreadable, Unavailable.
        """
        ...

    def close(self) -> None:
        """Wait for the units at work."""
        ...


def read_pieces(
    unit: ScanUnit, columns: Columns, literals: Sequence[str], stats: ReadStats
) -> Iterator[tuple[BatchShape, EncodedBatch]]:
    """Yield shape and columns of the unit's rows, at least once.

    Lines that lack one of the literals are left out, where lines are read. Each
    step blocks; `stats` is whole when the first piece is there.
    """
    batch = unit.read(columns, stats)
    if columns.line and literals:
        batch = with_literals(batch, literals)
    for piece in pieces_of(batch):
        yield shape_of(piece), encode_batch(piece, piece.stream)


def read_digests(unit: ScanUnit, literals: Sequence[str]) -> Digests:
    """Return the numbers of the rows that `read_pieces` yields where lines are read.

    Blocks. What it costs is not counted: the entries are read for comparison.
    """
    batch = unit.read(Columns(), ReadStats())
    return digests_of(with_literals(batch, literals) if literals else batch)


def advance_rows(units: Sequence[ScanUnit], scan: Scan, *, stops_early: bool) -> int:
    """Return of how many rows units are worth evaluating in advance; 0 for none."""
    rows = sum(unit.rows_max for unit in units)
    if stops_early:
        return ANY_ROWS if rows <= EARLY_ROWS_MAX else ADVANCE_ROWS_MAX
    rows_max = ADVANCE_ROWS_MAX * (1 if scan.columns.line else TIMED_ROWS)
    return ANY_ROWS if rows <= rows_max else 0


def share_of(asked: ShareAsked, bits: memoryview, streams: Sequence[LabelSet]) -> Share:
    """Return the share of a header.

    Raises: CorruptData where it has not a bit for each label set, or no time.
    """
    if not asked.spans:
        raise CorruptData("share has no span of time")
    if len(bits) != -(-len(streams) // 8):
        raise CorruptData(f"share of {len(streams)} streams has {len(bits)} bytes")
    flags = np.unpackbits(np.frombuffer(bits, np.uint8), count=len(streams))
    return Share(flags.astype(np.bool_), tuple(asked.spans))


def with_literals(batch: EntryBatch, literals: Sequence[str]) -> EntryBatch:
    """Return the rows whose line contains every literal."""
    if not len(batch):
        return batch
    lines = pl.Series(pl.from_arrow(batch.line))
    mask = np.ones(len(batch), np.bool_)
    for literal in literals:
        mask &= lines.str.contains(literal, literal=True).to_numpy()
    return batch.filter(mask)
