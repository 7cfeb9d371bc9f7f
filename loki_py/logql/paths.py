"""Expressions of `| json name="a.b[0]"`: which value of a document is meant."""

import re
from collections.abc import Iterator

_TOKEN = re.compile(
    r"\s*(?:(?P<FIELD>[a-zA-Z_][a-zA-Z0-9_]*)|(?P<INDEX>[0-9]+)"
    r'|"(?P<STRING>[^"]*)"|(?P<LSB>\[)|(?P<RSB>\])|(?P<DOT>\.))'
)
_END = "$end"


class PathInvalid(ValueError):
    """An expression that is no path; the message is Loki's."""


def parse_path(text: str) -> tuple[str | int, ...]:
    """Return the keys (str) and array positions (int) of `a.b["c d"][0]`.

    Raises: PathInvalid.
    """
    tokens = _tokens_of(text)
    kind, value = next(tokens)
    path: list[str | int] = []
    if kind == "FIELD":
        path.append(value)
        kind, value = next(tokens)
    elif kind != "LSB":
        raise _unexpected(text, kind, "LSB or FIELD")
    while kind != _END:
        if kind == "DOT":
            kind, value = next(tokens)
            if kind != "FIELD":
                raise _unexpected(text, kind, "FIELD")
            path.append(value)
        elif kind == "LSB":
            kind, value = next(tokens)
            if kind not in {"STRING", "INDEX"}:
                raise _unexpected(text, kind, "STRING or INDEX")
            path.append(int(value) if kind == "INDEX" else value)
            kind, value = next(tokens)
            if kind != "RSB":
                raise _unexpected(text, kind, "RSB")
        else:
            raise _unexpected(text, kind, "")
        kind, value = next(tokens)
    return tuple(path)


def _tokens_of(text: str) -> Iterator[tuple[str, str]]:
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            char = text[at:].lstrip()[0]
            raise PathInvalid(
                f"cannot parse expression [{text}]: unexpected char {char}"
            )
        assert match.lastgroup is not None
        yield match.lastgroup, match.group(match.lastgroup)
        at = match.end()
    yield _END, ""


def _unexpected(text: str, kind: str, expecting: str) -> PathInvalid:
    tail = f", expecting {expecting}" if expecting else ""
    return PathInvalid(
        f"cannot parse expression [{text}]: syntax error: unexpected {kind}{tail}"
    )
