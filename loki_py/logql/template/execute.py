"""Run a template tree over one entry."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from loki_py.logql.template.errors import CallFailed, TemplateError
from loki_py.logql.template.functions import CONTEXT_FUNCTIONS, FUNCTIONS
from loki_py.logql.template.gotime import GoTime
from loki_py.logql.template.nodes import (
    Action,
    Branch,
    Call,
    Chain,
    Command,
    Constant,
    Dot,
    FieldPath,
    Function,
    Jump,
    Nil,
    Node,
    Operand,
    Pipe,
    Text,
    Tree,
    Variable,
)
from loki_py.logql.template.signatures import KIND_NAMES, Signature, kind_fault
from loki_py.logql.template.values import Value, is_true, printed, shown, type_name
from loki_py.model.labels import quote

OUTPUT_CHARS_MAX = 4 * 1024 * 1024
"""What one template may print for one entry."""

STEPS_MAX = 100_000
"""Rounds of all loops of a template for one entry."""

DEPTH_MAX = 100
"""How deep control structures and calls of templates may nest at run time."""


class _Missing:
    """No value comes through the pipe."""


_MISSING = _Missing()


@dataclass(slots=True)
class _Entry:
    labels: Mapping[str, str]
    line: str
    timestamp_ns: int
    now_ns: int


@dataclass(slots=True)
class Execution:
    """One run of a tree; make a new one for every entry."""

    tree: Tree
    entry: _Entry
    _output: list[str] = field(default_factory=list)
    _size: int = 0
    _steps: int = 0
    _depth: int = 0
    _variables: list[tuple[str, Value]] = field(default_factory=list)
    _executing: str = ""

    def run(self) -> str:
        """Return what the template prints.

        Raises: TemplateError.
        """
        self._executing = self.tree.name
        self._variables = [("$", self.entry.labels)]
        self._walk(self.tree.body, self.entry.labels)
        return "".join(self._output)

    # Nodes.

    def _walk(self, nodes: Iterable[Node], dot: Value) -> str | None:
        """Run nodes; return the jump that ended them early, if one did."""
        if self._depth >= DEPTH_MAX:
            raise TemplateError(
                f"template: {self.tree.name}: exceeded maximum template depth "
                f"({DEPTH_MAX})"
            )
        self._depth += 1
        jump = self._walk_level(nodes, dot)
        self._depth -= 1
        return jump

    def _walk_level(self, nodes: Iterable[Node], dot: Value) -> str | None:
        for node in nodes:
            match node:
                case Text():
                    self._print(node.text)
                case Action():
                    value = self._pipeline(dot, node.pipe)
                    if not node.pipe.variables:
                        self._print(printed(value))
                case Branch():
                    jump = self._branch(dot, node)
                    if jump is not None:
                        return jump
                case Jump():
                    return node.kind
                case Call():
                    self._template(dot, node)
        return None

    def _print(self, text: str) -> None:
        self._size += len(text)
        if self._size > OUTPUT_CHARS_MAX:
            raise TemplateError(
                f"template: {self.tree.name}: output is longer than {OUTPUT_CHARS_MAX}"
            )
        self._output.append(text)

    def _branch(self, dot: Value, node: Branch) -> str | None:
        known = len(self._variables)
        value = self._pipeline(dot, node.pipe)
        if node.kind == "range":
            jump = self._range(dot, node, value)
        elif is_true(value):
            jump = self._walk(node.body, value if node.kind == "with" else dot)
        else:
            jump = self._walk(node.otherwise, dot)
        del self._variables[known:]
        return jump

    def _range(self, dot: Value, node: Branch, value: Value) -> str | None:
        names = node.pipe.variables
        known = len(self._variables) - (0 if node.pipe.assigns else len(names))
        is_empty = True
        for key, item in self._pairs(node, value):
            is_empty = False
            self._steps += 1
            if self._steps > STEPS_MAX:
                raise self._failure(node.pipe, f"loops run more than {STEPS_MAX} times")
            if len(names) == 1:
                only = key if isinstance(value, int) else item
                self._set(names[0], only, is_new=not node.pipe.assigns)
            elif len(names) == 2:
                self._set(names[0], key, is_new=not node.pipe.assigns)
                self._set(names[1], item, is_new=not node.pipe.assigns)
            jump = self._walk(node.body, item)
            del self._variables[known:]
            if jump == "break":
                break
        if is_empty:
            return self._walk(node.otherwise, dot)
        return None

    def _pairs(self, node: Branch, value: Value) -> Iterator[tuple[Value, Value]]:
        match value:
            case None:
                return iter(())
            case list():
                return iter(enumerate(value))
            case dict():
                return iter([(key, value[key]) for key in sorted(value)])
            case int() if not isinstance(value, bool):
                return ((number, number) for number in range(value))
            case _:
                place = _last_operand(node.pipe)
                raise self._failure(place, f"range can't iterate over {shown(value)}")

    def _template(self, dot: Value, node: Call) -> None:
        body = self.tree.definitions.get(node.name)
        if body is None:
            raise self._failure(node, f"template {quote(node.name)} not defined")
        value = None if node.pipe is None else self._pipeline(dot, node.pipe)
        saved = self._variables, self._executing
        self._variables, self._executing = [("$", value)], node.name
        self._walk(body, value)
        self._variables, self._executing = saved

    # Values.

    def _pipeline(self, dot: Value, pipe: Pipe) -> Value:
        value: Value = _MISSING
        for command in pipe.commands:
            value = self._command(dot, command, value)
        for name in pipe.variables:
            self._set(name, value, is_new=not pipe.assigns)
        return value

    def _set(self, name: str, value: Value, *, is_new: bool) -> None:
        if is_new:
            self._variables.append((name, value))
            return
        for index in range(len(self._variables) - 1, -1, -1):
            if self._variables[index][0] == name:
                self._variables[index] = (name, value)
                return

    def _command(self, dot: Value, command: Command, final: Value) -> Value:
        first = command.operands[0]
        if isinstance(first, Function):
            return self._function(dot, first, command, command.operands[1:], final)
        if len(command.operands) > 1 or final is not _MISSING:
            if isinstance(first, FieldPath | Variable | Chain) and first.names:
                name = first.names[-1]
                raise self._failure(first, f"{name} is not a method but has arguments")
            raise self._failure(first, f"can't give argument to non-function {first}")
        if isinstance(first, Nil):
            raise self._failure(first, "nil is not a command")
        return self._operand(dot, first)

    def _operand(self, dot: Value, operand: Operand) -> Value:
        match operand:
            case Dot():
                return dot
            case Nil():
                return None
            case Constant():
                return operand.value
            case FieldPath():
                return self._fields(dot, operand.names, operand)
            case Variable():
                value = next(
                    v for n, v in reversed(self._variables) if n == operand.name
                )
                return self._fields(value, operand.names, operand)
            case Chain():
                value = self._operand(dot, operand.operand)
                return self._fields(value, operand.names, operand)
            case Pipe():
                return self._pipeline(dot, operand)
            case Function():
                return self._function(dot, operand, operand, (), _MISSING)

    def _fields(self, value: Value, names: Sequence[str], node: Operand) -> Value:
        for name in names:
            if value is self.entry.labels:
                # A map of strings, whose missing keys are empty strings.
                value = value.get(name, "")
            elif isinstance(value, dict):
                value = value.get(name)
            elif value is not None:
                kind = type_name(value)
                raise self._failure(node, f"can't evaluate field {name} in type {kind}")
        return value

    # Calls.

    def _function(
        self,
        dot: Value,
        function: Function,
        node: Command | Function,
        operands: Sequence[Operand],
        final: Value,
    ) -> Value:
        name = function.name
        signature = FUNCTIONS[name]
        count = len(operands) + (final is not _MISSING)
        fault = signature.count_fault(name, count)
        if fault is not None:
            raise self._failure(function, fault)
        if name in CONTEXT_FUNCTIONS:
            return self._of_entry(name)
        if name in {"and", "or"}:
            return self._decided(dot, operands, final, stops_at=name == "or")
        values = [
            self._argument(dot, operand, signature.kind_of(position))
            for position, operand in enumerate(operands)
        ]
        if final is not _MISSING:
            fault = kind_fault(signature.kind_of(len(values)), final)
            if fault is not None:
                raise self._failure(operands[-1] if operands else function, fault)
            values.append(final)
        return self._called(name, signature, values, node)

    def _called(
        self,
        name: str,
        signature: Signature,
        values: list[Value],
        node: Command | Function,
    ) -> Value:
        try:
            return signature.call(*values)
        except CallFailed as error:
            message = f"error calling {name}: {error}"
            raise self._failure(node, message) from None

    def _of_entry(self, name: str) -> Value:
        if name == "__line__":
            return self.entry.line
        is_now = name == "now"
        return GoTime(self.entry.now_ns if is_now else self.entry.timestamp_ns)

    def _decided(
        self, dot: Value, operands: Sequence[Operand], final: Value, *, stops_at: bool
    ) -> Value:
        value = final
        for operand in operands:
            value = self._operand(dot, operand)
            if is_true(value) == stops_at:
                return value
        return value if final is _MISSING else final

    def _argument(self, dot: Value, operand: Operand, kind: str) -> Value:
        if isinstance(operand, Constant) and kind != "a":
            return self._constant(operand, kind)
        if isinstance(operand, Nil) and kind != "a":
            raise self._failure(operand, f"cannot assign nil to {KIND_NAMES[kind]}")
        value = self._operand(dot, operand)
        fault = kind_fault(kind, value)
        if fault is not None:
            raise self._failure(operand, fault)
        return value

    def _constant(self, constant: Constant, kind: str) -> Value:
        if kind == "s" and isinstance(constant.value, str):
            return constant.value
        if kind == "i" and constant.as_int is not None:
            return constant.as_int
        if kind == "f" and constant.as_float is not None:
            return constant.as_float
        if kind == "t":
            raise self._failure(
                constant, f"can't handle {constant} for arg of type time.Time"
            )
        wanted = {"s": "string", "i": "integer", "f": "float"}[kind]
        raise self._failure(constant, f"expected {wanted}; found {constant}")

    def _failure(self, node: "Operand | Command | Call", message: str) -> TemplateError:
        before = self.tree.source[: node.at]
        line = before.count("\n") + 1
        column = len(before[before.rfind("\n") + 1 :].encode())
        return TemplateError(
            f"template: {self.tree.name}:{line}:{column}: executing "
            f"{quote(self._executing)} at <{node}>: {message}"
        )


def _last_operand(pipe: Pipe) -> Operand | Command:
    command = pipe.commands[-1]
    first = command.operands[0]
    return command if isinstance(first, Function) else first


def new_execution(
    tree: Tree,
    labels: Mapping[str, str],
    *,
    line: str,
    timestamp_ns: int,
    now_ns: int,
) -> Execution:
    """Return a run of the tree over an entry."""
    known = labels if isinstance(labels, dict) else dict(labels)
    return Execution(tree, _Entry(known, line, timestamp_ns, now_ns))
