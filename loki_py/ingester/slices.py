"""In which order and in which portions a flush reads block files.

A pack is written in file order: streams by (fingerprint, text), each by time.
A slice is some neighbouring streams in that order, or a span of time of one
large stream: little enough to sort in memory. Pure.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from loki_py.chunks.sorting import file_order_of
from loki_py.ingester.selection import FIRST_NS, LAST_NS
from loki_py.model.batch import Timestamps
from loki_py.model.labels import LabelSet

SLICE_BYTES = 8 << 20
"""Lines and metadata of one slice, about; one timestamp's entries are never split."""


@dataclass(frozen=True, slots=True)
class StreamSize:
    """What a flush has of one stream; streams are numbered for the flush.

    `size_bytes` is that of lines and metadata.
    """

    number: int
    labels: LabelSet
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Slice:
    """A portion of a flush: these streams in [start_ns, end_ns)."""

    numbers: tuple[int, ...]
    start_ns: int = FIRST_NS
    end_ns: int = LAST_NS


def slices_of(
    sizes: Sequence[StreamSize],
    timestamps_of: Callable[[int], Timestamps],
    *,
    slice_bytes: int = SLICE_BYTES,
) -> Iterator[Slice]:
    """Yield the slices in file order.

    Args:
        sizes: every stream once.
        timestamps_of: all timestamps of a stream, by number; asked for large ones.
        slice_bytes: what a slice may hold, about.
    """
    waiting: list[int] = []
    waiting_bytes = 0
    for size in sorted(sizes, key=lambda each: file_order_of(each.labels)):
        if waiting and waiting_bytes + size.size_bytes > slice_bytes:
            yield Slice(tuple(waiting))
            waiting, waiting_bytes = [], 0
        if size.size_bytes > slice_bytes:
            yield from _slices_of_one(
                size, timestamps_of(size.number), slice_bytes=slice_bytes
            )
            continue
        waiting.append(size.number)
        waiting_bytes += size.size_bytes
    if waiting:
        yield Slice(tuple(waiting))


def _slices_of_one(
    size: StreamSize, timestamp_ns: Timestamps, *, slice_bytes: int
) -> Iterator[Slice]:
    count = -(-size.size_bytes // slice_bytes)
    ordered = np.sort(timestamp_ns)
    cuts = ordered[np.linspace(0, len(ordered), count, endpoint=False, dtype=int)[1:]]
    edges = [FIRST_NS, *np.unique(cuts).tolist(), LAST_NS]
    for start_ns, end_ns in pairwise(edges):
        yield Slice((size.number,), start_ns, end_ns)
