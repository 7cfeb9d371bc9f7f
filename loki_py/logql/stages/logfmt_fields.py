"""`| logfmt`: all pairs of logfmt lines, the wanted ones, or named keys."""

import re
from collections.abc import Collection, Sequence

import numpy as np
import polars as pl

from loki_py.logql import ast
from loki_py.logql.exec.frame import (
    ERROR,
    ERROR_DETAILS,
    Frame,
    Mask,
    metadata_sources,
)
from loki_py.logql.stages.extraction import (
    Cells,
    Found,
    finish,
    is_of_use,
    is_wanted_stem,
    may_meet,
    row_numbers,
    series_of,
    without_taken,
)
from loki_py.logql.stages.json_scan import sanitized
from loki_py.logql.stages.key_search import KeySearch, may_be_sought
from loki_py.logql.stages.key_values import LineBuffer, values_of_key
from loki_py.logql.stages.line_views import LineViews
from loki_py.logql.stages.logfmt_scan import LogfmtInvalid, pairs
from loki_py.logql.stages.stage import Apply, Wants

LOGFMT_ERROR = "LogfmtParserErr"

_PLAIN_KEY = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")

_COLUMN_NAMES_MAX = 6
"""More wanted keys than this are cheaper read line by line."""


def logfmt(stage: ast.LogfmtParser, wants: Wants) -> Apply:
    """Set the labels that the stage finds in each line."""
    required = wants.hints.required
    if required is not None and not required:
        return lambda _: None
    if stage.extractions:
        return _named(stage, wants)
    exposed = _exposed(stage, wants)
    names = None if exposed is None else _column_names(exposed, wants)

    def apply(frame: Frame) -> None:
        if exposed is None or names is None or may_meet(frame, exposed):
            every = np.ones(len(frame), dtype=np.bool_)
            cells, failed = _scanned(frame, every, stage, wants)
            columns = series_of(cells)
            finish(frame, columns, wants, failed=failed, error=LOGFMT_ERROR)
            return
        read: _KeyReader | None = None
        for name in names:
            if not len(frame):
                return
            if not is_of_use(frame, name, exposed):
                continue
            if read is None or read.count != len(frame):
                read = _KeyReader(frame.lines)
            column = _whole_column(frame, read, name, stage, wants)
            finish(frame, {name: column}, wants)

    return apply


class _KeyReader:
    """Reads keys of the same lines, and prepares them once."""

    def __init__(self, lines: pl.Series) -> None:
        self.count = len(lines)
        self._lines = lines
        self._views = LineViews.of(lines) or LineViews.copied(lines)
        self._buffer: LineBuffer | None = None

    def values(self, name: str) -> tuple[pl.Series, Mask]:
        """Return a key's value per line, null where missing, and where it is sure."""
        if may_be_sought(name, self._views):
            return KeySearch(self._views, name).values()
        if self._buffer is None:
            self._buffer = LineBuffer.of(self._lines)
        return values_of_key(self._buffer, name)


def _whole_column(
    frame: Frame,
    read: _KeyReader,
    name: str,
    stage: ast.LogfmtParser,
    wants: Wants,
) -> pl.Series:
    values, sure = read.values(name)
    if sure.all():
        return values
    cells, _ = _scanned(frame, ~sure, stage, wants, only=name)
    rest = pl.Series(cells.get(name, [None]), dtype=pl.String)
    return values.zip_with(pl.Series(sure), rest)


def _exposed(stage: ast.LogfmtParser, wants: Wants) -> frozenset[str] | None:
    """Return the labels to read by column; None where lines must be read whole."""
    # What follows a malformed pair is not read by a strict stage.
    if wants.labels is None or stage.keep_empty or stage.strict:
        return None
    return (wants.labels | wants.hints.filters.keys()) - {ERROR, ERROR_DETAILS}


