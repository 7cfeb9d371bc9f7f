"""`| line_format` and `| label_format`: templates, by column where they are plain."""

import re
from collections.abc import Callable, Sequence

import polars as pl

from loki_py.logql import ast
from loki_py.logql.exec.frame import Frame, Mask, constant
from loki_py.logql.stages.stage import Apply, Names, Wants

TEMPLATE_ERROR = "TemplateFormatErr"

_FIELD = re.compile(r"\{\{\s*\.([a-zA-Z_][a-zA-Z0-9_]*)\s*\}\}")


def plain_parts(template: str) -> list[str] | None:
    """Return literals and label names in turns, None where there is more to it."""
    parts = _FIELD.split(template)
    if any("{{" in literal or "}}" in literal for literal in parts[::2]):
        return None
    return parts


def line_format(stage: ast.LineFormat, wants: Wants) -> Apply:  # noqa: ARG001
    """Replace the lines by what the template makes of the labels."""
    fill = filling(stage.template)

    def apply(frame: Frame) -> None:
        lines, failed, details = fill(frame, None)
        if failed is not None:
            frame.set_error(failed, TEMPLATE_ERROR, details)
            lines = frame.lines.zip_with(pl.Series(failed), lines)
        frame.line = lines

    return apply


def label_format(stage: ast.LabelFormat, wants: Wants) -> Apply:  # noqa: ARG001
    """Rename labels, or set them to what a template makes of the labels.

    Every template of a stage sees the labels as they are at its first one.
    """
    steps: list[tuple[ast.LabelRename | ast.LabelTemplate, Fill | None]] = [
        (one, filling(one.template) if isinstance(one, ast.LabelTemplate) else None)
        for one in stage.assignments
    ]

    def apply(frame: Frame) -> None:
        seen: Frame | None = None
        for assignment, fill in steps:
            if fill is None:
                assert isinstance(assignment, ast.LabelRename)
                frame.rename(assignment.source, assignment.target)
                continue
            seen = seen or frame.copy()
            values, failed, details = fill(seen, None)
            if failed is not None:
                frame.set_error(failed, TEMPLATE_ERROR, details)
            frame.set_parsed(
                assignment.target, values, None if failed is None else ~failed
            )

    return apply


Fill = Callable[[Frame, None], tuple[pl.Series, Mask | None, pl.Series | str]]


def filling(template: str) -> Fill:
    """Return the function from a frame to the template's texts and its failures."""
    parts = plain_parts(template)
    if parts is None:
        raise NotImplementedError
    return lambda frame, _: (_filled(parts, frame), None, "")


def _filled(parts: Sequence[str], frame: Frame) -> pl.Series:
    columns = []
    for index, part in enumerate(parts):
        if index % 2 == 0:
            if part:
                columns.append(constant(part, len(frame)))
            continue
        values = frame.value(part)
        if values is not None:
            columns.append(values.fill_null(""))
    if not columns:
        return constant("", len(frame))
    out = columns[0]
    for column in columns[1:]:
        out = out + column
    return out


def line_reads(stage: ast.LineFormat) -> Names:
    """Return the labels that the template reads."""
    return _template_reads(stage.template)


def label_reads(stage: ast.LabelFormat) -> Names:
    """Return the labels that the templates and renames read."""
    names: set[str] = set()
    for one in stage.assignments:
        if isinstance(one, ast.LabelRename):
            names.add(one.source)
            continue
        read = _template_reads(one.template)
        if read is None:
            return None
        names |= read
    return frozenset(names)


def _template_reads(template: str) -> Names:
    parts = plain_parts(template)
    return None if parts is None else frozenset(parts[1::2])
