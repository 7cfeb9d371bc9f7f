"""Chunks of packs as scan units: bounds from the index, rows from the pack.

Nothing of a pack is touched before a unit is read or cut; what a unit tells
before that comes from the index alone.

Pure: an `OpenPack` that is passed in does the fetching.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt

from loki_py.chunks.pack_reader import Pack, PackPart
from loki_py.errors import CorruptData, DataUnreadable, ObjectNotFound
from loki_py.index.chunk_table import ChunkSelection, PackRef
from loki_py.model.batch import EntryBatch, StreamIndex, Timestamps
from loki_py.model.labels import LabelSet
from loki_py.model.scan import Columns, LargeUnit, ReadStats, ScanUnit, StreamRuns

UNIT_LINE_BYTES = 4 * 1024 * 1024
"""Lines in one unit: long enough that a thread's work dwarfs handing it out."""

_Ints = npt.NDArray[np.int64]


class OpenPack(Protocol):
    """Opens packs and keeps what it can; blocking, called on threads."""

    def __call__(self, ref: PackRef, stats: ReadStats) -> Pack:
        """Return the open pack; adds what was fetched to `stats`.

        Raises: DataUnreadable, Unavailable.
        """
        ...


@dataclass(frozen=True, slots=True)
class Chunks:
    """Some chunks of one pack, as columns of equal length, in file order.

    Attributes:
        stream: position in the unit's streams.
        min_ns, max_ns: bounds, both ends included.
        row_first, rows: where they lie in the pack.
        line_bytes: bytes of their lines.
    """

    stream: StreamIndex
    min_ns: Timestamps
    max_ns: Timestamps
    row_first: _Ints
    rows: _Ints
    line_bytes: _Ints

    def slice(self, start: int, end: int) -> "Chunks":
        """Return chunks [start, end)."""
        return Chunks(
            self.stream[start:end],
            self.min_ns[start:end],
            self.max_ns[start:end],
            self.row_first[start:end],
            self.rows[start:end],
            self.line_bytes[start:end],
        )

    def take(self, mask: npt.NDArray[np.bool_]) -> "Chunks":
        """Return the chunks where `mask` is true."""
        return Chunks(
            self.stream[mask],
            self.min_ns[mask],
            self.max_ns[mask],
            self.row_first[mask],
            self.rows[mask],
            self.line_bytes[mask],
        )


@dataclass(frozen=True, slots=True)
class PackScan:
    """What the units of one pack share.

    Attributes:
        start_ns, end_ns: the half-open interval of the scan.
        piece_bytes: lines in a piece when a unit is cut.
    """

    open_pack: OpenPack
    ref: PackRef
    streams: Sequence[LabelSet]
    start_ns: int
    end_ns: int
    piece_bytes: int


@dataclass(frozen=True, slots=True)
class PackUnit(LargeUnit):
    """Consecutive chunks of one pack, known from the index."""

    scan: PackScan
    chunks: Chunks

    @property
    def streams(self) -> Sequence[LabelSet]:
        return self.scan.streams

    @property
    def min_ns(self) -> int:
        return max(int(self.chunks.min_ns.min()), self.scan.start_ns)

    @property
    def max_ns(self) -> int:
        return min(int(self.chunks.max_ns.max()), self.scan.end_ns - 1)

    @property
    def rows_max(self) -> int:
        return int(self.chunks.rows.sum())

    @property
    def line_bytes_max(self) -> int:
        """At most this many bytes of lines come back."""
        return int(self.chunks.line_bytes.sum())

    @property
    def origin(self) -> str:
        return self.scan.ref.key

    @property
    def runs(self) -> StreamRuns:
        chunks = self.chunks
        return StreamRuns(chunks.stream, chunks.min_ns, chunks.max_ns)

    def pieces(self) -> Sequence[ScanUnit]:
        """Return units of whole row groups, about `piece_bytes` of lines each."""
        pack = self.scan.open_pack(self.scan.ref, ReadStats())
        parts = self._parts_of(pack)
        if not parts:
            return []
        sizes = np.cumsum([part.line_bytes_max for part in parts])
        group = (sizes - sizes[0]) // self.scan.piece_bytes
        cuts = [0, *(np.flatnonzero(np.diff(group)) + 1).tolist(), len(parts)]
        return [PartsUnit(self.scan, parts[start:end]) for start, end in pairwise(cuts)]

    def narrowed(self, *, start_ns: int, end_ns: int) -> ScanUnit:
        """Return the same chunks in a narrower time."""
        scan = replace(
            self.scan,
            start_ns=max(start_ns, self.scan.start_ns),
            end_ns=min(end_ns, self.scan.end_ns),
        )
        return replace(self, scan=scan)

    def read(self, columns: Columns, stats: ReadStats) -> EntryBatch:
        """Return the rows of the chunks in the scan's time."""
        pack = self.scan.open_pack(self.scan.ref, stats)
        stats.chunks_read += len(self.chunks.rows)
        return read_parts(pack, self._parts_of(pack), self.scan, columns, stats)

    def _parts_of(self, pack: Pack) -> list[PackPart]:
        with naming(self.scan.ref):
            return pack.footer.select(
                self.chunks.stream,
                self.chunks.row_first,
                self.chunks.rows,
                start_ns=self.scan.start_ns,
                end_ns=self.scan.end_ns,
            )


