"""Scans: what a reader is asked for, and the readable pieces it answers with."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pyarrow as pa

from loki_py.model.batch import EntryBatch, StreamIndex, Timestamps
from loki_py.model.labels import LabelSet
from loki_py.model.line_search import LineSearch
from loki_py.model.matchers import Matcher

ALL_METADATA = None
"""Stands for "every structured-metadata name" in `Columns.metadata`."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns a reader must load beside stream and timestamp.

    Attributes:
        line: whether lines are needed.
        metadata: the metadata names needed; ALL_METADATA (None) for all.
        in_place: whether lines may come as views of where they lie, good for as
            long as the batch is.
        search: tells neighbouring lines of which none is of interest; a reader
            may leave those out, and may ignore it.
    """

    line: bool = True
    metadata: frozenset[str] | None = ALL_METADATA
    in_place: bool = field(default=False, compare=False)
    search: LineSearch | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Scan:
    """One selection of entries, as the plan of a query asks for it.

    Attributes:
        matchers: what streams must match, all of them.
        start_ns, end_ns: the half-open interval [start_ns, end_ns).
        columns: what to load.
        newest_first: in which order the units are wanted.
        literals: byte strings that every line of interest contains; a reader
            may use them to skip whole pieces, and may ignore them.
    """

    matchers: tuple[Matcher, ...]
    start_ns: int
    end_ns: int
    columns: Columns = field(default_factory=Columns)
    newest_first: bool = True
    literals: tuple[str, ...] = ()


@dataclass(slots=True)
class ReadStats:
    """What reading really cost; units of work add to it, sums are exact.

    Attributes:
        head_rows, head_bytes: entries and their line bytes read from heads.
        block_rows, block_bytes: the same from local blocks and packs, uncompressed.
        metadata_bytes: structured metadata of what was read.
        compressed_bytes: bytes fetched from packs.
        chunks_matched: chunks that the index named for the matchers and the time.
        chunks_read: chunks of which anything was read.
        units_read: units whose entries were read, evaluated here or elsewhere.
        units_timed: units that were answered for by their times alone.
        units_repeated: units not read because others hold all of their entries.
        units_unneeded: units not read because what was read first suffices.
        blocks_searched: blocks whose lines were searched before rows were read.
        blocks_without: those of them that hold nothing of what was sought.
        duplicates: rows dropped as duplicates.
        packs_fetched: packs of which anything was fetched.
    """

    head_rows: int = 0
    head_bytes: int = 0
    block_rows: int = 0
    block_bytes: int = 0
    metadata_bytes: int = 0
    compressed_bytes: int = 0
    chunks_matched: int = 0
    chunks_read: int = 0
    units_read: int = 0
    units_timed: int = 0
    units_repeated: int = 0
    units_unneeded: int = 0
    blocks_searched: int = 0
    blocks_without: int = 0
    duplicates: int = 0
    packs_fetched: int = 0

    def add(self, other: "ReadStats") -> None:
        """Add the other's counts to these."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(frozen=True, slots=True)
class Skipped:
    """Chunks that a selection passed over, each counted once.

    A chunk is what one head, one block or one pack has of one stream.

    Attributes:
        outside_time: of another time; their stream may match or not.
        other_streams: of streams that do not match; their time may match or not.
        held_locally: of packs all of whose entries an ingester answers with.
        other_replicas: of replicas for which an equal one answers.
    """

    outside_time: int = 0
    other_streams: int = 0
    held_locally: int = 0
    other_replicas: int = 0

    @classmethod
    def total_of(cls, each: "Iterable[Skipped]") -> "Skipped":
        """Return the sums."""
        every = list(each)
        return cls(*(sum(getattr(s, name) for s in every) for name in cls.__slots__))


NOTHING_SKIPPED = Skipped()


@dataclass(frozen=True, slots=True)
class StreamRuns:
    """When each stream of a unit has entries; four columns of equal length.

    A stream may stand in several runs. Bounds are exact or wider, both ends
    included; every row of the unit lies in a run of its stream.

    Attributes:
        stream: position in the unit's `streams`.
        min_ns, max_ns: no row of the run is older, or newer.
    """

    stream: StreamIndex
    min_ns: Timestamps
    max_ns: Timestamps

    @classmethod
    def of(cls, stream: StreamIndex, timestamp_ns: Timestamps) -> "StreamRuns":
        """Return the exact runs of rows, fastest where rows of a stream adjoin."""
        if len(stream) == 0:
            return cls(stream, timestamp_ns, timestamp_ns)
        starts = _run_starts(stream)
        if len(starts) * 8 > len(stream):
            order = np.argsort(stream, kind="stable")
            stream, timestamp_ns = stream[order], timestamp_ns[order]
            starts = _run_starts(stream)
        return cls(
            stream[starts],
            np.minimum.reduceat(timestamp_ns, starts),
            np.maximum.reduceat(timestamp_ns, starts),
        )


def _run_starts(stream: StreamIndex) -> "np.typing.NDArray[np.intp]":
    return np.flatnonzero(np.concatenate(([True], stream[1:] != stream[:-1])))


