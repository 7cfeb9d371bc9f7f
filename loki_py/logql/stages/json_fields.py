"""`| json`: all fields of JSON lines, the wanted ones, or named expressions."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from loki_py.logql import ast
from loki_py.logql.exec.frame import (
    ERROR,
    ERROR_DETAILS,
    NULL,
    Frame,
    Mask,
    constant,
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
    taken_mask,
    without_taken,
)
from loki_py.logql.stages.json_columns import FieldDecoder, is_plain_name
from loki_py.logql.stages.json_known import plain_rows
from loki_py.logql.stages.json_members import first_fields, plain_fields
from loki_py.logql.stages.json_nested import NestedFields
from loki_py.logql.stages.json_paths import Path, PathReader
from loki_py.logql.stages.json_scan import (
    JsonInvalid,
    flatten,
    value_of,
)
from loki_py.logql.stages.stage import Apply, Wants

JSON_ERROR = "JSONParserErr"

_COLUMN_NAMES_MAX = 4
"""More fields than this are cheaper decoded together than found one by one."""

_JSON_STARTS = ("{", "[", '"')
"""Lines that begin otherwise are no JSON to an expression."""


def json(stage: ast.JsonParser, wants: Wants) -> Apply:
    """Set the labels that the stage finds in each line."""
    required = wants.hints.required
    if required is not None and not required:
        return lambda _: None
    if stage.extractions:
        return _expressions(stage, wants)
    exposed = _exposed(wants)
    names = None if exposed is None else sorted(metadata_sources(exposed))
    decoder = None if names is None else FieldDecoder(names)
    if exposed is None or decoder is None or not decoder.is_usable:
        return lambda frame: _apply(frame, None, wants)

    def apply(frame: Frame) -> None:
        met = may_meet(frame, exposed)
        _apply(frame, None if met else decoder, wants, exposed)

    return apply


def _apply(
    frame: Frame,
    decoder: FieldDecoder | None,
    wants: Wants,
    exposed: frozenset[str] = frozenset(),
) -> None:
    rest = np.ones(len(frame), dtype=np.bool_)
    columns: dict[str, pl.Series] = {}
    if decoder is not None:
        names = sorted(metadata_sources(exposed))
        useful = [name for name in names if is_of_use(frame, name, exposed)]
        early = _may_stop_early(frame, names, wants)
        columns, sure = _plain_fields(frame, useful, early=early)
        rest = ~sure
        if rest.any():
            if len(useful) < len(names):
                decoder = FieldDecoder(useful)
            rows = pl.Series(np.flatnonzero(rest))
            decoded, sure = decoder.fields(frame.lines.gather(rows))
            columns = _placed(decoded, columns, rows, len(frame))
            rest[rest] = ~sure
        if rest.any() and any("_" in name for name in useful):
            columns, rest = _nested(frame, useful, columns, rest)
    failed: dict[int, str] = {}
    if rest.any():
        cells, failed = _scanned(frame, rest, wants)
        columns = _merged(columns, cells, pl.Series(rest))
    finish(frame, columns, wants, failed=failed, error=JSON_ERROR)


def _plain_fields(
    frame: Frame, names: Sequence[str], *, early: bool
) -> tuple[dict[str, pl.Series], Mask]:
    """Return the fields of plain lines, and the rows where they are sure.

    Args:
        early: whether what follows the last of the fields is irrelevant.
    """
    lines = frame.lines
    found = plain_rows(frame, check=not early)
    if found is not None and (found[1].all() or not early):
        return plain_fields(lines, names, *found)
    columns = {}
    every = np.full(len(lines), early, np.bool_)
    for name in names if early else ():
        columns[name], sure = first_fields(lines, name)
        every &= sure
    return columns, every


def _nested(
    frame: Frame, names: Sequence[str], columns: dict[str, pl.Series], rest: Mask
) -> tuple[dict[str, pl.Series], Mask]:
    """Return the columns, and what is still to be read, with nested fields read."""
    reader = NestedFields(names)
    if not reader.is_usable:
        return columns, rest
    rows = pl.Series(np.flatnonzero(rest))
    found, sure = reader.fields(frame.lines.gather(rows))
    rest = rest.copy()
    rest[rest] = ~sure
    return _placed(found, columns, rows, len(frame)), rest


def _exposed(wants: Wants) -> frozenset[str] | None:
    """Return the labels to read; None where all are."""
    if wants.labels is None:
        return None
    names = wants.labels if wants.hints.required is None else wants.hints.required
    return (names | wants.hints.filters.keys()) - {ERROR, ERROR_DETAILS}


def _may_stop_early(frame: Frame, names: Sequence[str], wants: Wants) -> bool:
    """Return whether what follows the last wanted field of a line is irrelevant.

    It is where Loki reads no further, having all that the query requires, or
    where nobody asks whether the line is sound.
    """
    if not names or len(names) > _COLUMN_NAMES_MAX:
        return False
    required = wants.hints.required
    if required is None:
        return not (wants.label(ERROR) or wants.label(ERROR_DETAILS))
    if {ERROR, ERROR_DETAILS} & required:
        return False
    return all(taken_mask(frame, name) is None for name in names)


def _placed(
    decoded: dict[str, pl.Series],
    columns: dict[str, pl.Series],
    rows: pl.Series,
    count: int,
) -> dict[str, pl.Series]:
    """Return the columns with the decoded values in the given rows."""
    if len(rows) == count:
        return decoded
    return {
        name: columns[name].clone().scatter(rows, values)
        for name, values in decoded.items()
    }


def _merged(
    columns: dict[str, pl.Series], cells: Cells, is_cell: pl.Series
) -> dict[str, pl.Series]:
    """Return the columns, with cells in their place where `is_cell`."""
    merged = series_of(cells)
    for name, column in columns.items():
        scanned = merged.get(name, NULL)
        merged[name] = scanned.zip_with(is_cell, column)
    return merged


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
    names = [one.name for one in stage.extractions]
    paths = [one.path for one in stage.extractions]
    reader = PathReader(paths)

    def apply(frame: Frame) -> None:
        columns, sure = _read_paths(frame, paths, reader)
        unread = ~sure
        failed: dict[int, str] = {}
        if unread.any():
            rows = np.flatnonzero(unread)
            lines = frame.lines.gather(pl.Series(rows)).to_list()
            cells, faults = _values_of_lines(lines, paths)
            failed = {int(rows[at]): fault for at, fault in faults.items()}
            columns = [
                column.scatter(pl.Series(rows), pl.Series(values, dtype=pl.String))
                for column, values in zip(columns, cells, strict=True)
            ]
        found = {
            name: without_taken(frame, name, column)
            for name, column in zip(names, columns, strict=True)
            if is_wanted_stem(name, wants)
        }
        finish(frame, found, wants, failed=failed, error=JSON_ERROR)

    return apply


def _read_paths(
    frame: Frame, paths: Sequence[Path], reader: PathReader
) -> tuple[list[pl.Series], Mask]:
    """Return the values at the paths, and the rows where they are sure to be right."""
    columns = [constant(None, len(frame)) for _ in paths]
    sure = np.zeros(len(frame), np.bool_)
    keys = [str(path[0]) for path in paths if len(path) == 1 and is_plain_name(path[0])]
    found = plain_rows(frame, check=False) if len(keys) == len(paths) else None
    if found is not None:
        fields, sure = plain_fields(frame.lines, list(dict.fromkeys(keys)), *found)
        columns = [fields[key].fill_null("") for key in keys]
    if sure.all() or not reader.is_usable:
        return columns, sure
    rows = pl.Series(np.flatnonzero(~sure))
    read, read_surely = reader.values(frame.lines.gather(rows))
    if len(rows) == len(frame):
        return read, read_surely
    sure[~sure] = read_surely
    return [
        column.scatter(rows, more) for column, more in zip(columns, read, strict=True)
    ], sure


def _values_of_lines(
    lines: Sequence[str], paths: Sequence[Path]
) -> tuple[list[list[str | None]], dict[int, str]]:
    """Return the values at each path, read line by line, and why lines failed."""
    columns: list[list[str | None]] = [[""] * len(lines) for _ in paths]
    failed: dict[int, str] = {}
    for row, line in enumerate(lines):
        if not line.startswith(_JSON_STARTS):
            if line:
                failed[row] = ""
            for column in columns:
                column[row] = None
            continue
        for column, path in zip(columns, paths, strict=True):
            try:
                column[row] = value_of(line, path)
            except JsonInvalid as error:
                failed.setdefault(row, str(error))
    return columns, failed
