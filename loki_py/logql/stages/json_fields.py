"""`| json`: all fields of JSON lines, the wanted ones, or named expressions."""

import re

import numpy as np
import polars as pl

from loki_py.logql import ast
from loki_py.logql.exec.frame import (
    DUPLICATE_SUFFIX,
    ERROR,
    ERROR_DETAILS,
    Frame,
    Mask,
)
from loki_py.logql.stages.extraction import (
    Cells,
    Found,
    extract,
    extract_all,
    row_numbers,
)
from loki_py.logql.stages.json_scan import (
    JsonInvalid,
    flatten,
    members,
    unescape,
    value_at,
)
from loki_py.logql.stages.stage import Apply, Wants

JSON_ERROR = "JSONParserErr"

_COLUMN_NAMES_MAX = 4
"""More wanted fields than this are cheaper read line by line."""

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
        rest = np.ones(len(frame), dtype=np.bool_)
        columns = {}
        for name in names:
            columns[name], sure = _column(frame.lines, name)
            rest = rest & sure if len(columns) > 1 else sure
        rest = ~rest if columns else np.ones(len(frame), dtype=np.bool_)
        cells = _scanned(frame, rest, wants)
        _merge(frame, columns, cells, rest, wants)

    return apply


def _merge(
    frame: Frame,
    columns: dict[str, pl.Series],
    cells: Cells,
    rest: Mask,
    wants: Wants,
) -> None:
    """Set what the columns hold, and for the rest of the rows the cells."""
    mask = pl.Series(rest)
    merged: dict[str, pl.Series] = {}
    for name in {**columns, **cells}:
        scanned = pl.Series(cells.get(name, [None]), dtype=pl.String)
        column = columns.get(name)
        merged[name] = scanned if column is None else scanned.zip_with(mask, column)
    for name, values in merged.items():
        extract(frame, name, values, wants)
    extract_all(frame, {}, wants)


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


def _scanned(frame: Frame, rows: Mask, wants: Wants) -> Cells:
    """Return the labels of rows that are read line by line, and set their errors."""
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
    set_failures(frame, failed, JSON_ERROR, wants)
    return found.cells


def set_failures(
    frame: Frame, failed: dict[int, str], error: str, wants: Wants
) -> None:
    """Set the error of rows that a parser failed on."""
    if not failed:
        return
    where = np.zeros(len(frame), dtype=np.bool_)
    where[list(failed)] = True
    details: list[str | None] = [None] * len(frame)
    for row, text in failed.items():
        details[row] = text
    frame.set_error(where, error, pl.Series(details, dtype=pl.String))
    if wants.hints.preserve_error:
        old = frame.preserved
        frame.preserved = where if old is None else old | where


def _expressions(stage: ast.JsonParser, wants: Wants) -> Apply:
    """Set one label for each expression, "" where the line has no such value."""

    def apply(frame: Frame) -> None:
        cells: Cells = {e.name: [""] * len(frame) for e in stage.extractions}
        failed: dict[int, str] = {}
        for row, line in enumerate(frame.lines.to_list()):
            if not line.lstrip(" \t\r\n").startswith("{"):
                failed[row] = ""
                for values in cells.values():
                    values[row] = None
                continue
            for extraction in stage.extractions:
                found = value_of(line, extraction.path)
                cells[extraction.name][row] = found
        set_failures(frame, failed, JSON_ERROR, wants)
        extract_all(frame, cells, wants)

    return apply


def value_of(text: str, path: tuple[str | int, ...]) -> str:
    """Return the value at a path, "" where there is none."""
    kind, raw = "{", text
    try:
        for step in path:
            if isinstance(step, int):
                found = _element(raw, step) if kind == "[" else None
            else:
                found = _field(raw, step) if kind == "{" else None
            if found is None:
                return ""
            kind, raw = found
    except JsonInvalid:
        return ""
    if kind == "n":
        return ""
    return (unescape(raw) or "") if kind == '"' else raw


def _field(text: str, key: str) -> tuple[str, str] | None:
    for name, kind, raw in members(text):
        if name == key:
            return kind, raw
    return None


def _element(text: str, index: int) -> tuple[str, str] | None:
    at = 1
    while True:
        while at < len(text) and text[at] in " \t\r\n,":
            at += 1
        if at >= len(text) or text[at] == "]":
            return None
        kind, raw, at = value_at(text, at)
        if index == 0:
            return kind, raw
        index -= 1
