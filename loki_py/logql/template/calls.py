"""Pipelines of plain function calls, run over lists of values at once.

Most actions of templates are no more than that. What is not, or fails for some
value, is left to `execute`, which alone knows how to fail.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import TypeAlias

from loki_py.logql.template.errors import CallFailed
from loki_py.logql.template.functions import CONTEXT_FUNCTIONS, FUNCTIONS
from loki_py.logql.template.nodes import (
    Action,
    Constant,
    FieldPath,
    Function,
    Node,
    Operand,
    Pipe,
)
from loki_py.logql.template.signatures import Signature, kind_fault
from loki_py.logql.template.values import Value, printed

LINE_FUNCTION = "__line__"
_LAZY = CONTEXT_FUNCTIONS | {"and", "or"}

Inputs: TypeAlias = Mapping[str, Sequence[str]]
"""Values by label name; the lines as LINE_FUNCTION."""


class NotPlain(Exception):
    """Some value fails, or is not of the kind that a function takes."""


@dataclass(frozen=True, slots=True)
class Given:
    """A label, or the line."""

    name: str


@dataclass(frozen=True, slots=True)
class Fixed:
    """A constant, as its function takes it."""

    value: Value


@dataclass(frozen=True, slots=True)
class Called:
    """A function's results."""

    signature: Signature
    arguments: tuple["Term", ...]


Term: TypeAlias = Given | Fixed | Called


def term_of(node: Node) -> Term | None:
    """Return what a node prints, None where it is not plain."""
    return _pipe(node.pipe) if isinstance(node, Action) else None


def texts_of(term: Term, inputs: Inputs, count: int) -> list[str]:
    """Return what the term prints for each of `count` inputs.

    Raises: NotPlain.
    """
    return list(map(printed, _values(term, inputs, count)))


def _pipe(pipe: Pipe) -> Term | None:
    if pipe.variables:
        return None
    value: Term | None = None
    for number, command in enumerate(pipe.commands):
        first, *others = command.operands
        if number and value is None:
            return None
        if isinstance(first, Function):
            final = [] if value is None else [value]
            value = _call(first.name, others, final)
        elif number or others:
            return None
        else:
            value = _operand(first)
    return value


def _operand(operand: Operand) -> Term | None:
    match operand:
        case FieldPath(_, (name,)):
            return Given(name)
        case Constant(_, _, value):
            return Fixed(value)
        case Pipe():
            return _pipe(operand)
        case Function():
            return _call(operand.name, (), ())
        case _:
            return None


def _call(name: str, operands: Sequence[Operand], final: Sequence[Term]) -> Term | None:
    if name == LINE_FUNCTION and not operands and not final:
        return Given(LINE_FUNCTION)
    signature = FUNCTIONS[name]
    if name in _LAZY or signature.count_fault(name, len(operands) + len(final)):
        return None
    arguments: list[Term] = []
    for position, operand in enumerate(operands):
        kind = signature.kind_of(position)
        fixed = isinstance(operand, Constant) and kind != "a"
        argument = _fixed(operand, kind) if fixed else _operand(operand)
        if argument is None:
            return None
        arguments.append(argument)
    return Called(signature, (*arguments, *final))


def _fixed(operand: Operand, kind: str) -> Term | None:
    assert isinstance(operand, Constant)
    if kind == "s":
        return Fixed(operand.value) if isinstance(operand.value, str) else None
    number = {"i": operand.as_int, "f": operand.as_float}.get(kind)
    return None if number is None else Fixed(number)


def _values(term: Term, inputs: Inputs, count: int) -> Iterable[Value]:
    match term:
        case Given(name):
            return inputs[name]
        case Fixed(value):
            return repeat(value, count)
        case Called(signature, arguments):
            columns = [
                _checked(argument, signature.kind_of(i), inputs, count)
                for i, argument in enumerate(arguments)
            ]
            try:
                if not columns:
                    return [signature.call() for _ in range(count)]
                return list(map(signature.call, *columns))
            except CallFailed:
                raise NotPlain from None


def _checked(term: Term, kind: str, inputs: Inputs, count: int) -> Iterable[Value]:
    values = _values(term, inputs, count)
    given = [term.value] if isinstance(term, Fixed) else values
    one_of_each = {type(value): value for value in given}
    if any(kind_fault(kind, value) for value in one_of_each.values()):
        raise NotPlain
    return values
