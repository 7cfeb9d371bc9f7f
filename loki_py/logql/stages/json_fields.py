"""`| json`: all fields of JSON lines, the wanted ones, or named expressions."""

import re

import numpy as np
import polars as pl

from loki_py.logql import ast
from loki_py.logql.exec.frame import (
    DUPLICATE_SUFFIX,
    ERROR,
    ERROR_DETAILS,
    NULL,
    Frame,
    Mask,
)
from loki_py.logql.stages.extraction import (
    Cells,
    Found,
    finish,
    row_numbers,
    series_of,
)
from loki_py.logql.stages.json_scan import (
    JsonInvalid,
    flatten,
    value_of,
)
from loki_py.logql.stages.stage import Apply, Wants

JSON_ERROR = "JSONParserErr"

_COLUMN_NAMES_MAX = 4
"""More wanted fields than this are cheaper read line by line."""

_JSON_STARTS = ("{", "[", '"')
"""Lines that begin otherwise are no JSON to an expression."""

_SCALAR = r'(?:"[^"\\]*"|-?[0-9][-+.0-9eE]*|true|false)'
_FLAT_PREFIX = (
    r'^[ \t]*\{[ \t]*(?:"[a-zA-Z_][a-zA-Z0-9_]*"[ \t]*:[ \t]*'
    rf"(?:{_SCALAR}|null)[ \t]*,[ \t]*)*?"
)


def json(stage: ast.JsonParser, wants: Wants) -> Apply:
    """Set the labels that the stage finds in each line."""
    if stage.extractions:
        return _expressions(stage, wants)
    required = wants.hints.required
    if required is not None and not required:
        return lambda _: None
    names = _column_names(wants)

    def apply(frame: Frame) -> None:
        rest = np.full(len(frame), not names)
        columns = {}
        for name in names:
            columns[name], sure = _column(frame.lines, name)
            rest |= ~sure
        cells, failed = _scanned(frame, rest, wants)
        merged = _merged(columns, cells, pl.Series(rest))
        finish(frame, merged, wants, failed=failed, error=JSON_ERROR)

    return apply


def _merged(
    columns: dict[str, pl.Series], cells: Cells, is_cell: pl.Series
) -> dict[str, pl.Series]:
    """Return the columns, with cells in their place where `is_cell`."""
    merged = series_of(cells)
    for name, column in columns.items():
        scanned = merged.get(name, NULL)
        merged[name] = scanned.zip_with(is_cell, column)
    return merged


def _column_names(wants: Wants) -> list[str]:
    """Return the fields to read by column; none where lines must be read whole.

    By column, what follows the last wanted field stays unread. That is right
    where Loki stops there too, or where nobody asks whether the line is sound.
    """
    if wants.labels is None:
        return []
    if wants.hints.required is None and (
        wants.label(ERROR) or wants.label(ERROR_DETAILS)
    ):
        return []
    names = {
        name.removesuffix(DUPLICATE_SUFFIX)
        for name in (wants.hints.required or wants.labels)
        if name not in {ERROR, ERROR_DETAILS}
    }
    if ERROR in (wants.hints.required or ()) or len(names) > _COLUMN_NAMES_MAX:
        return []
    return sorted(names)


def _column(lines: pl.Series, name: str) -> tuple[pl.Series, Mask]:
    """Return a top-level field's values, and where they are sure to be right.

    Sure is a line that begins with plain members up to the field: none of them
    nested, escaped or in need of sanitising, so none can be the field before.
    """
    key = rf'"{re.escape(name)}"[ \t]*:[ \t]*'
    sure = lines.str.contains(rf"{_FLAT_PREFIX}{key}{_SCALAR}[ \t]*[,}}]")
    values = lines.str.extract(key + r'("[^"\\]*"|[^ \t,}]+)', 1)
    # A quoted value keeps its quotes until here, so that `""` is not missing.
    return values.str.strip_chars('"'), sure.fill_null(value=False).to_numpy()


def _scanned(frame: Frame, rows: Mask, wants: Wants) -> tuple[Cells, dict[int, str]]:
    """Return what reading rows line by line finds, and why rows failed."""
    numbers = row_numbers(rows)
    found = Found(frame, wants)
    failed: dict[int, str] = {}
    lines = frame.lines.gather(numbers).to_list()
    for row, line in zip(numbers, lines, strict=True):
        found.begin(row)
        try:
            flatten(line, found.put)
        except JsonInvalid as error:
            failed[row] = str(error)
    return found.cells, failed


def _expressions(stage: ast.JsonParser, wants: Wants) -> Apply:
    """Set one label for each expression, "" where the line has no such value."""

    def apply(frame: Frame) -> None:
        cells: Cells = {e.name: [""] * len(frame) for e in stage.extractions}
        failed: dict[int, str] = {}
        for row, line in enumerate(frame.lines.to_list()):
            if not line.startswith(_JSON_STARTS):
                failed[row] = ""
                for values in cells.values():
                    values[row] = None
                continue
            for extraction in stage.extractions:
                try:
                    found = value_of(line, extraction.path)
                except JsonInvalid as error:
                    failed.setdefault(row, str(error))
                else:
                    cells[extraction.name][row] = found
        finish(frame, series_of(cells), wants, failed=failed, error=JSON_ERROR)

    return apply