def _column_names(exposed: frozenset[str], wants: Wants) -> list[str] | None:
    """Return the keys that the labels may come from; None where they are many."""
    names = metadata_sources(exposed)
    if len(names) > _COLUMN_NAMES_MAX:
        return None
    # Filtered ones first: the others are then read on fewer lines.
    return sorted(names, key=lambda name: (name not in wants.hints.filters, name))


def _scanned(
    frame: Frame,
    rows: Mask,
    stage: ast.LogfmtParser,
    wants: Wants,
    only: str | None = None,
) -> tuple[Cells, dict[int, str]]:
    """Return what reading rows line by line finds, and why rows failed."""
    numbers = row_numbers(rows)
    found = Found(frame, wants)
    failed: dict[int, str] = {}
    lines = frame.lines.gather(numbers).to_list()
    for row, line in zip(numbers, lines, strict=True):
        found.begin(row)
        try:
            for key, value in pairs(line, strict=stage.strict):
                if not value and not stage.keep_empty:
                    continue
                name = sanitized(key)
                if not name or (only is not None and name != only):
                    continue
                if found.put(name, value.replace("\ufffd", "")) or only:
                    break
        except LogfmtInvalid as error:
            failed[row] = str(error)
    return found.cells, failed


def _named(stage: ast.LogfmtParser, wants: Wants) -> Apply:
    """Set one label for each named key, "" where the line has no such key.

    Of several pairs with the key the last counts.
    """
    names: dict[str, list[str]] = {}
    for extraction in stage.extractions:
        if is_wanted_stem(extraction.name, wants):
            names.setdefault(extraction.key, []).append(extraction.name)

    def apply(frame: Frame) -> None:
        if stage.strict:
            lines = frame.lines.to_list()
            values, failed = _last_values(lines, names, strict=True)
            by_key = series_of(values)
        else:
            failed = {}
            read = _KeyReader(frame.lines)
            by_key = {key: _last_column(frame.lines, read, key) for key in names}
        columns = {
            name: without_taken(frame, name, by_key[key])
            for key, own in names.items()
            for name in own
        }
        finish(frame, columns, wants, failed=failed, error=LOGFMT_ERROR)

    return apply


def _last_column(lines: pl.Series, read: _KeyReader, key: str) -> pl.Series:
    """Return the key's last value per line, "" where there is none."""
    if not _PLAIN_KEY.fullmatch(key):
        values, _ = _last_values(lines.to_list(), {key}, strict=False)
        return series_of(values)[key]
    first, sure = read.values(key)
    sure &= ~_comes_again(lines, key)
    found = first.fill_null("")
    if sure.all():
        return found
    rows = pl.Series(np.flatnonzero(~sure))
    values, _ = _last_values(lines.gather(rows).to_list(), {key}, strict=False)
    return found.scatter(rows, series_of(values)[key])


def _comes_again(lines: pl.Series, key: str) -> Mask:
    """Return where a line may have the key twice, with a value or without."""
    spelled = key.replace("_", '[^\\s="]')
    often = lines.str.count_matches(spelled, literal="_" not in key).to_numpy() > 1
    rows = np.flatnonzero(often)
    if len(rows):
        some = lines.gather(pl.Series(rows))
        spelled += r'(?:[\s\x00-\x20="]|$)'
        often[rows] = some.str.count_matches(spelled).to_numpy() > 1
    return often


def _last_values(
    lines: Sequence[str], keys: Collection[str], *, strict: bool
) -> tuple[Cells, dict[int, str]]:
    """Return the keys' last values, read line by line, and why lines failed."""
    cells: Cells = {key: [""] * len(lines) for key in keys}
    failed: dict[int, str] = {}
    for row, line in enumerate(lines):
        try:
            for key, value in pairs(line, strict=strict):
                column = cells.get(sanitized(key))
                if column is not None:
                    column[row] = value
        except LogfmtInvalid as error:
            failed[row] = str(error)
    return cells, failed
