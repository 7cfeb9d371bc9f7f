"""Split query text into tokens, one at a time.

The rules are those of Go's text/scanner with LogQL's additions: durations and
sizes are one token, `[…]` is one token, and function names are tokens only
where an argument list follows. Tokens are made when asked for, so an error in
the text shows only if nothing before it is wrong. Linear in the text.
"""

import re

from loki_py.errors import QueryInvalid
from loki_py.logql.literals import (
    DURATION_TEXT_MAX,
    LiteralInvalid,
    parse_bytes,
    parse_duration,
    parse_go_duration,
    parse_prometheus_duration,
)
from loki_py.logql.strings import CHAR_PREFIX, QUOTED_PREFIX, StringInvalid, unquote
from loki_py.logql.tokens import FLAGS, FUNCTIONS, SYMBOLS, Kind, Token

_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*|//[^\n]*|/\*(?s:.*?)\*/)*")
_WORD = re.compile(r"[^\W\d]\w*")
_NUMBER = re.compile(
    r"0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9]+)?"
    r"|0[bBoO][0-9_]+"
    r"|(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9_]*)?"
)
_DURATION_TAIL = re.compile(rf"[0-9.nuµμmshdwy]{{1,{DURATION_TEXT_MAX}}}")
_BYTES_TAIL = re.compile(rf"[0-9.BikKMGTP]{{1,{DURATION_TEXT_MAX}}}")
_FLAG = re.compile(r"--[a-z-]+")
_ARGUMENTS = re.compile(r"\s*(?:\(|(?i:by|without)\s*\()")


def error_at(message: str, line: int, column: int) -> QueryInvalid:
    """Return the error that Loki's clients know for a place in the text."""
    if line == 0 and column == 0:
        return QueryInvalid(f"parse error : {message}")
    return QueryInvalid(f"parse error at line {line}, col {column}: {message}")


class Lexer:
    """The tokens of one query text, in order; END for ever after the last."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1
        self._line_start = 0

    def next(self) -> Token:
        """Return the next token.

        Raises: QueryInvalid where the text is not a token.
        """
        self._skip_blank()
        text, start = self._text, self._at
        if start >= len(text):
            return self._end()
        char = text[start]
        if char == "[":
            return self._range(start)
        if char in "\"`'":
            return self._string(start, char)
        word = _WORD.match(text, start)
        if word is not None:
            return self._word(start, word.group())
        number = _NUMBER.match(text, start)
        if number is not None:
            return self._number(start, number.group())
        if char == "-":
            token = self._after_minus(start)
            if token is not None:
                return token
        for length in (2, 1):
            symbol = text[start : start + length]
            kind = SYMBOLS.get(symbol)
            if kind is not None and len(symbol) == length:
                # Two characters are read one ahead, which loses the line.
                return self._token(kind, "", start + length, ahead=length == 2)
        return self._token(Kind.IDENTIFIER, char, start + 1)

    def _skip_blank(self) -> None:
        start = self._at
        match = _BLANK.match(self._text, start)
        assert match is not None
        self._move(match.end())
        if self._text.startswith("/*", self._at):
            raise self._error("comment not terminated")

    def _move(self, end: int) -> None:
        newlines = self._text.count("\n", self._at, end)
        if newlines:
            self._line += newlines
            self._line_start = self._text.rindex("\n", self._at, end) + 1
        self._at = end

    def _token(
        self, kind: Kind, value: str | int, end: int, *, ahead: bool = False
    ) -> Token:
        column = self._at - self._line_start + 1
        token = Token(kind, value, 0 if ahead else self._line, column)
        self._move(end)
        return token

    def _error(self, message: str, *, ahead: bool = False) -> QueryInvalid:
        column = self._at - self._line_start + 1
        return error_at(message, 0 if ahead else self._line, column)

    def _end(self) -> Token:
        if not self._text:
            return Token(Kind.END, "", 0, 0)
        return self._token(Kind.END, "", self._at)

    def _word(self, start: int, word: str) -> Token:
        end = start + len(word)
        name = word.lower()
        function = FUNCTIONS.get(name)
        if function is not None and _ARGUMENTS.match(self._text, end):
            return self._token(function, "", end)
        kind = SYMBOLS.get(name, Kind.IDENTIFIER)
        return self._token(kind, word if kind is Kind.IDENTIFIER else "", end)

    def _string(self, start: int, quote: str) -> Token:
        text = self._text
        if quote == "`":
            end = text.find("`", start + 1)
            if end < 0:
                raise self._error("literal not terminated")
            return self._token(Kind.STRING, unquote(text[start : end + 1]), end + 1)
        prefix = (QUOTED_PREFIX if quote == '"' else CHAR_PREFIX).match(text, start)
        assert prefix is not None
        end = prefix.end()
        if text[end : end + 1] == "\\":
            raise self._error("invalid char escape")
        if text[end : end + 1] != quote:
            raise self._error("literal not terminated")
        literal = text[start : end + 1]
        try:
            value = unquote(literal)
        except StringInvalid as error:
            raise self._error(str(error)) from None
        if quote == '"':
            return self._token(Kind.STRING, value, end + 1)
        if len(value) != 1:
            raise self._error("invalid char literal")
        return self._token(Kind.IDENTIFIER, literal, end + 1)

    def _number(self, start: int, number: str) -> Token:
        fault = _number_fault(number)
        if fault is not None:
            raise self._error(fault)
        end = start + len(number)
        tail = _DURATION_TAIL.match(self._text, end)
        if tail is not None:
            try:
                value = parse_duration(number + tail.group())
            except LiteralInvalid:
                pass
            else:
                return self._token(Kind.DURATION, value, tail.end(), ahead=True)
        tail = _BYTES_TAIL.match(self._text, end)
        if tail is not None:
            try:
                value = parse_bytes(number + tail.group())
            except LiteralInvalid:
                pass
            else:
                return self._token(Kind.BYTES, value, tail.end(), ahead=True)
        return self._token(Kind.NUMBER, number, end)

    def _after_minus(self, start: int) -> Token | None:
        flag = _FLAG.match(self._text, start)
        if flag is not None and flag.group() in FLAGS:
            return self._token(Kind.FLAG, flag.group(), flag.end(), ahead=True)
        tail = _DURATION_TAIL.match(self._text, start + 1)
        # Go reads `-0` as a duration; here it is a number.
        if tail is None or not tail.group().strip("0123456789."):
            return None
        try:
            value = parse_go_duration(f"-{tail.group()}")
        except LiteralInvalid:
            return None
        return self._token(Kind.DURATION, value, tail.end(), ahead=True)

    def _range(self, start: int) -> Token:
        end = self._text.find("]", start)
        if end < 0:
            raise self._error("missing closing ']' in duration", ahead=True)
        try:
            value = parse_prometheus_duration(self._text[start + 1 : end])
        except LiteralInvalid as error:
            raise self._error(str(error), ahead=True) from None
        return self._token(Kind.RANGE, value, end + 1, ahead=True)


def _number_fault(number: str) -> str | None:
    """Return what Go's scanner says against a number, None if it is well formed."""
    lower = number.lower()
    if lower.startswith("0x"):
        return "hexadecimal literal has no digits" if lower == "0x" else None
    if lower.endswith(("e", "e+", "e-")):
        return "exponent has no digits"
    if number.isdigit() and number[0] == "0":
        for digit in number:
            if digit in "89":
                return f"invalid digit '{digit}' in octal literal"
    if "__" in number or number.endswith("_"):
        return "'_' must separate successive digits"
    return None
