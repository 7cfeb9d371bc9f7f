"""Read the members of a JSON object as leniently as Loki does, one line at a time.

Used where columns do not do: for all labels of a line, and for lines that the
column-wise readers do not vouch for. Strictness would differ from Loki: bytes
after the closing brace are ignored, numbers are taken as they stand, and what
precedes an error is kept.
"""

import re
from collections.abc import Callable, Iterator, Sequence

OBJECT_OPEN = "Value looks like object, but can't find closing '}' symbol"
ARRAY_OPEN = "Value is array, but can't find closing ']' symbol"
STRING_OPEN = "Value is string, but can't find closing '\"' symbol"
MALFORMED = "Malformed JSON error"
UNKNOWN = "Unknown value type"
BAD_ESCAPE = "Encountered an invalid escape sequence in a string"

DEPTH_MAX = 100
"""Objects nested deeper are not looked into."""

_SPACE = re.compile(r"[ \t\r\n]*")
_STRING_REST = re.compile(r'[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_SCALAR = re.compile(r"[^ \t\r\n,}\]]*")
_BRACKET = re.compile(r'["{}\[\]]')
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.|$)", re.DOTALL)
_SHORT = {
    '"': '"',
    "\\": "\\",
    "/": "/",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
}
_MEMBER = re.compile(
    r'"([^"\\]*)"[ \t\r\n]*:[ \t\r\n]*'
    r'(?:"([^"\\]*)"|(-?[0-9][^ \t\r\n,}\]]*|true|false|null))'
    r"[ \t\r\n]*(?:,[ \t\r\n]*|(?=\}))"
)

Member = tuple[str, str, str]
"""(key, kind, raw text): kind is one of `" { [ n 0 t`, text without quotes."""


class JsonInvalid(ValueError):
    """Not the JSON that Loki reads; the message is Loki's."""


def members(text: str, at: int = 0) -> Iterator[Member]:
    """Yield the members of the object at `at`, then raise where it goes wrong.

    Raises: JsonInvalid.
    """
    at = _skip(text, at)
    if at >= len(text) or text[at] != "{":
        raise JsonInvalid(OBJECT_OPEN)
    at = _skip(text, at + 1)
    if at >= len(text):
        raise JsonInvalid(MALFORMED)
    while at < len(text):
        if text[at] == "}":
            return
        quick = _MEMBER.match(text, at)
        if quick is not None:
            key, string, scalar = quick.groups()
            yield (key, '"', string) if scalar is None else (key, scalar[0], scalar)
            at = quick.end()
            continue
        member, at = _member(text, at)
        yield member
        at = _skip(text, at)
        if at >= len(text):
            raise JsonInvalid(ARRAY_OPEN)
        if text[at] == "}":
            return
        if text[at] != ",":
            raise JsonInvalid(OBJECT_OPEN)
        at = _skip(text, at + 1)
        if at >= len(text):
            raise JsonInvalid(ARRAY_OPEN)
    raise JsonInvalid(OBJECT_OPEN)


def _member(text: str, at: int) -> tuple[Member, int]:
    """Return the member at `at` and where its value ends."""
    if text[at] != '"':
        raise JsonInvalid(OBJECT_OPEN)
    end = _string_end(text, at + 1)
    if end < 0:
        raise JsonInvalid(MALFORMED)
    key = text[at + 1 : end - 1]
    if "\\" in key:
        unescaped = unescape(key)
        if unescaped is None:
            raise JsonInvalid(BAD_ESCAPE)
        key = unescaped
    at = _skip(text, end)
    if at >= len(text) or text[at] != ":":
        raise JsonInvalid(MALFORMED)
    kind, value, end = value_at(text, at + 1)
    return (key, kind, value), end


def value_at(text: str, at: int) -> tuple[str, str, int]:
    """Return kind, raw text and end of the value at `at`.

    Raises: JsonInvalid.
    """
    at = _skip(text, at)
    if at >= len(text):
        raise JsonInvalid(MALFORMED)
    kind = text[at]
    if kind == '"':
        end = _string_end(text, at + 1)
        if end < 0:
            raise JsonInvalid(STRING_OPEN)
        return kind, text[at + 1 : end - 1], end
    if kind in "{[":
        end = _block_end(text, at)
        if end < 0:
            raise JsonInvalid(OBJECT_OPEN if kind == "{" else ARRAY_OPEN)
        return kind, text[at:end], end
    scalar = _SCALAR.match(text, at)
    assert scalar is not None
    value = scalar.group()
    if value in {"true", "false", "null"} or kind in "-0123456789":
        return kind, value, scalar.end()
    raise JsonInvalid(UNKNOWN)


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    assert found is not None
    return found.end()


