"""Compiled templates of line_format and label_format."""

from collections.abc import Mapping
from dataclasses import dataclass

from loki_py.logql.template.execute import new_execution
from loki_py.logql.template.functions import FUNCTIONS
from loki_py.logql.template.nodes import Action, FieldPath, Node, Text, Tree
from loki_py.logql.template.parser import parse_template

LINE = "line"
"""The name under which errors show a line_format template."""

LABEL = "label"
"""The name under which errors show a label_format template."""


@dataclass(frozen=True, slots=True)
class Field:
    """`{{.name}}`: the label's value, "" where the label is missing."""

    name: str


@dataclass(frozen=True, slots=True)
class Template:
    """A template that can be run over entries, by several threads at once."""

    tree: Tree

    def execute(
        self,
        labels: Mapping[str, str],
        line: str,
        timestamp_ns: int,
        *,
        now_ns: int | None = None,
    ) -> str:
        """Return what the template makes of one entry.

        Args:
            now_ns: what `now` answers; the entry's own time if absent.

        Raises: TemplateError, whose text is the entry's `__error_details__`.
        """
        now_ns = timestamp_ns if now_ns is None else now_ns
        return new_execution(
            self.tree, labels, line=line, timestamp_ns=timestamp_ns, now_ns=now_ns
        ).run()


def compile_template(source: str, *, name: str = LINE) -> Template:
    """Return the compiled template.

    Raises: TemplateInvalid.
    """
    return Template(parse_template(source, name=name, functions=FUNCTIONS))


def plain_part(node: Node) -> str | Field | None:
    """Return the text or label that a node is, None where it is more."""
    if isinstance(node, Text):
        return node.text
    if not isinstance(node, Action) or node.pipe.variables:
        return None
    operands = [operand for cmd in node.pipe.commands for operand in cmd.operands]
    first = operands[0]
    if len(operands) == 1 and isinstance(first, FieldPath) and len(first.names) == 1:
        return Field(first.names[0])
    return None
