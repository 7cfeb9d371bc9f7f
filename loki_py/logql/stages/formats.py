"""`| line_format` and `| label_format`: templates, by column where they are plain."""

from collections.abc import Iterator, Mapping

import polars as pl

from loki_py.logql import ast
from loki_py.logql.exec.frame import (
    ERROR,
    ERROR_DETAILS,
    Frame,
    Mask,
)
from loki_py.logql.stages.stage import Apply, Names, Wants
from loki_py.logql.stages.template_parts import Filled, joined, nodes_in, parts_of
from loki_py.logql.template.errors import TemplateError
from loki_py.logql.template.nodes import Dot, FieldPath, Tree, Variable
from loki_py.logql.template.template import LABEL, LINE, compile_template

TEMPLATE_ERROR = "TemplateFormatErr"


class Filling:
    """A template for frames.

    Attributes:
        reads: the labels that it looks at; None where that is not known.
    """

    def __init__(self, source: str, *, name: str) -> None:
        self._template = compile_template(source, name=name)
        self._parts = parts_of(self._template)
        self.reads = _names_read(self._template.tree)
        # A constant column says nothing about rows, so defined bodies that
        # read labels make the template read them all.
        if self._template.tree.definitions:
            self.reads = None

    def fill(self, frame: Frame) -> Filled:
        """Return what the template makes of each row."""
        if self._parts is not None and len(frame):
            filled = joined(self._parts, frame, _shown)
            if filled is not None:
                return filled
        texts: list[str | None] = []
        details: list[str | None] = []
        lines = [""] * len(frame) if frame.line is None else frame.line.to_list()
        rows = zip(
            _label_maps(frame, self.reads),
            lines,
            frame.timestamp_ns.tolist(),
            strict=True,
        )
        for labels, line, timestamp_ns in rows:
            try:
                texts.append(self._template.execute(labels, line, timestamp_ns))
                details.append(None)
            except TemplateError as error:
                texts.append(None)
                details.append(str(error))
        return Filled(
            pl.Series(texts, dtype=pl.String), pl.Series(details, dtype=pl.String)
        )


def line_format(stage: ast.LineFormat, wants: Wants) -> Apply:  # noqa: ARG001
    """Replace the lines by what the template makes of the labels."""
    filling = Filling(stage.template, name=LINE)

    def apply(frame: Frame) -> None:
        filled = filling.fill(frame)
        _set_failures(frame, filled)
        frame.line = filled.texts.zip_with(filled.texts.is_not_null(), frame.lines)

    return apply


def label_format(stage: ast.LabelFormat, wants: Wants) -> Apply:  # noqa: ARG001
    """Rename labels, or set them to what a template makes of the labels.

    Every template of a stage sees the labels as they are at its first one.
    """
    steps: list[tuple[ast.LabelRename | ast.LabelTemplate, Filling | None]] = [
        (
            one,
            Filling(one.template, name=LABEL)
            if isinstance(one, ast.LabelTemplate)
            else None,
        )
        for one in stage.assignments
    ]

    def apply(frame: Frame) -> None:
        seen: Frame | None = None
        for assignment, filling in steps:
            if filling is None:
                assert isinstance(assignment, ast.LabelRename)
                frame.rename(assignment.source, assignment.target)
                continue
            seen = seen or frame.copy()
            filled = filling.fill(seen)
            _set_failures(frame, filled)
            frame.set_parsed(assignment.target, filled.texts)

    return apply


def _set_failures(frame: Frame, filled: Filled) -> None:
    if filled.details.null_count() < len(filled.details):
        failed: Mask = filled.details.is_not_null().to_numpy()
        frame.set_error(failed, TEMPLATE_ERROR, filled.details)


def _shown(frame: Frame, name: str) -> pl.Series | None:
    return frame.error_details if name == ERROR_DETAILS else frame.value(name)


def _label_maps(frame: Frame, names: Names) -> Iterator[Mapping[str, str]]:
    """Yield the labels of each row, those of `names` alone."""
    wanted = [*frame.names(), ERROR, ERROR_DETAILS] if names is None else sorted(names)
    columns = {name: _shown(frame, name) for name in wanted}
    present = {
        n: column.to_list() for n, column in columns.items() if column is not None
    }
    if not present:
        for _ in range(len(frame)):
            yield {}
        return
    for values in zip(*present.values(), strict=True):
        pairs = zip(present, values, strict=True)
        yield {name: value for name, value in pairs if value is not None}


def line_reads(stage: ast.LineFormat) -> Names:
    """Return the labels that the template reads."""
    return Filling(stage.template, name=LINE).reads


def label_reads(stage: ast.LabelFormat) -> Names:
    """Return the labels that the templates and renames read."""
    names: set[str] = set()
    for one in stage.assignments:
        if isinstance(one, ast.LabelRename):
            names.add(one.source)
            continue
        read = Filling(one.template, name=LABEL).reads
        if read is None:
            return None
        names |= read
    return frozenset(names)


def _names_read(tree: Tree) -> Names:
    """Return the label names that a template reads; None where it may read any."""
    names = set()
    for node in nodes_in(tree.body):
        match node:
            case Dot() | Variable(_, "$"):
                return None
            case FieldPath():
                names.add(node.names[0])
    return frozenset(names)
