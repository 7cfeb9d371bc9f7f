"""Read logfmt pairs as leniently as Loki does, one line at a time."""

import re
from collections.abc import Iterator

from loki_py.logql.stages.json_scan import unescape

_GAP = re.compile(r"[\x00-\x20]*")
_KEY = re.compile(r'[^\x00-\x20="]+')
_BARE = re.compile(r'[^\x00-\x20="]*')
_QUOTED = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL)
_PAIR = re.compile(
    r'([^\x00-\x20="]+)(?:=(?:"([^"\\]*)"|([^\x00-\x20="]*)))?(?:[\x00-\x20]+|$)'
)
_WORD_REST = re.compile(r"[^\x00-\x20]*")


class LogfmtInvalid(ValueError):
    """A malformed pair; the message is Loki's."""


def pairs(text: str, *, strict: bool) -> Iterator[tuple[str, str]]:
    """Yield (key, value); a key without "=" has the empty value.

    Malformed pairs are skipped, unless `strict`.

    Raises: LogfmtInvalid at the first malformed pair, where `strict`.
    """
    at = 0
    while True:
        quick = _PAIR.match(text, at)
        if quick is not None:
            key, quoted, bare = quick.groups()
            yield key, quoted or bare or ""
            at = quick.end()
            continue
        at = _end(_GAP, text, at)
        if at >= len(text):
            return
        key_end = at
        found = _KEY.match(text, at)
        if found is not None:
            key_end = found.end()
        key = text[at:key_end]
        stop = text[key_end : key_end + 1]
        if not key or stop == '"':
            if strict:
                raise _unexpected(text, key_end)
            at = _end(_WORD_REST, text, key_end + (not key))
            continue
        if stop != "=":
            yield key, ""
            at = key_end
            continue
        value, at, wrong = _value(text, key_end + 1)
        if wrong is None:
            yield key, value
        elif strict:
            raise wrong


def _value(text: str, at: int) -> tuple[str, int, LogfmtInvalid | None]:
    """Return the value at `at`, where it ends, and what is wrong with it."""
    if text[at : at + 1] == '"':
        quoted = _QUOTED.match(text, at)
        if quoted is None:
            return "", len(text), _error(text, len(text), "unterminated quoted value")
        value = unescape(quoted[1])
        if value is None:
            return "", quoted.end(), _error(text, quoted.end(), "invalid quoted value")
        return value, quoted.end(), None
    end = _end(_BARE, text, at)
    if text[end : end + 1] in {"=", '"'}:
        return "", _end(_WORD_REST, text, end), _unexpected(text, end)
    return text[at:end], end, None


def _end(pattern: "re.Pattern[str]", text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found is not None else at


def _unexpected(text: str, at: int) -> LogfmtInvalid:
    return _error(text, at, f"unexpected '{text[at]}'")


def _error(text: str, at: int, what: str) -> LogfmtInvalid:
    position = len(text[:at].encode()) + 1
    return LogfmtInvalid(f"logfmt syntax error at pos {position} : {what}")
