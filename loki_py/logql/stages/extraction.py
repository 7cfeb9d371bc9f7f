"""From what a parser finds in lines to parsed labels of a frame."""

from collections.abc import Callable, Collection, Iterator, Mapping

import numpy as np
import polars as pl

from loki_py.logql.exec.frame import (
    DUPLICATE_SUFFIX,
    Frame,
    Mask,
    metadata_sources,
    present_in,
    with_nulls,
)
from loki_py.logql.stages.stage import Wants

Cells = dict[str, list[str | None]]
"""Name to one value per row."""


class Found:
    """What a line parser finds in the rows of a frame, one row at a time."""

    def __init__(self, frame: Frame, wants: Wants) -> None:
        self.cells: Cells = {}
        self._count = len(frame)
        self._frame = frame
        self._required = wants.hints.required
        self._wanted = None
        if wants.labels is not None:
            self._wanted = metadata_sources(wants.labels | wants.hints.filters.keys())
        self._at = 0
        self._left = 0
        self._taken = _taken_names(frame) if self._required else None
        self._twins: dict[str, str] = {}

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
            column = self._new_column(name)
        if column[self._at] is None and not (self._twins and self._is_late(name)):
            column[self._at] = value
            self._left -= 1
        return self._left == 0

    def _new_column(self, name: str) -> list[str | None]:
        stem = name.removesuffix(DUPLICATE_SUFFIX)
        for twin in (stem, name + DUPLICATE_SUFFIX):
            if twin != name and twin in self.cells:
                self._twins |= {name: twin, twin: name}
        column: list[str | None] = [None] * self._count
        self.cells[name] = column
        return column

    def _is_late(self, name: str) -> bool:
        """Return whether the row has the label by the other name it may come from."""
        twin = self._twins.get(name)
        if twin is None or self.cells[twin][self._at] is None:
            return False
        if self._taken is None:
            self._taken = _taken_names(self._frame)
        return self._taken(self._at, min(name, twin, key=len))


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


def finish(
    frame: Frame,
    columns: Mapping[str, pl.Series],
    wants: Wants,
    *,
    failed: Mapping[int, str] | None = None,
    error: str = "",
) -> None:
    """Set what a parser found, drop what a label filter will refuse, set errors.

    The filters see the rows as they were while they were parsed, before an
    error further on in the line.

    Args:
        columns: raw label name to values; null where the row has none.
        failed: row to details of its error.
        error: the kind of error of those rows.
    """
    found_here: dict[str, Mask] = {}
    for name, values in columns.items():
        for final, part in _by_final_name(frame, name, values):
            if _is_wanted(final, wants):
                found_here[final] = _set_new(frame, final, part)
    keep: Mask | None = None
    for name, test in wants.hints.filters.items():
        found = found_here.get(name)
        if found is not None and found.any():
            passed = ~found | test(frame, found)
            keep = passed if keep is None else keep & passed
    if failed:
        _set_failures(frame, failed, error, wants)
    if keep is not None:
        frame.filter(keep)


def series_of(cells: Cells) -> dict[str, pl.Series]:
    """Return the cells as columns."""
    return {name: pl.Series(v, dtype=pl.String) for name, v in cells.items()}


def _by_final_name(
    frame: Frame, name: str, values: pl.Series
) -> Iterator[tuple[str, pl.Series]]:
    """Yield the values by final name: `<name>_extracted` where the row has `<name>`."""
    taken = taken_mask(frame, name)
    if taken is None:
        yield name, values
        return
    yield name, with_nulls(values, taken)
    yield name + DUPLICATE_SUFFIX, with_nulls(values, ~taken)


def is_wanted_stem(name: str, wants: Wants) -> bool:
    """Return whether a raw name may become a label that is wanted."""
    return _is_wanted(name, wants) or _is_wanted(name + DUPLICATE_SUFFIX, wants)


def is_of_use(frame: Frame, name: str, exposed: Collection[str]) -> bool:
    """Return whether a raw name may become one of the names, in these rows."""
    taken = taken_mask(frame, name)
    if taken is None:
        return name in exposed
    if name + DUPLICATE_SUFFIX in exposed:
        return True
    return name in exposed and not taken.all()


_SPELLED_OTHERWISE = '[^a-zA-Z0-9="]+'
"""What of a key may become `_` in a label name."""


def may_meet(frame: Frame, exposed: Collection[str]) -> bool:
    """Return whether two raw names may become one label in a row.

    A field that is called `<name>_extracted` meets `<name>` where that is taken.
    Which of them is first in the line then has to be known.
    """
    return any(
        name.endswith(DUPLICATE_SUFFIX)
        and taken_mask(frame, name.removesuffix(DUPLICATE_SUFFIX)) is not None
        and bool(
            frame.lines.str.contains(_SPELLED_OTHERWISE.join(name.split("_"))).any()
        )
        for name in exposed
    )


def _is_wanted(name: str, wants: Wants) -> bool:
    return wants.label(name) or name in wants.hints.filters


def _set_new(frame: Frame, name: str, values: pl.Series) -> Mask:
    """Set a parsed label where no earlier parser did; return where it was set."""
    old = frame.parsed.get(name)
    if old is not None:
        values = with_nulls(values, old.is_not_null().to_numpy())
    found = present_in(values)
    if found.any():
        frame.set_parsed(name, values)
    return found


def taken_mask(frame: Frame, name: str) -> Mask | None:
    """Return where a row has the name as stream or metadata label; None if nowhere."""
    taken = frame.stream_has(name)
    metadata = frame.metadata.get(name)
    if metadata is not None:
        has = metadata.is_not_null().to_numpy()
        taken = has if taken is None else taken | has
    return None if taken is None or not taken.any() else taken


def without_taken(frame: Frame, name: str, values: pl.Series) -> pl.Series:
    """Return what an expression found; "" sets no label whose name is taken."""
    taken = taken_mask(frame, name)
    if taken is None:
        return values
    return with_nulls(values, taken & (values == "").fill_null(value=False).to_numpy())


def _set_failures(
    frame: Frame, failed: Mapping[int, str], error: str, wants: Wants
) -> None:
    where = np.zeros(len(frame), dtype=np.bool_)
    where[list(failed)] = True
    details: list[str | None] = [None] * len(frame)
    for row, text in failed.items():
        details[row] = text or None
    frame.set_error(where, error, pl.Series(details, dtype=pl.String))
    if wants.hints.preserve_error:
        old = frame.preserved
        frame.preserved = where if old is None else old | where


def row_numbers(mask: Mask) -> list[int]:
    """Return the positions of the true rows."""
    positions: list[int] = np.flatnonzero(mask).tolist()
    return positions
