"""The inverted label index: which streams have a label that matches.

Each label name has two columns, ref and value, that grow as streams come; a
matcher is tried once per distinct value and then looked up for all rows. Memory
is proportional to the label pairs of the streams held.
"""

from array import array
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from loki_py.index.matching import values_matched
from loki_py.model.labels import LabelSet
from loki_py.model.matchers import Matcher

Refs: TypeAlias = npt.NDArray[np.uint32]

_Mask = npt.NDArray[np.bool_]


class LabelIndex:
    """Finds streams, known by small numbers (refs), by their labels.

    Refs should be dense: a look-up costs a byte per ref up to the largest. Not
    thread-safe; reading settles what was added and removed, so that readers
    need the same protection as writers.
    """

    def __init__(self) -> None:
        self._labels: dict[int, LabelSet] = {}
        self._columns: dict[str, _Column] = {}
        self._held = bytearray()  # by ref, 1 where a stream has it

    def __len__(self) -> int:
        return len(self._labels)

    def add(self, ref: int, labels: LabelSet) -> None:
        """Make the stream findable; `ref` must not be in use."""
        assert ref not in self._labels
        self._labels[ref] = labels
        if ref >= len(self._held):
            self._held.extend(bytes(ref + 1 - len(self._held)))
        self._held[ref] = 1
        columns = self._columns
        for name, value in labels.pairs:
            column = columns.get(name)
            if column is None:
                column = columns[name] = _Column()
            column.add(ref, value)

    def remove(self, ref: int) -> None:
        """Forget the stream; KeyError where `ref` is unknown."""
        for name, value in self._labels.pop(ref).pairs:
            column = self._columns[name]
            column.remove(ref, value)
            if not column.count:
                del self._columns[name]
        self._held[ref] = 0

    def select(self, matchers: Sequence[Matcher]) -> Refs:
        """Return the refs of streams that all matchers match, ascending."""
        selected = np.array(self._held, dtype=np.bool_)
        for matcher in matchers:
            column = self._columns.get(matcher.name)
            if matcher.matches(""):
                if column is not None:
                    selected[column.refs_of(matcher, matched=False)] = False
                continue
            if column is None:
                return np.zeros(0, dtype=np.uint32)
            also = np.zeros(len(self._held), dtype=np.bool_)
            also[column.refs_of(matcher, matched=True)] = True
            selected &= also
        return np.flatnonzero(selected).astype(np.uint32)

    def names(self, refs: Refs | None = None) -> list[str]:
        """Return the label names that occur (on these streams), sorted."""
        if refs is None:
            return sorted(self._columns)
        wanted = self._mask_of(refs)
        return sorted(
            name for name, column in self._columns.items() if column.occurs_on(wanted)
        )

    def values(self, name: str, refs: Refs | None = None) -> list[str]:
        """Return the values of a label that occur (on these streams), sorted."""
        column = self._columns.get(name)
        if column is None:
            return []
        wanted = None if refs is None else self._mask_of(refs)
        return sorted(column.values_on(wanted))

    def _mask_of(self, refs: Refs) -> _Mask:
        mask = np.zeros(len(self._held), dtype=np.bool_)
        mask[refs] = True
        return mask


class _Column:
    """One label name: the refs that have it and the code of each one's value.

    Attributes:
        count: how many refs have the name.
    """

    __slots__ = (
        "_code_of", "_codes", "_counts", "_free", "_gone", "_refs", "_settled",
        "_values", "count",
    )  # fmt: skip

    def __init__(self) -> None:
        self.count = 0
        self._refs = array("I")
        self._codes = array("I")
        self._code_of: dict[str, int] = {}
        self._values: list[str] = []
        self._counts: list[int] = []
        self._free: list[int] = []
        self._gone: set[int] = set()
        self._settled: tuple[Refs, Refs] | None = None

    def add(self, ref: int, value: str) -> None:
        if ref in self._gone:
            self._drop_gone()
        code = self._code_of.get(value)
        if code is None:
            code = self._new_code(value)
        self._refs.append(ref)
        self._codes.append(code)
        self._counts[code] += 1
        self.count += 1
        self._settled = None

    def remove(self, ref: int, value: str) -> None:
        self._gone.add(ref)
        self._counts[self._code_of[value]] -= 1
        self.count -= 1
        self._settled = None

    def refs_of(self, matcher: Matcher, *, matched: bool) -> Refs:
        """Return the refs whose value matches, or those whose value does not."""
        refs, codes = self._columns()
        hit = values_matched(matcher, self._values, self._code_of)
        chosen: Refs = refs[hit[codes] == matched]
        return chosen

    def occurs_on(self, wanted: _Mask) -> bool:
        refs, _ = self._columns()
        return bool(wanted[refs].any())

    def values_on(self, wanted: _Mask | None) -> list[str]:
        refs, codes = self._columns()
        if wanted is not None:
            codes = codes[wanted[refs]]
        seen = np.flatnonzero(np.bincount(codes, minlength=1))
        return [self._values[code] for code in seen.tolist()] if len(codes) else []

    def _new_code(self, value: str) -> int:
        if self._free:
            code = self._free.pop()
            self._values[code] = value
        else:
            code = len(self._values)
            self._values.append(value)
            self._counts.append(0)
        self._code_of[value] = code
        return code

    def _columns(self) -> tuple[Refs, Refs]:
        if self._gone:
            self._drop_gone()
        if self._settled is None:
            # Copies: an array that lends its bytes cannot grow.
            self._settled = (
                np.array(self._refs, dtype=np.uint32),
                np.array(self._codes, dtype=np.uint32),
            )
        return self._settled

    def _drop_gone(self) -> None:
        gone = np.fromiter(self._gone, np.uint32, len(self._gone))
        self._gone.clear()
        refs = np.array(self._refs, dtype=np.uint32)
        stay = ~np.isin(refs, gone)
        codes = np.array(self._codes, dtype=np.uint32)
        self._refs = array("I", refs[stay].tobytes())
        self._codes = array("I", codes[stay].tobytes())
        for code in np.unique(codes[~stay]).tolist():
            if not self._counts[code]:
                del self._code_of[self._values[code]]
                self._values[code] = ""
                self._free.append(code)
