"""What was found out about stored lines, so that it is not found out again.

Stored lines never change. Their source keeps, for each of its runs of lines, what
somebody found who looked at all of them; batches of it refer to that.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Kinds: TypeAlias = npt.NDArray[np.uint8]

_Ints: TypeAlias = npt.NDArray[np.int64]
_Mask: TypeAlias = npt.NDArray[np.bool_]

_UNKNOWN, _PLAIN_JSON, _OTHER = range(3)


def unknown_kinds(runs_count: int) -> Kinds:
    """Return what is known of runs of lines at first; kept by their source."""
    return np.full(runs_count, _UNKNOWN, np.uint8)


@dataclass(frozen=True, slots=True)
class RunsOfLines:
    """Runs of one source that a batch has rows of, in the batch's order.

    Attributes:
        kinds: of all the source's runs; see `unknown_kinds`.
        run: int64, which runs.
        rows: int64, how many rows of each; None where those may not be all lines
            of the run, so that they tell nothing of it.
    """

    kinds: Kinds
    run: _Ints
    rows: _Ints | None


class LineFacts:
    """What is known of the lines of a batch, or of some of its rows.

    Threads may read and note without a lock: what they write is the same.

    Attributes:
        sources: what the batch, or the one that this is a part of, has rows of.
    """

    __slots__ = ("_end", "_noted", "_rows", "_start", "sources")

    def __init__(self, sources: Sequence[RunsOfLines]) -> None:
        """Of a whole batch, which has the rows of one source after the other."""
        self.sources = sources
        self._rows = _rows_of(sources)
        self._start, self._end = 0, 0 if self._rows is None else int(self._rows.sum())
        self._noted: dict[int, _Mask] = {}

    @classmethod
    def joined(cls, facts: Sequence["LineFacts | None"]) -> "LineFacts | None":
        """Return the facts of batches, one after the other; None where one has none."""
        sources: list[RunsOfLines] = []
        for each in facts:
            if each is None:
                return None
            sources += (each if each.is_whole else each.of_some()).sources
        return cls(sources)

    @property
    def are_plain_json(self) -> bool | None:
        """Whether all lines are plain JSON (`stages.json_plain`); None is unknown."""
        known = True
        for source in self.sources:
            kinds = source.kinds[source.run]
            if (kinds == _OTHER).any():
                return False
            known &= bool((kinds == _PLAIN_JSON).all())
        return known or None

    @property
    def is_whole(self) -> bool:
        """Whether these are all rows of the sources' runs."""
        return self._rows is not None and self._end - self._start == self._rows.sum()

    @property
    def can_learn(self) -> bool:
        """Whether something can be noted of these rows."""
        return self._rows is not None

    def of_some(self) -> "LineFacts":
        """Return what is known of any of the rows."""
        return LineFacts([replace(source, rows=None) for source in self.sources])

    def slice(self, start: int, end: int) -> "LineFacts":
        """Return the facts of rows [start, end); all slices together may learn."""
        part = LineFacts(self.sources)
        part._start, part._end = self._start + start, self._start + end
        part._noted = self._noted
        return part

    def note_plain_json(self, plain: _Mask) -> None:
        """Take which of these rows are plain JSON, all of which were looked at."""
        assert self._rows is not None
        assert len(plain) == self._end - self._start
        self._noted[self._start] = plain
        parts = []
        at, count = 0, int(self._rows.sum())
        while at < count and len(self._noted.get(at, ())):
            parts.append(self._noted[at])
            at += len(parts[-1])
        if not parts or at != count:
            return
        starts = np.cumsum(self._rows) - self._rows
        are_plain = np.logical_and.reduceat(np.concatenate(parts), starts)
        at = 0
        for source in self.sources:
            mine = are_plain[at : at + len(source.run)]
            source.kinds[source.run] = np.where(mine, _PLAIN_JSON, _OTHER)
            at += len(source.run)


def _rows_of(sources: Sequence[RunsOfLines]) -> _Ints | None:
    """Return how many rows the runs have; None where that is not known of all."""
    rows = [source.rows for source in sources if source.rows is not None]
    if not rows or len(rows) < len(sources):
        return None
    return np.concatenate(rows)
