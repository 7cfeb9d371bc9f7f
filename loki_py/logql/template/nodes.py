"""The syntax tree of a template; `str(node)` is how errors show a node."""

from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Dot:
    """`.`."""

    at: int

    def __str__(self) -> str:
        return "."


@dataclass(frozen=True, slots=True)
class Nil:
    """`nil`."""

    at: int

    def __str__(self) -> str:
        return "nil"


@dataclass(frozen=True, slots=True)
class Constant:
    """A bool, number or string.

    Attributes:
        text: as written.
        as_int: the value where an int is asked for; None if it is none.
        as_float: the same for a float.
    """

    at: int
    text: str
    value: bool | int | float | str
    as_int: int | None = None
    as_float: float | None = None

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class FieldPath:
    """`.a.b`."""

    at: int
    names: tuple[str, ...]

    def __str__(self) -> str:
        return "".join(f".{name}" for name in self.names)


@dataclass(frozen=True, slots=True)
class Variable:
    """`$x.a.b`; the name has its `$`."""

    at: int
    name: str
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name + "".join(f".{name}" for name in self.names)


@dataclass(frozen=True, slots=True)
class Function:
    """The name of a function, called with what follows it in its command."""

    at: int
    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Chain:
    """`(pipeline).a.b`."""

    at: int
    operand: "Operand"
    names: tuple[str, ...]

    def __str__(self) -> str:
        inner = f"({self.operand})" if isinstance(self.operand, Pipe) else self.operand
        return f"{inner}" + "".join(f".{name}" for name in self.names)


@dataclass(frozen=True, slots=True)
class Command:
    """One part of a pipeline: an operand, or a function and its arguments."""

    at: int
    operands: tuple["Operand", ...]

    def __str__(self) -> str:
        return " ".join(
            f"({operand})" if isinstance(operand, Pipe) else str(operand)
            for operand in self.operands
        )


@dataclass(frozen=True, slots=True)
class Pipe:
    """Commands, each given the value of the one before; may set variables.

    Attributes:
        variables: names that take the value, with their `$`.
        assigns: `=` to variables that exist, not `:=`.
    """

    at: int
    commands: tuple[Command, ...]
    variables: tuple[str, ...] = ()
    assigns: bool = False

    def __str__(self) -> str:
        head = ""
        if self.variables:
            head = ", ".join(self.variables) + (" = " if self.assigns else " := ")
        return head + " | ".join(map(str, self.commands))


Operand: TypeAlias = (
    Dot | Nil | Constant | FieldPath | Variable | Function | Chain | Pipe
)


@dataclass(frozen=True, slots=True)
class Text:
    """Text that is copied."""

    text: str


@dataclass(frozen=True, slots=True)
class Action:
    """`{{pipeline}}`: printed, unless it sets variables."""

    pipe: Pipe


@dataclass(frozen=True, slots=True)
class Branch:
    """`if`, `with` and `range`.

    Attributes:
        kind: which of the three.
        otherwise: what `else` holds; empty where there is none.
    """

    kind: str
    pipe: Pipe
    body: tuple["Node", ...]
    otherwise: tuple["Node", ...] = ()


@dataclass(frozen=True, slots=True)
class Jump:
    """`break` or `continue`."""

    kind: str


@dataclass(frozen=True, slots=True)
class Call:
    """`{{template "name" pipeline}}`."""

    at: int
    name: str
    pipe: Pipe | None = None

    def __str__(self) -> str:
        argument = "" if self.pipe is None else f" {self.pipe}"
        return f'{{{{template "{self.name}"{argument}}}}}'


Node: TypeAlias = Text | Action | Branch | Jump | Call


@dataclass(frozen=True, slots=True)
class Tree:
    """A parsed template.

    Attributes:
        name: what errors call it.
        definitions: bodies of `define` and `block` by name.
    """

    name: str
    source: str
    body: tuple[Node, ...]
    definitions: dict[str, tuple[Node, ...]] = field(default_factory=dict)