def _string_end(text: str, at: int) -> int:
    found = _STRING_REST.match(text, at)
    return found.end() if found is not None else -1


def _block_end(text: str, at: int) -> int:
    """Return the end of the bracketed block, -1 where it does not end.

    Only brackets of the block's own kind count, as in Loki.
    """
    opening = text[at]
    closing = "}" if opening == "{" else "]"
    level = 0
    while True:
        found = _BRACKET.search(text, at)
        if found is None:
            return -1
        at = found.end()
        char = found.group()
        if char == '"':
            at = _string_end(text, at)
            if at < 0:
                return -1
        elif char == opening:
            level += 1
        elif char == closing:
            level -= 1
            if level == 0:
                return at


def unescape(text: str) -> str | None:
    """Return a JSON string's meaning, None where an escape is invalid."""
    if "\\" not in text:
        return text
    try:
        out = _ESCAPE.sub(_unescaped, text)
        if any(0xD800 <= ord(char) < 0xE000 for char in out):
            out = out.encode("utf-16", "surrogatepass").decode("utf-16")
    except (KeyError, UnicodeDecodeError):
        return None
    return out


def _unescaped(match: "re.Match[str]") -> str:
    body = match[1]
    if len(body) == 5:
        return chr(int(body[1:], 16))
    return _SHORT[body]


def flatten(text: str, put: Callable[[str, str], bool]) -> None:
    """Put each scalar of a line's object, nested keys joined with `_`.

    Args:
        put: takes (raw key, value); true where nothing more is needed.

    Raises: JsonInvalid.
    """
    _flatten(text, "", put, 0)


def _flatten(
    text: str, prefix: str, put: Callable[[str, str], bool], depth: int
) -> bool:
    for key, kind, value in members(text):
        name = sanitized(key, first=not prefix)
        if prefix:
            name = f"{prefix}_{name}"
        if kind == "{":
            if depth < DEPTH_MAX and _flatten(value, name, put, depth + 1):
                return True
            continue
        if kind in "[n" or not name:
            continue
        if put(name, unescape(value) or "" if kind == '"' else value):
            return True
    return False


_NAMES: dict[tuple[str, bool], str] = {}
_NAMES_MAX = 10_000
_NOT_NAME = re.compile(r"[^a-zA-Z0-9_]")


def sanitized(key: str, *, first: bool = True) -> str:
    """Return the label name that a key becomes, "" where it becomes none.

    Args:
        first: whether the key begins the name, where a digit may not.
    """
    known = _NAMES.get((key, first))
    if known is not None:
        return known
    name = key.strip()
    if name and first and name[0] in "0123456789":
        name = "_" + name
    name = _NOT_NAME.sub("_", name)
    if len(_NAMES) < _NAMES_MAX:
        _NAMES[key, first] = name
    return name


def value_of(text: str, path: Sequence[str | int]) -> str:
    """Return the value at a path, "" where there is none.

    What is broken beside the path does not matter, nor what is broken on it
    before its end: then there is no value.

    Raises: JsonInvalid where the value itself is broken.
    """
    at = 0
    for step in path:
        at = _skip(text, at)
        opening = text[at : at + 1]
        try:
            if isinstance(step, int):
                at = _place_of_element(text, at + 1, step) if opening == "[" else -1
            else:
                at = _place_of_field(text, at + 1, step) if opening == "{" else -1
        except JsonInvalid:
            return ""
        if at < 0:
            return ""
    kind, raw, _ = value_at(text, at)
    if kind == "n":
        return ""
    return (unescape(raw) or "") if kind == '"' else raw


def _place_of_field(text: str, at: int, key: str) -> int:
    """Return where the field's value begins in the object, -1 where nowhere."""
    while True:
        at = _skip(text, at)
        if text[at : at + 1] != '"':
            return -1
        end = _string_end(text, at + 1)
        name = text[at + 1 : end - 1] if end > 0 else ""
        colon = _skip(text, end) if end > 0 else len(text)
        if text[colon : colon + 1] != ":":
            return -1
        if (unescape(name) if "\\" in name else name) == key:
            return colon + 1
        _, _, at = value_at(text, colon + 1)
        at = _skip(text, at)
        if text[at : at + 1] != ",":
            return -1
        at += 1


def _place_of_element(text: str, at: int, index: int) -> int:
    """Return where an array's element begins, -1 where nowhere."""
    while True:
        at = _skip(text, at)
        if at >= len(text) or text[at] == "]":
            return -1
        if index == 0:
            return at
        _, _, at = value_at(text, at)
        at = _skip(text, at)
        if text[at : at + 1] != ",":
            return -1
        at += 1
        index -= 1
