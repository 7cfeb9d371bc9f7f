"""Canonical label texts back to label sets; the inverse of `LabelSet.text`."""

import re

from loki_py.errors import CorruptData
from loki_py.model.labels import LabelSet

_PAIR = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"(?:, )?')
_ESCAPE = re.compile(r"\\(?:x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}|[abfnrtv\"\\])")
_SHORT = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    '"': '"', "\\": "\\",
}  # fmt: skip


def labels_of_canonical(text: str) -> LabelSet:
    """Return the label set whose `text` this is.

    Not for what clients write, which may be spaced and ordered freely.

    Raises: CorruptData where no label set prints so.
    """
    if not (text.startswith("{") and text.endswith("}")):
        raise CorruptData(f"label set {text!r} has no braces")
    inner = text[1:-1]
    if "\\" not in inner:
        parts = inner.split('"')
        names = [name.removeprefix(", ")[:-1] for name in parts[0:-1:2]]
        labels = LabelSet(tuple(zip(names, parts[1::2], strict=False)))
    else:
        pairs = ((m[1], _unescaped(m[2])) for m in _PAIR.finditer(inner))
        labels = LabelSet(tuple(pairs))
    if labels.text != text:
        raise CorruptData(f"label set {text!r} is not canonical")
    return labels


def _unescaped(value: str) -> str:
    return _ESCAPE.sub(_char_of, value) if "\\" in value else value


def _char_of(escape: re.Match[str]) -> str:
    body = escape[0][1:]
    return _SHORT.get(body) or chr(int(body[1:], 16))
