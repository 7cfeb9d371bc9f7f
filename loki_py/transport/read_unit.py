"""Read units for somebody elsewhere: filtered a first time, in pieces to send."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl

from loki_py.errors import CorruptData
from loki_py.logql.exec.range_leaf import RangeEvaluator
from loki_py.logql.plan import Leaf
from loki_py.model.batch import EntryBatch
from loki_py.model.labels import LabelSet
from loki_py.model.scan import Columns, ReadStats, ScanUnit, TimedUnit
from loki_py.model.shares import Share
from loki_py.transport.partials import Told, encode_partial
from loki_py.wire.digests import Digests, digests_of
from loki_py.wire.messages import BatchShape, ShareAsked
from loki_py.wire.messages_batch import (
    EncodedBatch,
    encode_batch,
    pieces_of,
    shape_of,
)


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


def map_unit(
    unit: ScanUnit | None, leaf: Leaf, stats: ReadStats
) -> list[tuple[Told, Sequence[Any]]]:
    """Return what the leaf makes of the rows, as headers and payloads. Blocks."""
    if unit is None:
        return []
    evaluator = leaf.evaluator
    if isinstance(unit, TimedUnit) and isinstance(evaluator, RangeEvaluator):
        runs = None
        if evaluator.counts_times:
            runs = unit.read_times(leaf.scan.columns, stats)
        if runs is not None:
            stats.units_timed += 1
            return list(encode_partial(evaluator.map_times(runs)))
    stats.units_read += 1
    batch = unit.read(leaf.scan.columns, stats)
    return list(encode_partial(evaluator.map(batch))) if len(batch) else []


def with_literals(batch: EntryBatch, literals: Sequence[str]) -> EntryBatch:
    """Return the rows whose line contains every literal."""
    if not len(batch):
        return batch
    lines = pl.Series(pl.from_arrow(batch.line))
    mask = np.ones(len(batch), np.bool_)
    for literal in literals:
        mask &= lines.str.contains(literal, literal=True).to_numpy()
    return batch.filter(mask)
