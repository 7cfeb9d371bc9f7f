"""`| regexp` and `| pattern`: labels from the parts of a line."""

from collections.abc import Sequence

import numpy as np
import polars as pl
import re2

from loki_py.logql import ast
from loki_py.logql.exec.frame import Frame, Rows, with_nulls
from loki_py.logql.patterns import Capture, PatternPart, parse_pattern
from loki_py.logql.regexps import compile_regexp
from loki_py.logql.stages.extraction import (
    Found,
    finish,
    is_wanted_stem,
    series_of,
)
from loki_py.logql.stages.regex import Regex
from loki_py.logql.stages.stage import Apply, Wants

_COLUMN_GROUPS_MAX = 4
"""More groups than this are cheaper taken from one match per line."""


def regexp(stage: ast.RegexpParser, wants: Wants) -> Apply:
    """Set a label for each named group; an unmatched group sets ""."""
    compiled = compile_regexp(stage.pattern)
    search = Regex(stage.pattern)
    names: dict[str, int] = compiled.groupindex

    def apply(frame: Frame) -> None:
        rows = np.flatnonzero(search.found_in(frame.lines))
        wanted = {name: i for name, i in names.items() if is_wanted_stem(name, wants)}
        columns = None
        if len(wanted) <= _COLUMN_GROUPS_MAX:
            columns = _group_columns(search, frame.lines, rows, wanted)
        if columns is None:
            found = Found(frame, wants)
            lines = frame.lines.gather(pl.Series(rows)).to_list()
            for row, line in zip(rows.tolist(), lines, strict=True):
                found.begin(row)
                _put_groups(found, wanted, compiled.search(line))
            columns = series_of(found.cells)
        finish(frame, columns, wants)

    return apply


def _group_columns(
    search: Regex, lines: pl.Series, rows: Rows, names: dict[str, int]
) -> dict[str, pl.Series] | None:
    """Return the groups of the rows that match; None where RE2 itself must run."""
    matched = np.zeros(len(lines), dtype=np.bool_)
    matched[rows] = True
    columns = {}
    for name, index in names.items():
        values = search.group_of(lines, index)
        if values is None:
            return None
        columns[name] = with_nulls(values.fill_null(""), ~matched)
    return columns


def _put_groups(found: Found, names: dict[str, int], match: "re2._Match") -> None:
    for name in names:
        found.put(name, match.group(name) or "")


def pattern(stage: ast.PatternParser, wants: Wants) -> Apply:
    """Set a label for each named capture."""
    parts = parse_pattern(stage.pattern)

    def apply(frame: Frame) -> None:
        found = Found(frame, wants)
        for row, line in enumerate(frame.lines.to_list()):
            found.begin(row)
            for name, value in captured(parts, line):
                found.put(name, value)
        finish(frame, series_of(found.cells), wants)

    return apply


def captured(parts: Sequence[PatternPart], line: str) -> list[tuple[str, str]]:
    """Return the named captures of a line.

    The first literal must begin the line. A capture reaches to the literal
    after it; where that is missing, to the end, and nothing more is captured.
    """
    found: list[tuple[str, str]] = []
    if not line:
        return found
    at = 0
    capture: Capture | None = None
    for part in parts:
        if isinstance(part, Capture):
            capture = part
            continue
        place = line.find(part, at)
        if capture is None:
            if place != 0:
                return found
        else:
            end = len(line) if place < 0 else place
            if capture.name:
                found.append((capture.name, line[at:end]))
            if place < 0:
                return found
        capture = None
        at = place + len(part)
    if capture is not None and capture.name:
        found.append((capture.name, line[at:]))
    return found


def is_covered(parts: Sequence[PatternPart], line: str) -> bool:
    """Return whether a pattern of literals and `<_>` describes the whole line.

    Each literal is looked for once, from where the one before it ended; a
    capture takes at least one character.
    """
    if not line or not parts:
        return not line and not parts
    at = 0
    for index, part in enumerate(parts):
        if isinstance(part, Capture):
            continue
        place = line.find(part, at)
        if place < 0 or (index == 0) != (place == at):
            return False
        at = place + len(part)
    return isinstance(parts[-1], Capture) == (at < len(line))
