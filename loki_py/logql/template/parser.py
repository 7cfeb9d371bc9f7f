"""Parse template source into a tree; the errors are Go's."""

from collections.abc import Container, Iterator

from loki_py.logql.literals import LiteralInvalid, parse_float
from loki_py.logql.strings import QUOTED_PREFIX, StringInvalid, unquote
from loki_py.logql.template.errors import TemplateInvalid
from loki_py.logql.template.lexer import Item, Kind, items_of
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

DEPTH_MAX = 60
"""How deep parentheses and control structures may nest."""

_OPERANDS = {
    Kind.BOOL, Kind.CHAR_CONSTANT, Kind.DOT, Kind.FIELD, Kind.IDENTIFIER, Kind.NUMBER,
    Kind.NIL, Kind.STRING, Kind.VARIABLE, Kind.LEFT_PARENTHESIS,
}  # fmt: skip
_BLOCK_ENDS = {"end", "else"}


def parse_template(source: str, *, name: str, functions: Container[str]) -> Tree:
    """Return the tree of a template that calls only these functions.

    Raises: TemplateInvalid.
    """
    return _Parser(source, name, functions).tree()


class _Parser:
    def __init__(self, source: str, name: str, functions: Container[str]) -> None:
        self._source = source
        self._name = name
        self._functions = functions
        self._items: Iterator[Item] = items_of(source)
        self._ahead: list[Item] = []
        self._last = Item(Kind.END, "", 0, 1)
        self._variables = ["$"]
        self._ranges = 0
        self._depth = 0
        self._definitions: dict[str, tuple[Node, ...]] = {}

    def tree(self) -> Tree:
        body, end = self._list()
        if end is not None:
            raise self._wrong(f"unexpected {{{{{end.text}}}}}")
        return Tree(self._name, self._source, body, self._definitions)

    # Items, with space where it matters.

    def _next(self) -> Item:
        if self._ahead:
            self._last = self._ahead.pop()
        else:
            self._last = next(self._items)
        return self._last

    def _back(self, item: Item) -> None:
        self._ahead.append(item)

    def _next_solid(self) -> Item:
        item = self._next()
        while item.kind is Kind.SPACE:
            item = self._next()
        return item

    def _peek_solid(self) -> Item:
        item = self._next_solid()
        self._back(item)
        return item

    def _wrong(self, message: str) -> TemplateInvalid:
        return TemplateInvalid(f"template: {self._name}:{self._last.line}: {message}")

    def _unexpected(self, item: Item, where: str) -> TemplateInvalid:
        if item.kind is Kind.ERROR:
            return self._wrong(item.text)
        return self._wrong(f"unexpected {item} in {where}")

    def _expect(self, kind: Kind, where: str) -> Item:
        item = self._next_solid()
        if item.kind is not kind:
            raise self._unexpected(item, where)
        return item

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise self._wrong(f"nests deeper than {DEPTH_MAX} levels")

    # Lists of nodes.

    def _list(self) -> tuple[tuple[Node, ...], Item | None]:
        """Return nodes up to the source's end, or up to `end` or `else`."""
        nodes: list[Node] = []
        while True:
            item = self._next()
            if item.kind is Kind.END:
                return tuple(nodes), None
            if item.kind is Kind.TEXT:
                nodes.append(Text(item.text))
                continue
            if item.kind is not Kind.LEFT:
                raise self._unexpected(item, "input")
            word = self._next_solid()
            if word.kind is Kind.KEYWORD and word.text in _BLOCK_ENDS:
                return tuple(nodes), word
            if word.kind is Kind.KEYWORD:
                node = self._keyword(word)
                nodes.extend([] if node is None else [node])
            else:
                self._back(word)
                nodes.append(Action(self._pipeline("command", Kind.RIGHT)))

    def _block(self) -> tuple[tuple[Node, ...], Item]:
        body, end = self._list()
        if end is None:
            raise self._wrong("unexpected EOF")
        return body, end

    def _keyword(self, word: Item) -> Node | None:
        if word.text in {"if", "with", "range"}:
            return self._control(word.text)
        if word.text in {"break", "continue"}:
            self._expect(Kind.RIGHT, f"{{{{{word.text}}}}}")
            if not self._ranges:
                raise self._wrong(f"{{{{{word.text}}}}} outside {{{{range}}}}")
            return Jump(word.text)
        if word.text == "define":
            if self._depth:
                raise self._unexpected(word, "command")
            name = self._template_name("define clause")
            self._expect(Kind.RIGHT, "define clause")
            self._definitions[name] = self._defined("define clause")
            return None
        name = self._template_name(f"{word.text} clause")
        if word.text == "block":
            pipe = self._pipeline("block clause", Kind.RIGHT)
            self._definitions[name] = self._defined("block clause")
            return Call(word.at, name, pipe)
        if self._peek_solid().kind is Kind.RIGHT:
            self._next_solid()
            return Call(word.at, name)
        return Call(word.at, name, self._pipeline("template clause", Kind.RIGHT))

    def _template_name(self, where: str) -> str:
        return self._string(self._expect(Kind.STRING, where))

    def _defined(self, where: str) -> tuple[Node, ...]:
        variables, self._variables = self._variables, ["$"]
        self._deeper()
        body, end = self._block()
        self._depth -= 1
        self._variables = variables
        if end.text != "end":
            raise self._wrong(f"unexpected {{{{else}}}} in {where}")
        self._expect(Kind.RIGHT, "end")
        return body

    def _control(self, kind: str) -> Branch:
        self._deeper()
        known = len(self._variables)
        pipe = self._pipeline(kind, Kind.RIGHT)
        self._ranges += kind == "range"
        body, end = self._block()
        self._ranges -= kind == "range"
        otherwise: tuple[Node, ...] = ()
        if end.text == "else":
            otherwise = self._otherwise(kind)
        else:
            self._expect(Kind.RIGHT, "end")
        del self._variables[known:]
        self._depth -= 1
        return Branch(kind, pipe, body, otherwise)

    def _otherwise(self, kind: str) -> tuple[Node, ...]:
        word = self._next_solid()
        if word.kind is Kind.KEYWORD and word.text == kind and kind in {"if", "with"}:
            # `else if` shares the `end` of the whole.
            return (self._control(kind),)
        if word.kind is not Kind.RIGHT:
            raise self._unexpected(word, "else")
        body, end = self._block()
        if end.text != "end":
            raise self._wrong(f"expected end; found {{{{{end.text}}}}}")
        self._expect(Kind.RIGHT, "end")
        return body

    # Pipelines.

    def _pipeline(self, where: str, end: Kind) -> Pipe:
        self._deeper()
        at = self._peek_solid().at
        variables, assigns = self._declarations(where)
        commands: list[Command] = []
        while True:
            item = self._next_solid()
            if item.kind is end:
                break
            if item.kind not in _OPERANDS:
                raise self._unexpected(item, where)
            self._back(item)
            commands.append(self._command())
        if not commands:
            raise self._wrong(f"missing value for {where}")
        for stage, command in enumerate(commands[1:], start=2):
            if isinstance(command.operands[0], Constant | Dot | Nil):
                raise self._wrong(f"non executable command in pipeline stage {stage}")
        if not assigns:
            self._variables.extend(variables)
        self._depth -= 1
        return Pipe(at, tuple(commands), variables, assigns)

    def _declarations(self, where: str) -> tuple[tuple[str, ...], bool]:
        names: list[str] = []
        while True:
            variable = self._peek_solid()
            if variable.kind is not Kind.VARIABLE:
                return tuple(names), False
            self._next_solid()
            after = self._next()
            solid = after if after.kind is not Kind.SPACE else self._next_solid()
            if solid.kind in {Kind.ASSIGN, Kind.DECLARE}:
                names.append(variable.text)
                return tuple(names), solid.kind is Kind.ASSIGN
            if solid.kind is not Kind.CHAR or solid.text != ",":
                self._back(solid)
                if after is not solid:
                    self._back(after)
                self._back(variable)
                return tuple(names), False
            names.append(variable.text)
            if where != "range" or len(names) > 1:
                raise self._wrong(f"too many declarations in {where}")
            if self._peek_solid().kind is not Kind.VARIABLE:
                raise self._wrong("range can only initialize variables")

    def _command(self) -> Command:
        at = self._peek_solid().at
        operands: list[Operand] = []
        while True:
            operand = self._operand()
            if operand is not None:
                operands.append(operand)
            item = self._next()
            if item.kind is Kind.SPACE:
                continue
            if item.kind in {Kind.RIGHT, Kind.RIGHT_PARENTHESIS}:
                self._back(item)
            elif item.kind is not Kind.PIPE:
                raise self._unexpected(item, "operand")
            break
        if not operands:
            raise self._wrong("empty command")
        return Command(at, tuple(operands))

    def _operand(self) -> Operand | None:
        operand = self._term()
        if operand is None:
            return None
        names: list[str] = []
        at = 0
        while True:
            item = self._next()
            if item.kind is not Kind.FIELD:
                self._back(item)
                break
            at = at or item.at
            names.append(item.text[1:])
        if not names:
            return operand
        match operand:
            case FieldPath():
                return FieldPath(at, (*operand.names, *names))
            case Variable():
                return Variable(at, operand.name, tuple(names))
            case Constant() | Dot() | Nil():
                shown = str(operand).replace('"', '\\"')
                raise self._wrong(f'unexpected . after term "{shown}"')
            case _:
                return Chain(at, operand, tuple(names))

    def _term(self) -> Operand | None:  # noqa: C901 - one case a kind of item
        item = self._next_solid()
        match item.kind:
            case Kind.IDENTIFIER:
                if item.text not in self._functions:
                    raise self._wrong(f'function "{item.text}" not defined')
                return Function(item.at, item.text)
            case Kind.DOT:
                return Dot(item.at)
            case Kind.NIL:
                return Nil(item.at)
            case Kind.VARIABLE:
                if item.text not in self._variables:
                    raise self._wrong(f'undefined variable "{item.text}"')
                return Variable(item.at, item.text)
            case Kind.FIELD:
                return FieldPath(item.at, (item.text[1:],))
            case Kind.BOOL:
                return Constant(item.at, item.text, item.text == "true")
            case Kind.NUMBER | Kind.CHAR_CONSTANT:
                return self._number(item)
            case Kind.STRING:
                return Constant(item.at, item.text, self._string(item))
            case Kind.LEFT_PARENTHESIS:
                return self._pipeline("parenthesized pipeline", Kind.RIGHT_PARENTHESIS)
            case _:
                self._back(item)
                return None

    def _string(self, item: Item) -> str:
        literal = item.text
        if literal[0] == '"':
            prefix = QUOTED_PREFIX.match(literal)
            if prefix is None or prefix.end() != len(literal) - 1:
                raise self._wrong("invalid syntax")
        try:
            return unquote(literal)
        except StringInvalid as error:
            raise self._wrong(str(error)) from None

    def _number(self, item: Item) -> Constant:
        constant = number_constant(item)
        if constant is None:
            name = "character" if item.kind is Kind.CHAR_CONSTANT else "number"
            if name == "character":
                raise self._wrong(f"malformed character constant: {item.text}")
            raise self._wrong(f'illegal number syntax: "{item.text}"')
        return constant


def number_constant(item: Item) -> Constant | None:
    """Return the number that an item stands for, None if it stands for none."""
    text = item.text
    if item.kind is Kind.CHAR_CONSTANT:
        try:
            char = unquote(text)
        except StringInvalid:
            return None
        code = ord(char) if len(char) == 1 else None
        return None if code is None else Constant(item.at, text, code, code, code)
    try:
        value = int(_with_octal_prefix(text), 0)
    except ValueError:
        pass
    else:
        return Constant(item.at, text, value, value, float(value))
    try:
        real = parse_float(text.replace("_", ""))
    except LiteralInvalid:
        return None
    as_int = int(real) if real.is_integer() else None
    return Constant(item.at, text, real, as_int, real)


def _with_octal_prefix(text: str) -> str:
    digits = text.lstrip("+-")
    if len(digits) > 1 and digits[0] == "0" and digits[1:].isdigit():
        return text.replace("0", "0o", 1)
    return text
