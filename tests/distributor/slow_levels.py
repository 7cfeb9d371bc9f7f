"""The level of one line, in the plainest way: what the fast kernels must equal."""

import json

from loki_py.distributor.level_words import (
    AFTER_WORD,
    BEFORE_WORD,
    CODE_OF_VALUE,
    CODE_OF_WORD,
    LEVELS,
)

NAMES = [
    "level", "LEVEL", "Level", "log.level", "severity", "SEVERITY", "Severity",
    "SeverityText", "lvl", "LVL", "Lvl", "severity_text", "Severity_Text",
    "SEVERITY_TEXT",
]  # fmt: skip


def level_of(line, names=NAMES, depth_max=2):
    """Return the level of a line."""
    text = line.strip()
    if text.startswith("{") and text.endswith("}"):
        value = _json_value(line, names, depth_max)
    else:
        value = _logfmt_value(line.encode(), names)
    code = CODE_OF_VALUE.get((value or b"").lower())
    return LEVELS[code if code is not None else _text_code(line.encode())]


def _json_value(line, names, depth_max):
    def walk(document, depth):
        for key, value in document.items():
            if isinstance(value, str) and key in names:
                return value.encode(errors="replace")
            if isinstance(value, dict) and (not depth_max or depth < depth_max):
                found = walk(value, depth + 1)
                if found is not None:
                    return found
        return None

    try:
        return walk(json.loads(line), 1)
    except json.JSONDecodeError:
        return None


def _logfmt_value(line, names):
    folded = list(dict.fromkeys(name.lower().encode() for name in names))
    best = None
    in_quotes = escaped = False
    for at in range(len(line)):
        begins = at == 0 or line[at - 1] <= 0x20
        for rank, name in enumerate(folded):
            if (
                begins
                and not in_quotes
                and line[at : at + len(name)].lower() == name
                and line[at + len(name) : at + len(name) + 1] == b"="
                and (best is None or rank < best[0])
            ):
                best = (rank, _value(line[at + len(name) + 1 :]))
        if line[at : at + 1] == b'"' and not escaped:
            in_quotes = not in_quotes
        escaped = line[at : at + 1] == b"\\" and not escaped
    return best and best[1]


def _value(rest):
    if rest[:1] == b'"':
        return rest[1:].split(b'"')[0]
    for end, byte in enumerate(rest):
        if byte <= 0x20:
            return rest[:end]
    return rest


def _text_code(line):
    low = line.lower()
    for at in range(len(low)):
        for word, code in CODE_OF_WORD.items():
            end = at + len(word)
            if (
                low[at:end] == word
                and (at == 0 or low[at - 1] in BEFORE_WORD)
                and (end == len(low) or low[end] in AFTER_WORD)
            ):
                return code
    return 0
