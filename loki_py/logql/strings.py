"""String literals: Go's quoting rules, both ways."""

import re

# Everything of a double-quoted literal up to its end or its first mistake.
QUOTED_PREFIX = re.compile(
    r'"(?:[^"\\\n]+|\\(?:[abfnrtv\\"]|[0-7]{3}|x[0-9a-fA-F]{2}'
    r"|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}))*"
)
CHAR_PREFIX = re.compile(
    r"'(?:[^'\\\n]|\\(?:[abfnrtv\\']|[0-7]{3}|x[0-9a-fA-F]{2}"
    r"|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}))*"
)
_ESCAPE = re.compile(
    rb"\\(?:([abfnrtv\\\"'])|([0-7]{3})|x(..)|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))"
)
_SHORT = {
    b"a": b"\a",
    b"b": b"\b",
    b"f": b"\f",
    b"n": b"\n",
    b"r": b"\r",
    b"t": b"\t",
    b"v": b"\v",
}


class StringInvalid(ValueError):
    """A literal whose escapes stand for nothing; the message is Go's."""


def unquote(literal: str) -> str:
    """Return the text of a literal with its quotes.

    Escaped bytes that are not UTF-8 become U+FFFD.

    Raises: StringInvalid.
    """
    body = literal[1:-1]
    if literal[0] == "`":
        return body.replace("\r", "")
    if "\\" not in body:
        return body
    return _ESCAPE.sub(_unescaped, body.encode()).decode(errors="replace")


def _unescaped(match: "re.Match[bytes]") -> bytes:
    short, octal, byte, *points = match.groups()
    if short is not None:
        return _SHORT.get(short, short)
    if octal is not None or byte is not None:
        value = int(octal, 8) if octal is not None else int(byte, 16)
        if value > 0xFF:
            raise StringInvalid("invalid syntax")
        return bytes([value])
    point = int(points[0] or points[1], 16)
    if point > 0x10FFFF or 0xD800 <= point <= 0xDFFF:
        raise StringInvalid("invalid syntax")
    return chr(point).encode()
