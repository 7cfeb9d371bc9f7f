"""The levels a line can have, and the words that spell them."""

import re

LEVELS = (
    "unknown",
    "trace",
    "debug",
    "info",
    "warn",
    "error",
    "critical",
    "fatal",
)
UNKNOWN = 0

_SPELLINGS = {
    "trace": ("trace", "trc"),
    "debug": ("debug", "dbg"),
    "info": ("info", "inf", "information"),
    "warn": ("warn", "wrn", "warning"),
    "error": ("error", "err"),
    "critical": ("critical",),
    "fatal": ("fatal",),
}
CODE_OF_VALUE = {
    word.encode(): LEVELS.index(level)
    for level, words in _SPELLINGS.items()
    for word in words
}
"""What a field's lower-case value means."""

CODE_OF_WORD = {
    word: CODE_OF_VALUE[word]
    for word in (
        b"trace",
        b"debug",
        b"fatal",
        b"critical",
        b"error",
        b"err",
        b"warning",
        b"warn",
        b"info",
    )
}
"""What is looked for in the text of a line that has no level field."""

BEFORE_WORD = b" \t\n[({\"'=|"
"""One of these, or the line's start, stands before a word."""
AFTER_WORD = BEFORE_WORD + b"])}:,!"
"""One of these, or the line's end, stands after it."""

_SEVERITY_NUMBERS = (
    (0, "unknown"),
    (4, "trace"),
    (8, "debug"),
    (12, "info"),
    (16, "warn"),
    (20, "error"),
    (24, "fatal"),
)
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")


def normalised_level(value: str) -> str:
    """Return Loki's name of a level, the value itself where it is none."""
    code = CODE_OF_VALUE.get(value.lower().encode())
    return value if code is None else LEVELS[code]


def level_of_severity_number(value: str) -> str:
    """Return the level of an OpenTelemetry severity number."""
    if not _INTEGER.fullmatch(value):
        return "info"
    number = int(value)
    if number < 0:
        return "unknown"
    for highest, level in _SEVERITY_NUMBERS:
        if number <= highest:
            return level
    return "unknown"
