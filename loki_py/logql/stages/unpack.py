"""`| unpack`: the line and labels that a client packed into a JSON object."""

from collections.abc import Sequence
from operator import attrgetter

import msgspec
import numpy as np
import polars as pl

from loki_py.logql import ast
from loki_py.logql.exec.frame import ERROR, ERROR_DETAILS, Frame, Mask, metadata_sources
from loki_py.logql.stages.extraction import Cells, finish, series_of
from loki_py.logql.stages.json_fields import JSON_ERROR
from loki_py.logql.stages.json_known import plain_rows
from loki_py.logql.stages.json_paths import decoded, may_be_spelled_otherwise
from loki_py.logql.stages.json_scan import JsonInvalid, members, sanitized, unescape
from loki_py.logql.stages.stage import Apply, Wants

ENTRY = "_entry"
_NO_NAME = r'"(?:[0-9][^"]*|[^"]*[^a-zA-Z0-9_"][^"]*)"\s*:'
"""A key that is no label name, and so becomes another."""

NOT_AN_OBJECT = "expecting json object(6), but it is not"


def unpack(stage: ast.UnpackParser, wants: Wants) -> Apply:  # noqa: ARG001
    """Replace the line by its `_entry` and set the other strings as labels."""
    required = wants.hints.required
    if required is not None and not required:
        return lambda _: None
    reader = None
    if wants.labels is not None:
        names = metadata_sources(wants.labels | wants.hints.filters.keys())
        reader = _Reader(sorted(names - {ERROR, ERROR_DETAILS, ENTRY}))

    def apply(frame: Frame) -> None:
        lines = frame.lines
        entries = lines
        columns: dict[str, pl.Series] = {}
        unread = ~_without_entry(frame)
        if not unread.any():
            return
        if reader is not None:
            entries, columns, more = reader.read(lines)
            unread &= more
        failed: dict[int, str] = {}
        if unread.any():
            rows = pl.Series(np.flatnonzero(unread))
            packed = _Packed(lines.gather(rows).to_list())
            failed = {rows[at]: fault for at, fault in packed.failed.items()}
            entries = entries.clone().scatter(rows, pl.Series(packed.entries))
            for name, values in series_of(packed.cells).items():
                if name not in columns:
                    columns[name] = pl.repeat(
                        None, len(lines), dtype=pl.String, eager=True
                    )
                columns[name] = columns[name].clone().scatter(rows, values)
        frame.line = entries
        finish(frame, columns, wants, failed=failed, error=JSON_ERROR)

    return apply


def _without_entry(frame: Frame) -> Mask:
    """Return the lines that are plainly sound and hold no `_entry`: nothing is packed.

    Only where that is known.
    """
    found = plain_rows(frame, check=False)
    if found is None:
        return np.zeros(len(frame), np.bool_)
    has = frame.lines.str.contains(f'"{ENTRY}"', literal=True)
    without: Mask = found[1] & ~has.to_numpy()
    return without


class _Reader:
    """Read some labels and the entries of whole columns, decoded in C."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        fields = [
            (f"f{i}", str | None, msgspec.field(default=None, name=name))
            for i, name in enumerate([*names, ENTRY])
        ]
        struct = msgspec.defstruct("Packed", fields, gc=False)
        self._decode = msgspec.json.Decoder(struct).decode
        self._empty = struct()

    def read(self, lines: pl.Series) -> tuple[pl.Series, dict[str, pl.Series], Mask]:
        """Return entries and labels, and which lines must be read one by one.

        Those are damaged, or hold a name twice, or with a value that is no text, or
        a key that is no name.
        """
        unread = ~lines.str.starts_with("{").to_numpy()
        unread |= may_be_spelled_otherwise(lines)
        unread |= lines.str.contains(_NO_NAME).to_numpy()
        objects, bad = decoded(self._decode, lines.to_list(), self._empty)
        unread[bad] = True
        *columns, entries = (
            pl.Series(list(map(attrgetter(f"f{i}"), objects)), dtype=pl.String)
            for i in range(len(self._names) + 1)
        )
        for name in (*self._names, ENTRY):
            # Null would be no text, and so would be left out.
            once = f'"{name}"'
            unread |= (lines.str.count_matches(once, literal=True) > 1).to_numpy()
        is_packed = entries.is_not_null()
        nothing = pl.Series([None], dtype=pl.String)
        labels = {
            name: column.zip_with(is_packed, nothing)
            for name, column in zip(self._names, columns, strict=True)
        }
        return entries.zip_with(is_packed, lines), labels, unread


class _Packed:
    """What lines hold, read one by one.

    Attributes:
        entries: their lines.
        cells: their labels.
        failed: why lines could not be read.
    """

    def __init__(self, lines: list[str]) -> None:
        self.entries = lines
        self.cells: Cells = {}
        self.failed: dict[int, str] = {}
        for row, line in enumerate(lines):
            if not line:
                continue
            if not line.startswith("{"):
                self.failed[row] = NOT_AN_OBJECT
                continue
            try:
                packed = _packed(line)
            except JsonInvalid as error:
                self.failed[row] = str(error)
                continue
            if ENTRY in packed:
                self._take(row, packed)

    def _take(self, row: int, packed: dict[str, str]) -> None:
        self.entries[row] = packed.pop(ENTRY)
        for name, value in packed.items():
            column = self.cells.get(name)
            if column is None:
                column = self.cells[name] = [None] * len(self.entries)
            column[row] = value


def _packed(line: str) -> dict[str, str]:
    """Return the string members of a line by label name; the last of a name counts."""
    packed: dict[str, str] = {}
    for key, kind, raw in members(line):
        name = key if key == ENTRY else sanitized(key)
        if kind == '"' and name:
            packed[name] = unescape(raw) or ""
    return packed
