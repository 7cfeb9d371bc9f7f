"""Templates on columns: each part of one is filled in once per distinct input."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TypeAlias

import polars as pl

from loki_py.logql.exec.codes import codes_of
from loki_py.logql.exec.frame import NULL, Frame, constant
from loki_py.logql.exec.series import combined
from loki_py.logql.template.calls import (
    LINE_FUNCTION,
    Inputs,
    NotPlain,
    Term,
    term_of,
    texts_of,
)
from loki_py.logql.template.errors import TemplateError
from loki_py.logql.template.execute import OUTPUT_CHARS_MAX
from loki_py.logql.template.functions import CONTEXT_FUNCTIONS
from loki_py.logql.template.nodes import (
    Action,
    Call,
    Dot,
    FieldPath,
    Function,
    Node,
    Text,
    Tree,
    Variable,
)
from loki_py.logql.template.template import Field, Template, plain_part

Column: TypeAlias = Callable[[Frame, str], pl.Series | None]
"""(frame, label name) to what templates see of the label."""


@dataclass(frozen=True, slots=True)
class Filled:
    """What a template makes of rows.

    Attributes:
        texts: null where the template failed.
        details: why it failed; null where it did not.
    """

    texts: pl.Series
    details: pl.Series


@dataclass(frozen=True, slots=True)
class Piece:
    """A node of a template, which knows nothing of the nodes beside it.

    Attributes:
        names: the labels that it reads.
        reads_line: whether it reads the line.
        template: of this node alone.
        term: what it prints, where it is no more than function calls.
    """

    names: tuple[str, ...]
    reads_line: bool
    template: Template
    term: Term | None

    def fill(self, frame: Frame, column: Column) -> tuple[Filled, int]:
        """Return what the node makes of each row, and its longest text."""
        columns = {}
        for name in self.names:
            values = column(frame, name)
            columns[name] = NULL if values is None else values
        columns = {
            name: constant("", len(frame)) if values is NULL else values.fill_null("")
            for name, values in columns.items()
        }
        if self.reads_line:
            columns[LINE_FUNCTION] = frame.lines
        codes = [codes_of(values) for values in columns.values()]
        first, index = combined(codes, len(frame))
        at, back = pl.Series(first), pl.Series(index)
        inputs = {n: values.gather(at).to_list() for n, values in columns.items()}
        texts, details = self._made(inputs, len(first))
        longest = max((len(text) for text in texts if text is not None), default=0)
        filled = Filled(
            pl.Series(texts, dtype=pl.String).gather(back),
            NULL
            if details is None
            else pl.Series(details, dtype=pl.String).gather(back),
        )
        return filled, longest

    def _made(
        self, inputs: Inputs, count: int
    ) -> tuple[Sequence[str | None], Sequence[str | None] | None]:
        """Return the text and why there is none, for each of the inputs."""
        if self.term is not None:
            try:
                return texts_of(self.term, inputs, count), None
            except NotPlain:
                pass
        texts: list[str | None] = []
        details: list[str | None] = []
        lines = inputs.get(LINE_FUNCTION, [""] * count)
        for i in range(count):
            labels = {name: inputs[name][i] for name in self.names}
            try:
                texts.append(self.template.execute(labels, lines[i], 0))
                details.append(None)
            except TemplateError as error:
                texts.append(None)
                details.append(str(error))
        return texts, details


Part: TypeAlias = str | Field | Piece


def parts_of(template: Template) -> tuple[Part, ...] | None:
    """Return the template cut into parts, None where it must be run as a whole.

    That is where parts see each other's variables, or all labels, or the time.
    """
    if template.tree.definitions:
        return None
    parts: list[Part] = []
    for node in template.tree.body:
        plain = plain_part(node)
        part = _piece(node, template.tree) if plain is None else plain
        if part is None:
            return None
        parts.append(part)
    return tuple(parts)


def _piece(node: Node, tree: Tree) -> Piece | None:
    if isinstance(node, Text | Call):
        return None
    if isinstance(node, Action) and node.pipe.variables:
        return None
    names: set[str] = set()
    called: set[str] = set()
    for inner in nodes_in(node):
        match inner:
            case Dot() | Variable(_, "$"):
                return None
            case FieldPath():
                names.add(inner.names[0])
            case Function():
                called.add(inner.name)
    if called & (CONTEXT_FUNCTIONS - {LINE_FUNCTION}):
        return None
    alone = replace(tree, body=(node,))
    return Piece(
        tuple(sorted(names)),
        LINE_FUNCTION in called,
        Template(alone),
        term_of(node),
    )


def nodes_in(node: object) -> Iterator[object]:
    """Yield a part of a template's tree and all that is in it."""
    yield node
    children: Sequence[object] = ()
    if isinstance(node, tuple):
        children = node
    elif is_dataclass(node):
        children = [getattr(node, field.name) for field in fields(node)]
    for child in children:
        yield from nodes_in(child)


def joined(parts: Sequence[Part], frame: Frame, column: Column) -> Filled | None:
    """Return what the parts make of each row; None where that may be too long."""
    texts: list[pl.Series] = []
    details = NULL
    longest = 0
    for part in parts:
        if isinstance(part, str):
            texts.append(constant(part, len(frame)))
        elif isinstance(part, Field):
            values = column(frame, part.name)
            if values is not None:
                texts.append(values.fill_null(""))
        else:
            filled, chars = part.fill(frame, column)
            longest += chars
            texts.append(filled.texts)
            if filled.details is not NULL:
                # The first part that fails says why.
                known = None if details is NULL else details.is_not_null()
                details = (
                    filled.details
                    if known is None
                    else details.zip_with(known, filled.details)
                )
    if longest > OUTPUT_CHARS_MAX:
        return None
    if not texts:
        return Filled(constant("", len(frame)), NULL)
    out = texts[0]
    for one in texts[1:]:
        out = out + one
    return Filled(out, details)
