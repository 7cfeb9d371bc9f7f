"""The streams of one tenant in an ingester, as a struct of arrays.

A stream's `ref` is its row in every array. Refs of removed streams are used
again, once nothing refers to them. Pure: callers supply the clock.
"""

from collections.abc import Sequence
from typing import cast

import numpy as np
import numpy.typing as npt

from loki_py.index.postings import LabelIndex
from loki_py.model.batch import Timestamps
from loki_py.model.labels import LabelSet
from loki_py.model.matchers import Matcher

NEVER_NS = np.iinfo(np.int64).min
"""Stands for "no timestamp yet" in the arrays of newest times."""

_FIRST_CAPACITY = 64

Refs = npt.NDArray[np.uint32]


class StreamTable:
    """Label sets by ref, the inverted index over them, and per-stream counters.

    Attributes:
        newest_ns: int64 by ref, the newest timestamp ever appended.
        oldest_ns: int64 by ref, the oldest one.
        appended_ns: int64 by ref, the wall clock at the last append.
        tokens: float64 by ref, bytes left in the stream's rate bucket.
        refilled_ns: int64 by ref, the wall clock at the bucket's last refill.
        holders: int32 by ref, how many heads and block files hold entries.
        removals: how many streams were removed so far; each may have given its
            ref to another.
    """

    def __init__(self) -> None:
        self.labels: list[LabelSet | None] = []
        self.index = LabelIndex()
        self._refs: dict[LabelSet, int] = {}
        self._free: list[int] = []
        self.removals = 0
        self.newest_ns = np.full(_FIRST_CAPACITY, NEVER_NS, np.int64)
        self.oldest_ns = np.full(_FIRST_CAPACITY, -NEVER_NS - 1, np.int64)
        self.appended_ns = np.zeros(_FIRST_CAPACITY, np.int64)
        self.tokens = np.zeros(_FIRST_CAPACITY, np.float64)
        self.refilled_ns = np.zeros(_FIRST_CAPACITY, np.int64)
        self.holders = np.zeros(_FIRST_CAPACITY, np.int32)

    def __len__(self) -> int:
        return len(self._refs)

    @property
    def capacity(self) -> int:
        """One more than the largest ref ever given."""
        return len(self.labels)

    def find(self, labels: LabelSet) -> int | None:
        """Return the stream's ref, or None where it is not held."""
        return self._refs.get(labels)

    def find_all(self, labels: Sequence[LabelSet]) -> list[int | None]:
        """Return the streams' refs, in order; None for those that are not held."""
        return list(map(self._refs.get, labels))

    def add(self, labels: LabelSet, *, now_ns: int) -> int:
        """Return the ref of a stream that was not held before."""
        assert labels not in self._refs
        if self._free:
            ref = self._free.pop()
            self.labels[ref] = labels
        else:
            ref = len(self.labels)
            self.labels.append(labels)
            if ref == len(self.newest_ns):
                self._grow()
        self._refs[labels] = ref
        self.index.add(ref, labels)
        self.newest_ns[ref] = NEVER_NS
        self.oldest_ns[ref] = -NEVER_NS - 1
        self.appended_ns[ref] = now_ns
        self.tokens[ref] = np.inf  # capped to the burst at the first refill
        self.refilled_ns[ref] = now_ns
        self.holders[ref] = 0
        return ref

    def ref_of(self, labels: LabelSet, *, now_ns: int) -> int:
        """Return the stream's ref, adding the stream where it is new."""
        ref = self._refs.get(labels)
        return self.add(labels, now_ns=now_ns) if ref is None else ref

    def refs_of(self, labels: Sequence[LabelSet], *, now_ns: int) -> Refs:
        """Return the streams' refs, adding the streams that are new."""
        refs = (self.ref_of(each, now_ns=now_ns) for each in labels)
        return np.fromiter(refs, np.uint32, len(labels))

    def remove_unused(self, *, appended_before_ns: int) -> int:
        """Forget idle streams that nothing holds; return how many there were."""
        used = self.capacity
        idle = (self.holders[:used] == 0) & (
            self.appended_ns[:used] < appended_before_ns
        )
        removed = 0
        for ref in np.flatnonzero(idle).tolist():
            labels = self.labels[ref]
            if labels is None:
                continue
            del self._refs[labels]
            self.index.remove(ref)
            self.labels[ref] = None
            self._free.append(ref)
            removed += 1
        self.removals += removed
        return removed

    def active_count(self, *, appended_since_ns: int) -> int:
        """Return how many streams were appended to since then."""
        if len(self._refs) == 0:
            return 0
        active = self.appended_ns[: self.capacity] >= appended_since_ns
        if self._free:
            active[self._free] = False
        return int(np.count_nonzero(active))

    def select(
        self, matchers: Sequence[Matcher], *, start_ns: int, end_ns: int
    ) -> Refs:
        """Return the refs of matching streams that touch [start_ns, end_ns)."""
        refs = self.index.select(matchers)
        touching = (self.newest_ns[refs] >= start_ns) & (self.oldest_ns[refs] < end_ns)
        selected: Refs = refs[touching]
        return selected

    def labels_of(self, refs: Refs) -> tuple[LabelSet, ...]:
        """Return the label sets of held refs, in order."""
        labels = cast("list[LabelSet]", self.labels)
        return tuple([labels[ref] for ref in refs.tolist()])

    def note_times(
        self, refs: Refs, oldest_ns: Timestamps, newest_ns: Timestamps
    ) -> None:
        """Widen the streams' time bounds; refs may repeat."""
        np.minimum.at(self.oldest_ns, refs, oldest_ns)
        np.maximum.at(self.newest_ns, refs, newest_ns)

    def _grow(self) -> None:
        for name, value in self.__dict__.items():
            if isinstance(value, np.ndarray):
                grown = np.zeros(2 * len(value), value.dtype)
                grown[: len(value)] = value
                setattr(self, name, grown)
