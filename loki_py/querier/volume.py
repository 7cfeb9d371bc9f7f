"""Volumes: bytes and entries per stream and span of time, added up as columns.

Bytes are those of lines and of structured metadata. Pure: units read.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from loki_py.model.batch import EntryBatch, Timestamps
from loki_py.model.labels import LabelSet
from loki_py.model.matchers import Matcher, MatchType
from loki_py.model.scan import ScanUnit
from loki_py.querier.limits import LimitBroken
from loki_py.querier.pack_units import PackUnit

DENSE_MAX = 1 << 18
"""Streams times spans of time up to which sums have a place for each."""

_Ints: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Part:
    """Some bytes and entries; columns of equal length.

    Attributes:
        stream: position in `streams`.
        bucket: which span of time.
    """

    streams: Sequence[LabelSet]
    stream: _Ints
    bucket: _Ints
    size_bytes: _Ints
    entries: _Ints


@dataclass(frozen=True, slots=True)
class Volumes:
    """What all parts come to; columns of equal length.

    Attributes:
        streams: each with an entry or more.
        stream, bucket: each pair once.
    """

    streams: Sequence[LabelSet]
    stream: _Ints
    bucket: _Ints
    size_bytes: _Ints
    entries: _Ints


@dataclass(slots=True)
class Tally:
    """Evaluates the units of a scan to volumes.

    Attributes:
        edges_ns: where each span of time starts, ascending.
    """

    edges_ns: Timestamps
    parts: list[Part] = field(default_factory=list)

    def map(self, batch: EntryBatch) -> Part:
        """Return the volumes of a batch; lines count where they were read."""
        sizes = batch.metadata_bytes()
        if batch.line is not None:
            sizes = sizes + batch.line_bytes()
        return _added_up(
            batch.streams,
            batch.stream.astype(np.int64),
            self._bucket_of(batch.timestamp_ns),
            sizes,
            np.ones(len(batch), np.int64),
        )

    def add(self, partial: Part) -> None:
        """Take a partial result in."""
        self.parts.append(partial)

    def enough(self, bound_ns: int) -> bool:
        """Return whether the rest can be left out, which it never can."""
        del bound_ns
        return False

    def take_chunks(
        self, units: Sequence[ScanUnit], *, start_ns: int, end_ns: int
    ) -> tuple[list[ScanUnit], list[ScanUnit]]:
        """Add the line bytes of whole chunks, which the index knows.

        A chunk is whole where all of it lies in the interval, in one span of
        time, and in a unit that repeats nothing of another.

        Returns: units whose lines are counted already, and the others.
        """
        counted: list[ScanUnit] = []
        others: list[ScanUnit] = []
        for unit in units:
            if not isinstance(unit, PackUnit):
                others.append(unit)
                continue
            chunks = unit.chunks
            bucket = self._bucket_of(chunks.min_ns)
            whole = (chunks.min_ns >= start_ns) & (chunks.max_ns < end_ns)
            whole &= bucket == self._bucket_of(chunks.max_ns)
            if whole.any():
                counted.append(replace(unit, chunks=chunks.take(whole)))
                self.add(
                    _added_up(
                        unit.streams,
                        chunks.stream[whole].astype(np.int64),
                        bucket[whole],
                        chunks.line_bytes[whole],
                        np.zeros(int(whole.sum()), np.int64),
                    )
                )
            if not whole.all():
                others.append(replace(unit, chunks=chunks.take(~whole)))
        return counted, others

    def volumes(self) -> Volumes:
        """Return the sum of everything added."""
        numbers: dict[LabelSet, int] = {}
        mapped: dict[int, _Ints] = {}
        stream: list[_Ints] = []
        for part in self.parts:
            key = id(part.streams)
            if key not in mapped:
                mapped[key] = np.full(len(part.streams), -1, np.int64)
            number_of = mapped[key]
            for local in np.unique(part.stream[number_of[part.stream] < 0]).tolist():
                labels = part.streams[local]
                number_of[local] = numbers.setdefault(labels, len(numbers))
            stream.append(number_of[part.stream])
        whole = _added_up(
            tuple(numbers),
            _joined(stream),
            _joined([part.bucket for part in self.parts]),
            _joined([part.size_bytes for part in self.parts]),
            _joined([part.entries for part in self.parts]),
        )
        return Volumes(
            whole.streams, whole.stream, whole.bucket, whole.size_bytes, whole.entries
        )

    def _bucket_of(self, timestamp_ns: Timestamps) -> _Ints:
        if len(self.edges_ns) == 1:
            return np.zeros(len(timestamp_ns), np.int64)
        found: _Ints = np.searchsorted(self.edges_ns, timestamp_ns, "right") - 1
        return np.maximum(found, 0)


def _added_up(
    streams: Sequence[LabelSet],
    stream: _Ints,
    bucket: _Ints,
    sizes: _Ints,
    entries: _Ints,
) -> Part:
    """Return each stream and span of time once; sums are exact below 2^53."""
    span = int(bucket.max()) + 1 if len(bucket) else 1
    group = stream * span + bucket
    keys = None
    if len(streams) * span > DENSE_MAX:
        keys, group = np.unique(group, return_inverse=True)
    size_bytes = np.bincount(group, sizes).astype(np.int64)
    counts = np.bincount(group, entries).astype(np.int64)
    if keys is None:
        keys = np.flatnonzero(size_bytes | counts)
        size_bytes, counts = size_bytes[keys], counts[keys]
    return Part(streams, keys // span, keys % span, size_bytes, counts)


def _joined(columns: Sequence[_Ints]) -> _Ints:
    return np.concatenate([np.zeros(0, np.int64), *columns])


@dataclass(frozen=True, slots=True)
class Grouping:
    """How streams become series of an answer.

    Attributes:
        names: the labels that count; None for all of a stream's.
        by_label: whether a series is one label's name, not a set of labels.
    """

    names: frozenset[str] | None
    by_label: bool

    def series_of(self, labels: LabelSet) -> list[tuple[tuple[str, str], ...]]:
        """Return the series that a stream counts for."""
        pairs = tuple(
            pair for pair in labels.pairs if self.names is None or pair[0] in self.names
        )
        if self.by_label:
            return [((name, ""),) for name, _ in pairs]
        return [pairs]


def grouping_of(
    matchers: Sequence[Matcher], targets: Sequence[str], *, by_label: bool
) -> tuple[Grouping, tuple[Matcher, ...]]:
    """Return how a question groups streams, and the matchers it means.

    Streams without a target label do not count.
    """
    if targets:
        named = {matcher.name for matcher in matchers}
        added = tuple(
            Matcher(name, MatchType.REGEXP, ".+")
            for name in dict.fromkeys(targets)
            if name not in named
        )
        return Grouping(frozenset(targets), by_label), (*matchers, *added)
    if by_label or not matchers:
        return Grouping(None, by_label), tuple(matchers)
    names = frozenset(matcher.name for matcher in matchers)
    return Grouping(names, by_label), tuple(matchers)


@dataclass(frozen=True, slots=True)
class SeriesVolumes:
    """Bytes by series, the largest series first.

    Attributes:
        size_bytes: int64[series, spans].
    """

    labels: Sequence[tuple[tuple[str, str], ...]]
    size_bytes: npt.NDArray[np.int64]


def series_volumes(
    volumes: Volumes, grouping: Grouping, *, spans: int, series_max: int
) -> SeriesVolumes:
    """Return the volumes by series; equal sums stand in label order.

    Raises: LimitBroken where there are more than `series_max` (0: no bound).
    """
    numbers: dict[tuple[tuple[str, str], ...], int] = {}
    of_stream = [
        [
            numbers.setdefault(series, len(numbers))
            for series in grouping.series_of(labels)
        ]
        for labels in volumes.streams
    ]
    if series_max and len(numbers) > series_max:
        raise LimitBroken(
            f"the query hit the max number of series limit (limit: {series_max} series)"
        )
    counts = np.array([len(each) for each in of_stream], np.int64)
    series = np.array([one for each in of_stream for one in each], np.int64)
    times = counts[volumes.stream]
    first = np.repeat((np.cumsum(counts) - counts)[volumes.stream], times)
    within = np.arange(len(first)) - np.repeat(np.cumsum(times) - times, times)
    sums = np.zeros((len(numbers), spans), np.int64)
    np.add.at(
        sums,
        (series[first + within], np.repeat(volumes.bucket, times)),
        np.repeat(volumes.size_bytes, times),
    )
    names = list(numbers)
    total = sums.sum(axis=1)
    order = sorted(range(len(names)), key=lambda i: (-total[i], names[i]))
    return SeriesVolumes([names[i] for i in order], sums[order])


def edges_of(*, start_ns: int, end_ns: int, step_ns: int) -> Timestamps:
    """Return where the spans of an interval start: it, then multiples of the step."""
    first = start_ns - start_ns % step_ns + step_ns
    return np.array([start_ns, *range(first, end_ns, step_ns)], np.int64)
