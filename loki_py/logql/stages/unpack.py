"""`| unpack`: the line and labels that a client packed into a JSON object."""

import polars as pl

from loki_py.logql import ast
from loki_py.logql.exec.frame import Frame
from loki_py.logql.stages.extraction import Found, finish, series_of
from loki_py.logql.stages.json_fields import JSON_ERROR
from loki_py.logql.stages.json_scan import JsonInvalid, members, unescape
from loki_py.logql.stages.stage import Apply, Wants

ENTRY = "_entry"
NOT_AN_OBJECT = "expecting json object(6), but it is not"


def unpack(stage: ast.UnpackParser, wants: Wants) -> Apply:  # noqa: ARG001
    """Replace the line by its `_entry` and set the other strings as labels."""
    required = wants.hints.required
    if required is not None and not required:
        return lambda _: None

    def apply(frame: Frame) -> None:
        found = Found(frame, wants)
        failed: dict[int, str] = {}
        lines = frame.lines.to_list()
        for row, line in enumerate(lines):
            if not line:
                continue
            if not line.startswith("{"):
                failed[row] = NOT_AN_OBJECT
                continue
            try:
                packed = _packed(line)
            except JsonInvalid as error:
                failed[row] = str(error)
                continue
            if ENTRY not in packed:
                continue
            lines[row] = packed.pop(ENTRY)
            found.begin(row)
            for name, value in packed.items():
                found.put(name, value)
        frame.line = pl.Series(lines, dtype=pl.String)
        columns = series_of(found.cells)
        finish(frame, columns, wants, failed=failed, error=JSON_ERROR)

    return apply


def _packed(line: str) -> dict[str, str]:
    """Return the string members of a line."""
    packed: dict[str, str] = {}
    for key, kind, raw in members(line):
        if kind == '"':
            packed[key] = unescape(raw) or ""
    return packed
