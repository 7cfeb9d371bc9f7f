"""Label sets: the identity of a stream."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import mmh3

NAME_PATTERN = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_PLAIN = re.compile(r'[^"\\\x00-\x1f\x7f-\U0010ffff]*')
_SHORT_ESCAPES = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    '"': '\\"',
    "\\": "\\\\",
}


def quote(text: str) -> str:
    """Return `text` as Go's %q prints it, the form Loki's clients parse.

    Source: Go's strconv.Quote.
    """
    if _PLAIN.fullmatch(text):
        return f'"{text}"'
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(char: str) -> str:
    short = _SHORT_ESCAPES.get(char)
    if short is not None:
        return short
    code = ord(char)
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    if char.isprintable():
        return char
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


@dataclass(frozen=True)
class LabelSet:
    """An immutable set of label pairs, sorted by name.

    Two streams are the same stream if and only if their tenant and their
    label sets are equal; input order and spacing never matter.

    Attributes:
        pairs: (name, value), sorted by name, names unique, values not empty.
    """

    pairs: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, labels: Mapping[str, str] | Iterable[tuple[str, str]]) -> "LabelSet":
        """Return the label set of `labels`; empty values mean "no label"."""
        items = labels.items() if isinstance(labels, Mapping) else labels
        return cls(tuple(sorted((name, value) for name, value in items if value)))

    @cached_property
    def text(self) -> str:
        """The canonical text, `{a="1", b="2"}`; equal sets have equal texts."""
        return "{" + ", ".join(f"{k}={quote(v)}" for k, v in self.pairs) + "}"

    @cached_property
    def as_dict(self) -> dict[str, str]:
        """The pairs by name; the caller must not change it."""
        return dict(self.pairs)

    @cached_property
    def fingerprint(self) -> int:
        """64-bit hash of the canonical text, unsigned; it can collide."""
        low, _ = mmh3.hash64(self.text.encode(), signed=False)
        return low

    def get(self, name: str) -> str:
        """Return the label's value, "" where the label is missing."""
        return self.as_dict.get(name, "")

    def __str__(self) -> str:
        return self.text

    def __hash__(self) -> int:
        return self.fingerprint


def token_of(tenant: str, labels: LabelSet) -> int:
    """Return where a stream lies on the ring, an unsigned 32-bit number.

    The printed label set is hashed, not its pairs as they came: clients send
    the same labels in any order, and one stream must have one owner.
    """
    return mmh3.hash(f"{tenant}/{labels.text}".encode(), signed=False)
