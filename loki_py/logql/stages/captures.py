"""`| regexp` and `| pattern`: labels from the parts of a line."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

import numpy as np
import polars as pl
import re2

from loki_py.logql import ast
from loki_py.logql.exec.frame import Frame, Mask, Rows, with_nulls
from loki_py.logql.patterns import Capture, PatternPart, parse_pattern
from loki_py.logql.regexps import compile_regexp
from loki_py.logql.stages.extraction import (
    Found,
    finish,
    is_wanted_stem,
    series_of,
)
from loki_py.logql.stages.line_spans import LineSpans
from loki_py.logql.stages.regex import Regex
from loki_py.logql.stages.stage import Apply, Wants


def regexp(stage: ast.RegexpParser, wants: Wants) -> Apply:
    """Set a label for each named group; an unmatched group sets ""."""
    compiled = compile_regexp(stage.pattern)
    search = Regex(stage.pattern)
    names: dict[str, int] = compiled.groupindex

    def apply(frame: Frame) -> None:
        rows = np.flatnonzero(search.found_in(frame.lines))
        wanted = {name: i for name, i in names.items() if is_wanted_stem(name, wants)}
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
    columns = search.groups_of(lines, names)
    if columns is None:
        return None
    return {
        name: with_nulls(values.fill_null(""), ~matched)
        for name, values in columns.items()
    }


def _put_groups(found: Found, names: dict[str, int], match: "re2._Match") -> None:
    for name in names:
        found.put(name, match.group(name) or "")


def pattern(stage: ast.PatternParser, wants: Wants) -> Apply:
    """Set a label for each named capture."""
    parts = parse_pattern(stage.pattern)

    def apply(frame: Frame) -> None:
        names = {
            part.name
            for part in parts
            if isinstance(part, Capture) and part.name
            if is_wanted_stem(part.name, wants)
        }
        finish(frame, captured(parts, frame.lines, names), wants)

    return apply


def captured(
    parts: Sequence[PatternPart], lines: pl.Series, names: AbstractSet[str]
) -> dict[str, pl.Series]:
    """Return the captures of those names, null where a line has none.

    The first literal must begin the line. A capture reaches to the literal
    after it; where that is missing, to the end, and nothing more is captured.
    """
    spans = LineSpans.of(lines)
    rows = np.flatnonzero(spans.end > spans.start)
    at = spans.start[rows]
    found: dict[str, pl.Series] = {}
    name = ""
    for index, part in enumerate(parts):
        if len(found) == len(names):
            break
        if isinstance(part, Capture):
            name = part.name or ""
            continue
        place = spans.find(part, rows, at)
        if index == 0:
            place[place != at] = -1
        elif name in names:
            stop = np.where(place < 0, spans.end[rows], place)
            found[name] = spans.texts(rows, at, stop)
        name = ""
        goes_on = place >= 0
        rows, at = rows[goes_on], place[goes_on] + len(part.encode())
    if name in names:
        found[name] = spans.texts(rows, at, spans.end[rows])
    return found


def covered(parts: Sequence[PatternPart], lines: pl.Series) -> Mask:
    """Return whether a pattern of literals and `<_>` describes each line as a whole.

    Each literal is looked for once, from where the one before it ended; a
    capture takes at least one character.
    """
    spans = LineSpans.of(lines)
    is_empty = spans.end == spans.start
    if not parts:
        return np.asarray(is_empty)
    rows = np.flatnonzero(~is_empty)
    at = spans.start[rows]
    for index, part in enumerate(parts):
        if isinstance(part, Capture):
            continue
        place = spans.find(part, rows, at)
        goes_on = place == at if index == 0 else place > at
        rows, at = rows[goes_on], place[goes_on] + len(part.encode())
    fits = (
        at < spans.end[rows]
        if isinstance(parts[-1], Capture)
        else at == spans.end[rows]
    )
    result = np.zeros(len(lines), np.bool_)
    result[rows[fits]] = True
    return result
