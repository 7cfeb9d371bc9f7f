"""Split template source into items, as Go's text/template does."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What an item is."""

    TEXT = "text"
    LEFT = "{{"
    RIGHT = "}}"
    SPACE = "space"
    IDENTIFIER = "identifier"
    KEYWORD = "keyword"
    FIELD = "field"
    VARIABLE = "variable"
    DOT = "."
    NIL = "nil"
    BOOL = "bool"
    NUMBER = "number"
    CHAR_CONSTANT = "char constant"
    STRING = "string"
    PIPE = "|"
    DECLARE = ":="
    ASSIGN = "="
    LEFT_PARENTHESIS = "("
    RIGHT_PARENTHESIS = ")"
    CHAR = "char"
    ERROR = "error"
    END = "EOF"


KEYWORDS = frozenset(
    {
        "block", "break", "continue", "define", "else", "end", "if", "range",
        "template", "with",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Item:
    """One item.

    Attributes:
        text: as written; for an ERROR what is wrong.
        at: offset in the source.
        line: from 1.
    """

    kind: Kind
    text: str
    at: int
    line: int

    def __str__(self) -> str:
        """As parse errors show it."""
        if self.kind is Kind.END:
            return "EOF"
        if self.kind is Kind.ERROR:
            return self.text
        if self.kind is Kind.KEYWORD:
            return f"<{self.text}>"
        from_quote = self.text.replace("\\", "\\\\").replace('"', '\\"')
        if len(self.text) > 10:
            return f'"{from_quote[:10]}"...'
        return f'"{from_quote}"'


_BLANKS = " \t\r\n"
_SPACE = re.compile(r"[ \t\r\n]+")
_WORD = re.compile(r"\w+")
_STRING = re.compile(r'"(?:[^"\\\n]|\\[^\n])*"')
_CHAR = re.compile(r"'(?:[^'\\\n]|\\[^\n])*'")
_NUMBER = re.compile(
    r"[+-]?(?:0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]+)?"
    r"|0[oO][0-7_]*|0[bB][01_]*|[0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]+)?)i?"
)
_SINGLE = {
    "|": Kind.PIPE,
    "=": Kind.ASSIGN,
}


class _Wrong(ValueError):
    """What is wrong at the current place."""


def items_of(source: str) -> Iterator[Item]:
    """Yield the items, END last; an ERROR item ends them early."""
    return _Lexer(source).items()


class _Lexer:
    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0
        self._line = 1
        self._depth = 0

    def items(self) -> Iterator[Item]:
        try:
            while True:
                left = self._source.find("{{", self._at)
                if left < 0:
                    if self._at < len(self._source):
                        yield self._item(Kind.TEXT, len(self._source))
                    yield self._item(Kind.END, self._at)
                    return
                yield from self._text(left)
                if self._skip_comment():
                    continue
                yield self._item(Kind.LEFT, self._at + 2)
                if self._trims_left(self._at):
                    self._move(self._at + 2)
                yield from self._action()
        except _Wrong as wrong:
            yield Item(Kind.ERROR, str(wrong), self._at, self._line)

    def _item(self, kind: Kind, end: int) -> Item:
        item = Item(kind, self._source[self._at : end], self._at, self._line)
        self._move(end)
        return item

    def _move(self, end: int) -> None:
        self._line += self._source.count("\n", self._at, end)
        self._at = end

    def _trims_left(self, at: int) -> bool:
        source = self._source
        return source[at : at + 1] == "-" and source[at + 1 : at + 2] in set(_BLANKS)

    def _text(self, left: int) -> Iterator[Item]:
        """Yield the text before an action, less what its marker trims."""
        end = left
        if self._trims_left(left + 2):
            end = self._at + len(self._source[self._at : left].rstrip(_BLANKS))
        if end > self._at:
            yield self._item(Kind.TEXT, end)
        self._move(left)

    def _skip_comment(self) -> bool:
        source = self._source
        start = self._at + 2
        if self._trims_left(start):
            start += 2
        if not source.startswith("/*", start):
            return False
        end = source.find("*/", start)
        if end < 0:
            raise _Wrong("unclosed comment")
        close = self._right_at(end + 2)
        if close is None:
            raise _Wrong("comment ends before closing delimiter")
        self._move(close)
        return True

    def _right_at(self, at: int) -> int | None:
        """Return where text goes on if a right delimiter is here."""
        source = self._source
        if source.startswith("}}", at):
            return at + 2
        if source[at : at + 1] in set(_BLANKS) and source.startswith("-}}", at + 1):
            end = at + 4
            while source[end : end + 1] in set(_BLANKS):
                end += 1
            return end
        return None

    def _action(self) -> Iterator[Item]:
        self._depth = 0
        while True:
            close = self._right_at(self._at)
            if close is not None:
                if self._depth:
                    raise _Wrong("unclosed left paren")
                yield Item(Kind.RIGHT, "}}", self._at, self._line)
                self._move(close)
                return
            if self._at >= len(self._source):
                raise _Wrong("unclosed action")
            yield self._inside()

    def _inside(self) -> Item:  # noqa: C901 - one case a kind of item
        source, at = self._source, self._at
        char = source[at]
        space = _SPACE.match(source, at)
        if space is not None:
            end = space.end()
            # The blank before a trim marker belongs to the marker.
            if source.startswith("-}}", end):
                end -= 1
            return self._item(Kind.SPACE, end)
        if char == ":":
            if source[at + 1 : at + 2] != "=":
                raise _Wrong("expected :=")
            return self._item(Kind.DECLARE, at + 2)
        if char in _SINGLE:
            return self._item(_SINGLE[char], at + 1)
        if char in "\"'`":
            return self._quoted(char)
        if char == "$" or (char == "." and not source[at + 1 : at + 2].isdigit()):
            return self._field(char)
        if char in "+-." or char.isdigit():
            return self._number()
        if char == "_" or char.isalnum():
            return self._word()
        if char in "()":
            return self._parenthesis(char)
        if char.isascii() and char.isprintable():
            return self._item(Kind.CHAR, at + 1)
        raise _Wrong(f"unrecognized character in action: {_code(char)}")

    def _quoted(self, quote: str) -> Item:
        source, at = self._source, self._at
        if quote == "`":
            end = source.find("`", at + 1)
            if end < 0:
                raise _Wrong("unterminated raw quoted string")
            return self._item(Kind.STRING, end + 1)
        if quote == '"':
            match, kind, name = _STRING.match(source, at), Kind.STRING, "quoted string"
        else:
            match, kind = _CHAR.match(source, at), Kind.CHAR_CONSTANT
            name = "character constant"
        if match is None:
            raise _Wrong(f"unterminated {name}")
        return self._item(kind, match.end())

    def _field(self, char: str) -> Item:
        if self._is_terminator(self._at + 1):
            kind = Kind.VARIABLE if char == "$" else Kind.DOT
            return self._item(kind, self._at + 1)
        word = _WORD.match(self._source, self._at + 1)
        end = self._at + 1 if word is None else word.end()
        self._check_terminator(end)
        return self._item(Kind.VARIABLE if char == "$" else Kind.FIELD, end)

    def _number(self) -> Item:
        match = _NUMBER.match(self._source, self._at)
        assert match is not None
        end = match.end()
        after = self._source[end : end + 1]
        if after == "_" or after.isalnum():
            text = self._source[self._at : end + 1]
            raise _Wrong(f'bad number syntax: "{text}"')
        return self._item(Kind.NUMBER, max(end, self._at + 1))

    def _word(self) -> Item:
        match = _WORD.match(self._source, self._at)
        assert match is not None
        word = match.group()
        self._check_terminator(match.end())
        if word in KEYWORDS:
            kind = Kind.KEYWORD
        elif word in {"true", "false"}:
            kind = Kind.BOOL
        else:
            kind = Kind.NIL if word == "nil" else Kind.IDENTIFIER
        return self._item(kind, match.end())

    def _parenthesis(self, char: str) -> Item:
        if char == "(":
            self._depth += 1
            return self._item(Kind.LEFT_PARENTHESIS, self._at + 1)
        if not self._depth:
            raise _Wrong("unexpected right paren")
        self._depth -= 1
        return self._item(Kind.RIGHT_PARENTHESIS, self._at + 1)

    def _is_terminator(self, at: int) -> bool:
        after = self._source[at : at + 1]
        return (
            after == "" or after in " \t\r\n.,|:()" or self._source.startswith("}}", at)
        )

    def _check_terminator(self, at: int) -> None:
        if not self._is_terminator(at):
            raise _Wrong(f"bad character {_code(self._source[at])}")


def _code(char: str) -> str:
    shown = f" '{char}'" if char.isprintable() else ""
    return f"U+{ord(char):04X}{shown}"