@dataclass(frozen=True, slots=True)
class PartsUnit:
    """Row groups of one pack, known from its footer."""

    scan: PackScan
    parts: Sequence[PackPart]

    @property
    def streams(self) -> Sequence[LabelSet]:
        return self.scan.streams

    @property
    def min_ns(self) -> int:
        return min(part.min_ns for part in self.parts)

    @property
    def max_ns(self) -> int:
        return max(part.max_ns for part in self.parts)

    @property
    def rows_max(self) -> int:
        return sum(part.rows_max for part in self.parts)

    @property
    def origin(self) -> str:
        return self.scan.ref.key

    @property
    def runs(self) -> StreamRuns:
        counts = [len(part.stream) for part in self.parts]
        return StreamRuns(
            np.concatenate([part.stream for part in self.parts]),
            np.repeat([part.min_ns for part in self.parts], counts),
            np.repeat([part.max_ns for part in self.parts], counts),
        )

    def read(self, columns: Columns, stats: ReadStats) -> EntryBatch:
        """Return the rows of the parts."""
        pack = self.scan.open_pack(self.scan.ref, stats)
        stats.chunks_read += sum(len(part.rows) for part in self.parts)
        return read_parts(pack, self.parts, self.scan, columns, stats)


def read_parts(
    pack: Pack,
    parts: Sequence[PackPart],
    scan: PackScan,
    columns: Columns,
    stats: ReadStats,
) -> EntryBatch:
    """Return the rows of parts of a pack; counts what they hold.

    Raises: DataUnreadable, naming the pack.
    """
    with naming(scan.ref):
        batch = pack.read(parts, columns, scan.streams)
        ranges = pack.footer.byte_ranges(parts, columns)
    stats.compressed_bytes += sum(length for _, length in ranges)
    stats.block_rows += len(batch)
    if batch.line is not None:
        stats.block_bytes += int(batch.line_bytes().sum())
    stats.metadata_bytes += int(batch.metadata_bytes().sum())
    return batch


@contextmanager
def naming(ref: PackRef) -> Iterator[None]:
    """Name the pack in errors about what is stored."""
    try:
        yield
    except CorruptData as error:
        raise DataUnreadable(f"pack {ref.key} is damaged: {error}") from error
    except ObjectNotFound as error:
        raise DataUnreadable(f"pack {ref.key} is gone") from error


def pack_units(
    selection: ChunkSelection,
    open_pack: OpenPack,
    *,
    start_ns: int,
    end_ns: int,
    piece_bytes: int = UNIT_LINE_BYTES,
) -> list[PackUnit]:
    """Return the selected chunks as units of about UNIT_LINE_BYTES of lines.

    Args:
        selection: what the index found for the scan.
        open_pack: what fetches.
        start_ns: first time wanted.
        end_ns: first time no longer wanted.
        piece_bytes: lines in a piece where a unit is cut.
    """
    refs = selection.refs
    if not len(refs):
        return []
    pack = refs["pack"].to_numpy()
    chunks = Chunks(
        refs["stream"].to_numpy(),
        refs["from"].to_numpy(),
        refs["through"].to_numpy(),
        refs["row_first"].to_numpy().astype(np.int64),
        refs["rows"].to_numpy().astype(np.int64),
        refs["bytes"].to_numpy().astype(np.int64),
    )
    size = np.cumsum(chunks.line_bytes) - chunks.line_bytes
    starts_pack = np.ones(len(pack), dtype=np.bool_)
    starts_pack[1:] = pack[1:] != pack[:-1]
    first = np.maximum.accumulate(np.where(starts_pack, np.arange(len(pack)), 0))
    group = (size - size[first]) // UNIT_LINE_BYTES
    starts = starts_pack.copy()
    starts[1:] |= group[1:] != group[:-1]
    cuts = [*np.flatnonzero(starts).tolist(), len(pack)]
    scans = [
        PackScan(open_pack, ref, selection.streams, start_ns, end_ns, piece_bytes)
        for ref in selection.packs
    ]
    return [
        PackUnit(scans[pack[start]], chunks.slice(start, end))
        for start, end in pairwise(cuts)
    ]
