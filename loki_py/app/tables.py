"""Rows as text: aligned columns for people, JSON lines for programs.

Rows are printed as they come; widths come from the first ones.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from itertools import chain, islice
from typing import Any, TypeAlias

from loki_py.app.moments import print_moment

Row: TypeAlias = Mapping[str, Any]

TIME_NAMES = {"from", "through"}
"""Columns that hold nanoseconds though their names, which are Loki's, do not say so."""

ROWS_MEASURED = 200
"""Rows that are looked at before the first is printed."""


def json_lines(rows: Iterable[Row]) -> Iterator[str]:
    """Yield each row as one JSON object."""
    for row in rows:
        yield json.dumps(dict(row), ensure_ascii=False, default=str)


def aligned_lines(rows: Iterable[Row]) -> Iterator[str]:
    """Yield a line of column names and one line for each row.

    Numbers stand to the right; what is named `…_ns` is shown as a time. A row
    that has other columns than the row
    before it starts a new table.
    """
    rest = iter(rows)
    first = list(islice(rest, ROWS_MEASURED))
    names: list[str] = []
    for row in chain(first, rest):
        if list(row) != names:
            names = list(row)
            alike = [other for other in first if list(other) == names] or [row]
            columns = [_column_of(name, alike) for name in names]
            yield _line(names, columns)
        yield _line([_text(name, row[name]) for name in names], columns)


@dataclass(frozen=True, slots=True)
class _Column:
    width: int
    is_number: bool


def _column_of(name: str, rows: Sequence[Row]) -> _Column:
    values = [row[name] for row in rows]
    width = max(len(name), *(len(_text(name, value)) for value in values))
    is_number = all(value is None or isinstance(value, int | float) for value in values)
    return _Column(width, is_number)


def _line(texts: Sequence[str], columns: Sequence[_Column]) -> str:
    cells = [
        text.rjust(column.width) if column.is_number else text.ljust(column.width)
        for text, column in zip(texts, columns, strict=True)
    ]
    return "  ".join(cells).rstrip()


def _text(name: str, value: Any) -> str:
    if value is None:
        return ""
    is_time = name.endswith("_ns") or name in TIME_NAMES
    if is_time and isinstance(value, int):
        return print_moment(value, UTC, digits=True)
    return str(value)
