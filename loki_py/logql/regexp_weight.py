"""What a regular expression costs to compile, told from its text.

RE2 copies what is repeated and knows some hundred ranges of letters: a few bytes can
cost it a second, and the event loop with it. The weight is about the number of its
instructions, rounded up; so what is too dear is refused before it is compiled.

Pure.
"""

import re

WEIGHT_MAX = 262_144
"""What all regular expressions of a query may weigh together: 20 ms on a slow core."""

_DOT = 16
"""`.` stands for every form that a character has in UTF-8."""

_CLASS = 2_000
"""`\\pL` and the like."""

_REPEATED_MAX = 1_000
"""RE2 refuses more by itself."""

# A Unicode class with its own repetition, or the repetition of something else.
_COSTLY = re.compile(
    r"\\[pP](?:\{\^?\w{0,40}\}|\w)(\{(?P<of_class>\d{1,4})(?:,(?P<to>\d{0,4}))?\})?"
    r"|(?P<group>\))?\{(?P<least>\d{1,4})(?:,(?P<most>\d{0,4}))?\}"
)


def weight_of(pattern: str) -> int:
    """Return about how many instructions the pattern has at most."""
    weight = len(pattern) + _DOT * pattern.count(".")
    copies = 1
    for found in _COSTLY.finditer(pattern):
        if found["least"] is None:
            weight += _CLASS * _count(found["of_class"], found["to"])
        elif found["group"] is None:
            weight += _count(found["least"], found["most"])
        elif copies < _REPEATED_MAX:
            # Groups may stand in each other, and then their copies multiply.
            copies *= _count(found["least"], found["most"])
    return weight * min(copies, _REPEATED_MAX)


def _count(least: str | None, most: str | None) -> int:
    return max(1, int(least or 1), int(most or 1))
