"""Line patterns: literals and captures, for `| pattern`, `|>` and `!>`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

_CAPTURE = re.compile(r"<([a-zA-Z_][a-zA-Z0-9_]*)>")


class PatternInvalid(ValueError):
    """A pattern that breaks a rule; the message is Loki's."""


@dataclass(frozen=True, slots=True)
class Capture:
    """`<name>`, or `<_>` which matches and forgets.

    Attributes:
        name: None for `<_>`.
    """

    name: str | None

    def __str__(self) -> str:
        return f"<{self.name or '_'}>"


PATTERN_CHARS_MAX = 16_384
"""Longer patterns are refused before they are taken apart."""

PatternPart: TypeAlias = str | Capture
"""A literal (never empty) or a capture."""


def parse_pattern(text: str) -> tuple[PatternPart, ...]:
    """Return the parts of a `| pattern` stage.

    No two captures are neighbours, names are unique, and there is at least one.

    Raises: PatternInvalid.
    """
    parts = _parts_of(text)
    names = [part.name for part in parts if isinstance(part, Capture) and part.name]
    if not names:
        raise PatternInvalid("at least one capture is required")
    _check_neighbours(parts)
    seen = set()
    for name in names:
        if name in seen:
            raise PatternInvalid(f"duplicate capture name ({name}): invalid expression")
        seen.add(name)
    return parts


def parse_line_pattern(text: str) -> tuple[PatternPart, ...]:
    """Return the parts of a `|>` or `!>` filter; captures have no names.

    The empty pattern has no parts.

    Raises: PatternInvalid.
    """
    parts = _parts_of(text)
    _check_neighbours(parts)
    for part in parts:
        if isinstance(part, Capture) and part.name:
            raise PatternInvalid(f"named captures are not allowed: found '{part}'")
    return parts


def _parts_of(text: str) -> tuple[PatternPart, ...]:
    if len(text) > PATTERN_CHARS_MAX:
        raise PatternInvalid(
            f"{len(text)} characters; limit is {PATTERN_CHARS_MAX}: invalid expression"
        )
    parts: list[PatternPart] = []
    for index, piece in enumerate(_CAPTURE.split(text)):
        if index % 2:
            parts.append(Capture(None if piece == "_" else piece))
        elif piece:
            parts.append(piece)
    return tuple(parts)


def _check_neighbours(parts: Sequence[PatternPart]) -> None:
    for left, right in pairwise(parts):
        if isinstance(left, Capture) and isinstance(right, Capture):
            raise PatternInvalid(
                f"found consecutive capture '{left}{right}': invalid expression"
            )
