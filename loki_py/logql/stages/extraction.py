"""From what a parser finds in lines to parsed labels of a frame."""

from collections.abc import Callable

import numpy as np
import polars as pl

from loki_py.logql.exec.frame import DUPLICATE_SUFFIX, Frame, Mask, with_nulls
from loki_py.logql.stages.stage import Hints, Wants

Cells = dict[str, list[str | None]]
"""Name to one value per row."""


class Found:
    """What a line parser finds in the rows of a frame, one row at a time."""

    def __init__(self, frame: Frame, wants: Wants) -> None:
        self.cells: Cells = {}
        self._count = len(frame)
        self._required = wants.hints.required
        self._wanted = None if wants.labels is None else _stems(wants.labels)
        self._at = 0
        self._left = 0
        self._taken = _taken_names(frame) if self._required else None

    def begin(self, row: int) -> None:
        """Start a row."""
        self._at = row
        self._left = len(self._required) if self._required else -1

    def put(self, name: str, value: str) -> bool:
        """Take a label of the row; return whether nothing more is needed of it."""
        required = self._required
        if required is not None:
            final = name
            if self._taken is not None and self._taken(self._at, name):
                final = name + DUPLICATE_SUFFIX
            if final not in required:
                return False
        elif self._wanted is not None and name not in self._wanted:
            return False
        column = self.cells.get(name)
        if column is None:
            column = self.cells[name] = [None] * self._count
        if column[self._at] is None:
            column[self._at] = value
            self._left -= 1
        return self._left == 0


def _stems(names: frozenset[str]) -> frozenset[str]:
    return names | {name.removesuffix(DUPLICATE_SUFFIX) for name in names}


def _taken_names(frame: Frame) -> Callable[[int, str], bool]:
    streams = frame.table.streams
    stream = frame.stream.tolist()
    metadata = {n: c.is_not_null().to_list() for n, c in frame.metadata.items()}

    def taken(row: int, name: str) -> bool:
        if name in streams[stream[row]].as_dict:
            return True
        column = metadata.get(name)
        return column is not None and column[row]

    return taken


def extract_all(frame: Frame, cells: Cells, wants: Wants) -> None:
    """Set parsed labels from cells, then apply the filters on what was set."""
    for name, values in cells.items():
        extract(frame, name, pl.Series(values, dtype=pl.String), wants)
    apply_hint_filters(frame, wants.hints)


def extract(frame: Frame, name: str, values: pl.Series, wants: Wants) -> None:
    """Set a parsed label, or `<name>_extracted` where the row has `<name>`.

    A value that an earlier parser set stays.
    """
    taken = taken_mask(frame, name)
    if taken is None:
        _set_new(frame, name, values, wants)
        return
    _set_new(frame, name, with_nulls(values, taken), wants)
    _set_new(frame, name + DUPLICATE_SUFFIX, with_nulls(values, ~taken), wants)


def taken_mask(frame: Frame, name: str) -> Mask | None:
    """Return where a row has the name as stream or metadata label; None if nowhere."""
    taken = frame.stream_has(name)
    metadata = frame.metadata.get(name)
    if metadata is not None:
        has = metadata.is_not_null().to_numpy()
        taken = has if taken is None else taken | has
    return None if taken is None or not taken.any() else taken


def _set_new(frame: Frame, name: str, values: pl.Series, wants: Wants) -> None:
    if not wants.label(name) or values.null_count() == len(values):
        return
    old = frame.parsed.get(name)
    if old is not None:
        values = with_nulls(values, old.is_not_null().to_numpy())
    frame.set_parsed(name, values)


def apply_hint_filters(frame: Frame, hints: Hints) -> None:
    """Drop rows whose extracted labels a label filter will refuse."""
    for name, keep in hints.filters.items():
        column = frame.parsed.get(name)
        if column is not None and len(frame):
            keep(frame)


def row_numbers(mask: Mask) -> list[int]:
    """Return the positions of the true rows."""
    positions: list[int] = np.flatnonzero(mask).tolist()
    return positions
