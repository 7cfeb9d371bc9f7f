"""Lines to tokens, and patterns of tokens back to text.

A line of JSON is taken for its message; one of `key=value` pairs for its keys
and values; any other is cut at spaces and at punctuation other than `_-.:/`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

WILDCARD = "<_>"
LINE_CHARS_MAX = 3_000
TOKENS_MIN, TOKENS_MAX = 4, 80
LOGFMT_PAIRS_MIN = 2

_TOKEN = re.compile(r"([\w\-.:/]+|[^\w\s])(\s*)")
_PAIR = re.compile(r'([^\s="]++)=("(?:[^"\\]|\\.)*+"|[^\s"]*)(?:\s+|$)')
_TIME_KEYS = {"ts", "t", "time", "timestamp", "traceID"}
_REPEATED = re.compile(r"<_>(?: ?<_>)+")


class _Message(msgspec.Struct, gc=False):
    log: object = None
    message: object = None
    msg: object = None
    msg_: object = None
    _msg: object = None
    content: object = None


_decoder = msgspec.json.Decoder(_Message)


@dataclass(frozen=True, slots=True)
class Tokens:
    """A line in pieces.

    Attributes:
        texts: the pieces.
        after: what stands behind each, "", " " or "=".
    """

    texts: Sequence[str]
    after: Sequence[str]


def tokens_of(line: str) -> Tokens | None:
    """Return the tokens of a line; None where it is too long, short or odd."""
    if len(line) > LINE_CHARS_MAX:
        return None
    if line[:1] == "{":
        message = _message_of(line)
        if message is None:
            return None
        return _bounded(_plain(message))
    pairs = _logfmt(line)
    return _bounded(_plain(line) if pairs is None else pairs)


def text_of(texts: Sequence[str], after: Sequence[str]) -> str:
    """Return the pattern's text; neighbouring wildcards become one."""
    joined = "".join(piece for pair in zip(texts, after, strict=True) for piece in pair)
    return _REPEATED.sub(WILDCARD, joined.strip())


def _message_of(line: str) -> str | None:
    try:
        found = _decoder.decode(line)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return None
    given = (getattr(found, name) for name in _Message.__struct_fields__)
    return next((each for each in given if isinstance(each, str)), None)


def _plain(line: str) -> Tokens:
    found = _TOKEN.findall(line)
    return Tokens(
        [text for text, _ in found], [" " if space else "" for _, space in found]
    )


def _logfmt(line: str) -> Tokens | None:
    """Return keys and values if the line is nothing but pairs."""
    texts: list[str] = []
    at = 0
    # Looked for where the one before ends alone: a search for the next one is
    # quadratic in the length of a word.
    while (pair := _PAIR.match(line, at)) is not None:
        at = pair.end()
        key, value = pair.groups()
        texts += (key, WILDCARD if key in _TIME_KEYS else value)
    if at != len(line) or len(texts) < 2 * LOGFMT_PAIRS_MIN:
        return None
    return Tokens(texts, ["=", " "] * (len(texts) // 2))


def _bounded(tokens: Tokens) -> Tokens | None:
    return tokens if TOKENS_MIN <= len(tokens.texts) <= TOKENS_MAX else None
