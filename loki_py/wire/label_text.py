"""Parse the label text of a push, `{app="a", env="b"}`, with Prometheus' errors.

labels := "{" (label ("," label)* ","?)? "}"
label  := name "=" string
name   := [a-zA-Z_] [a-zA-Z0-9_]*
string := Go's "…" and '…' with escapes, or `…` without
"""

import re

from loki_py.errors import BodyTooLarge, ValidationFailed
from loki_py.model.labels import NAME_PATTERN, LabelSet, quote

LABELS_BYTES_MAX = 16 * 1024 * 1024
"""A stream's label text beyond this is refused unread, as Loki does."""

_TOKEN = re.compile(
    r"""[ \t\r\n]*(?:(?P<identifier>[a-zA-Z_][a-zA-Z0-9_]*)|(?P<operator>!=|!~|=~)"""
    r"""|(?P<symbol>[{},=])"""
    r"""|(?P<string>"(?:[^"\\\n]|\\.)*+"|'(?:[^'\\\n]|\\.)*+'|`[^`]*`))""",
    re.DOTALL,
)
_SPACE = re.compile(r"[ \t\r\n]*")
_ESCAPE = re.compile(
    r"(?P<bytes>(?:\\x[0-9a-fA-F]{2}|\\[0-7]{3})+)|\\(?:(?P<short>[abfnrtv\\'\"])"
    r"|u(?P<u>[0-9a-fA-F]{4})|U(?P<U>[0-9a-fA-F]{8})|(?P<bad>.))",
    re.DOTALL,
)
_SHORT = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    "\\": "\\",
    "'": "'",
    '"': '"',
}
_BYTE_ESCAPE = re.compile(r"\\x(..)|\\(...)")


def parse_labels(text: str) -> LabelSet:
    """Return the label set of a label text; empty values mean "no label".

    A name that is given twice stays twice: refusing it is the distributor's.

    Raises: ValidationFailed with Loki's text; BodyTooLarge.
    """
    check_labels_bytes(len(text))
    return LabelSet.of(_Parser(text).pairs())


def labels_of_json(labels: dict[str, str]) -> LabelSet:
    """Return the label set of a JSON push's `stream` object.

    Raises: ValidationFailed with Loki's text where a name is no label name.
    """
    if not all(map(NAME_PATTERN.fullmatch, labels)):
        # Loki prints the object and parses the text, so its errors count
        # columns there.
        printed = (f"{name}={quote(labels[name])}" for name in sorted(labels))
        return parse_labels("{" + ", ".join(printed) + "}")
    return LabelSet.of(labels)


def check_labels_bytes(size_bytes: int) -> None:
    """Raise BodyTooLarge where a stream's label text is larger than any may be."""
    if size_bytes > LABELS_BYTES_MAX:
        raise BodyTooLarge(
            f"request body too large: {size_bytes} bytes, "
            f"limit: {LABELS_BYTES_MAX} bytes"
        )


def check_count(count: int, *, what: str, count_max: int) -> None:
    """Raise BodyTooLarge where a body holds more of something than any may."""
    if count > count_max:
        raise BodyTooLarge(
            f"request body too large: {count} {what}, limit: {count_max} {what}"
        )


class _Parser:
    """One pass over a label text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._start = 0

    def pairs(self) -> list[tuple[str, str]]:
        """Return the pairs as written."""
        self._expect("symbol", "{", where="", expected="")
        pairs = []
        inside = 'identifier or "}"'
        kind, value = self._next()
        while (kind, value) != ("symbol", "}"):
            if kind != "identifier":
                raise self._unexpected(kind, value, expected=inside)
            name = value
            self._expect("symbol", "=", where="label set", expected='"="')
            text = self._expect("string", None, where="label set", expected="string")
            pairs.append((name, self._unquoted(text)))
            kind, value = self._next()
            if (kind, value) == ("symbol", ","):
                kind, value = self._next()
            elif (kind, value) != ("symbol", "}"):
                raise self._unexpected(kind, value, expected='"," or "}"')
        kind, value = self._next(inside=False)
        if kind != "end":
            raise self._unexpected(kind, value, expected="", where="")
        return pairs

    def _next(self, *, inside: bool = True) -> tuple[str, str]:
        found = _TOKEN.match(self._text, self._position)
        if found is not None and found.lastgroup is not None:
            self._start = found.start(found.lastgroup)
            self._position = found.end()
            return found.lastgroup, found[found.lastgroup]
        space = _SPACE.match(self._text, self._position)
        self._start = self._position = space.end() if space else self._position
        if self._position < len(self._text):
            char = self._text[self._position]
            if char in "\"'":
                raise self._error("unterminated quoted string")
            if char == "`":
                raise self._error("unterminated raw string")
            place = " inside braces" if inside else ""
            raise self._error(f"unexpected character{place}: {_quoted_rune(char)}")
        if inside and self._position > 0:
            raise self._error("unexpected end of input inside braces")
        return "end", ""

    def _expect(
        self, kind: str, value: str | None, *, where: str, expected: str
    ) -> str:
        found_kind, found = self._next(inside=bool(where))
        if found_kind != kind or (value is not None and found != value):
            raise self._unexpected(found_kind, found, where=where, expected=expected)
        return found

    def _unexpected(
        self, kind: str, value: str, *, expected: str, where: str = "label set"
    ) -> ValidationFailed:
        text = f"unexpected {_description(kind, value)}"
        if where:
            text += f" in {where}"
        if expected:
            text += f", expected {expected}"
        return self._error(text)

    def _error(self, reason: str) -> ValidationFailed:
        before = self._text[: self._start]
        line = before.count("\n") + 1
        column = len(before[before.rfind("\n") + 1 :].encode()) + 1
        return ValidationFailed(
            f"couldn't parse labels: {line}:{column}: parse error: {reason}"
        )

    def _unquoted(self, text: str) -> str:
        body = text[1:-1]
        if text[0] == "`" or "\\" not in body:
            return body
        return _ESCAPE.sub(self._unescaped, body)

    def _unescaped(self, escape: re.Match[str]) -> str:
        if short := escape["short"]:
            return _SHORT[short]
        if run := escape["bytes"]:
            return _text_of_bytes(run)
        code = int(escape["u"] or escape["U"] or "-1", 16)
        if 0 <= code < 0xD800 or 0xDFFF < code <= 0x10FFFF:
            return chr(code)
        char = escape["bad"] or "u"
        raise self._error(f"unknown escape sequence U+{ord(char):04X} '{char}'")


def _text_of_bytes(run: str) -> str:
    """Return the text that a run of byte escapes spells."""
    return bytes(
        int(hexadecimal, 16) if hexadecimal else int(octal, 8) & 0xFF
        for hexadecimal, octal in _BYTE_ESCAPE.findall(run)
    ).decode(errors="replace")


def _description(kind: str, value: str) -> str:
    if kind == "end":
        return "end of input"
    shown = quote(value) if len(value) <= 10 else quote(value[:10]) + "..."
    if kind == "symbol":
        return shown
    if kind == "operator":
        return f"<op:{value}>"
    return f"{kind} {quote(value) if kind == 'identifier' else shown}"


def _quoted_rune(char: str) -> str:
    """Return the rune as Go's %q prints it."""
    if char == "'":
        return "'\\''"
    return "'" + quote(char)[1:-1].replace('\\"', '"') + "'"