class ScanUnit(Protocol):
    """One readable run of entries: a piece of a head, a block, row groups of a pack.

    A unit is a promise to read; nothing is read before `read`. Bounds are exact
    or wider. Rows of one unit are never duplicates of each other, nor of rows
    of another unit of the same origin. Units of different origins may hold the
    same entry (replicas, an entry pushed twice, local data and the pack made of
    it): `querier.merge` drops those, and what it returns is free of duplicates.
    """

    @property
    def streams(self) -> Sequence[LabelSet]:
        """The label sets, in the order that `stream` columns index."""
        ...

    @property
    def min_ns(self) -> int:
        """No row is older."""
        ...

    @property
    def max_ns(self) -> int:
        """No row is newer."""
        ...

    @property
    def rows_max(self) -> int:
        """At most this many rows come back."""
        ...

    @property
    def origin(self) -> str:
        """What the unit is a piece of: one head, one block file, one pack."""
        ...

    @property
    def runs(self) -> StreamRuns:
        """When each stream has entries; cheap, asked for once a query."""
        ...

    def read(self, columns: Columns, stats: ReadStats) -> EntryBatch:
        """Return the rows that match the scan's streams and time, in any order.

        Blocking; called on worker threads, several at once; may be called again
        with other columns.

        Raises: CorruptData, ObjectNotFound, Unavailable.
        """
        ...


def chunks_of(unit: ScanUnit) -> int:
    """Return of how many streams a unit has entries."""
    return int(np.count_nonzero(np.bincount(unit.runs.stream)))


@dataclass(frozen=True, slots=True)
class TimeRuns:
    """Times of a piece of a source: some runs of rows, of one stream each.

    Attributes:
        streams: the label sets that `stream` indexes.
        stream: uint32[k], the stream of each run.
        first, last: int64[k], the run's rows [first, last); none is empty.
        timestamp_ns: by row, ascending within a run; rows of no run are anything.
    """

    streams: Sequence[LabelSet]
    stream: StreamIndex
    first: "np.typing.NDArray[np.int64]"
    last: "np.typing.NDArray[np.int64]"
    timestamp_ns: Timestamps


class LocalUnit:
    """A unit that lies in memory or in a mapped file: to read it waits for nobody."""


class TimedUnit(LocalUnit, ABC):
    """A unit that knows which of its rows are one stream's, in order of time."""

    @abstractmethod
    def read_times(
        self, columns: Columns, stats: ReadStats
    ) -> "Sequence[TimeRuns] | None":
        """Return runs that hold the rows that `read` would return, each once.

        None where the unit has of the columns more than stream and time.

        Blocking; called on worker threads.

        Raises: DataUnreadable.
        """


class LargeUnit(ABC):
    """A unit that can be cut, at the price of asking its source for details.

    The pieces hold the unit's rows, each once, and have the unit's origin and
    `streams`; their bounds are narrower.
    """

    @abstractmethod
    def pieces(self) -> Sequence[ScanUnit]:
        """Return the unit in pieces of the size that threads work on.

        Blocking; called on worker threads.

        Raises: CorruptData, ObjectNotFound, Unavailable.
        """

    @abstractmethod
    def narrowed(self, *, start_ns: int, end_ns: int) -> ScanUnit:
        """Return a unit of the rows with times in [start_ns, end_ns)."""


@dataclass(frozen=True, slots=True)
class BatchUnit(LocalUnit):
    """A unit whose rows are already in memory."""

    batch: EntryBatch
    in_head: bool = True
    origin: str = ""

    @property
    def runs(self) -> StreamRuns:
        return StreamRuns.of(self.batch.stream, self.batch.timestamp_ns)

    @property
    def streams(self) -> Sequence[LabelSet]:
        return self.batch.streams

    @property
    def min_ns(self) -> int:
        return int(self.batch.timestamp_ns.min())

    @property
    def max_ns(self) -> int:
        return int(self.batch.timestamp_ns.max())

    @property
    def rows_max(self) -> int:
        return len(self.batch)

    def read(self, columns: Columns, stats: ReadStats) -> EntryBatch:
        """Return the batch with the wanted columns; counts what it holds."""
        batch = projected(self.batch, columns)
        line_bytes = 0 if batch.line is None else int(batch.line_bytes().sum())
        if self.in_head:
            stats.head_rows += len(batch)
            stats.head_bytes += line_bytes
        else:
            stats.block_rows += len(batch)
            stats.block_bytes += line_bytes
        stats.metadata_bytes += int(batch.metadata_bytes().sum())
        return batch


def projected(batch: EntryBatch, columns: Columns) -> EntryBatch:
    """Return the batch with only the wanted columns."""
    wanted: Collection[str] = (
        batch.metadata if columns.metadata is ALL_METADATA else columns.metadata
    )
    return EntryBatch(
        batch.streams,
        batch.stream,
        batch.timestamp_ns,
        batch.line if columns.line else None,
        {name: col for name, col in batch.metadata.items() if name in wanted},
        None if columns.metadata == frozenset() else batch.metadata_rest,
        batch.facts if columns.line else None,
    )


def no_rows(streams: Sequence[LabelSet], columns: Columns) -> EntryBatch:
    """Return a batch without rows."""
    return EntryBatch(
        streams,
        np.zeros(0, np.uint32),
        np.zeros(0, np.int64),
        pa.nulls(0, pa.large_string()) if columns.line else None,
    )
