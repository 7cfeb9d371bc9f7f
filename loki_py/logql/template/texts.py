"""Text functions of templates; lengths and positions are bytes, as in Go."""

import base64
import binascii
import re
from functools import lru_cache
from urllib.parse import quote_plus, unquote_to_bytes

import re2

from loki_py.logql.regexps import RegexpInvalid, compile_regexp
from loki_py.logql.template.errors import CallFailed
from loki_py.model.labels import quote

TEXT_BYTES_MAX = 4 * 1024 * 1024
"""No function makes a longer text."""

_REGEXPS_MAX = 256
_REFERENCE = re.compile(r"\$(?:(\$)|\{(\w+)\}|(\w+))", re.ASCII)
_BAD_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2}).{0,2}", re.DOTALL)
_LOWER = {"\u0130": "i"}
"""What Unicode has a longer lower case of than Go."""

_BASE64 = re.compile(rb"[A-Za-z0-9+/]*")


def checked_size(size: int) -> int:
    """Return the size of a text to be made.

    Raises: CallFailed beyond TEXT_BYTES_MAX.
    """
    if size > TEXT_BYTES_MAX:
        raise CallFailed(f"text of {size} bytes is longer than {TEXT_BYTES_MAX}")
    return size


def text_slice(text: str, start: int, end: int) -> str:
    """Return bytes [start, end) of the text; half characters become U+FFFD."""
    if text.isascii():
        return text[start:end]
    return text.encode()[start:end].decode(errors="replace")


def truncated(count: int, text: str) -> str:
    """Return the first `count` bytes, or for a negative count the last ones."""
    size = len(text.encode())
    if count < 0 and size + count > 0:
        return text_slice(text, size + count, size)
    return text_slice(text, 0, count) if 0 <= count < size else text


def substring(start: int, end: int, text: str) -> str:
    """Return bytes [start, end); a negative bound stands for the text's own.

    Raises: CallFailed.
    """
    size = len(text.encode())
    if start < 0:
        if not 0 <= end <= size:
            bound = f"[:{end}]" if end < 0 else f"[:{end}] with length {size}"
            raise CallFailed(f"runtime error: slice bounds out of range {bound}")
        return text_slice(text, 0, end)
    if end < 0 or end > size:
        end = size
        if start > size:
            raise CallFailed(
                f"runtime error: slice bounds out of range [{start}:{size}]"
            )
    if start > end:
        raise CallFailed(f"runtime error: slice bounds out of range [{start}:{end}]")
    return text_slice(text, start, end)


def lowered(text: str) -> str:
    """Return the text in lower case, each character for itself."""
    if text.isascii():
        return text.lower()
    return "".join(_LOWER.get(char) or char.lower() for char in text)


def uppered(text: str) -> str:
    """Return the text in upper case; what has no one capital stays as it is."""
    if text.isascii():
        return text.upper()
    return "".join(map(_capital, text))


def _capital(char: str) -> str:
    upper = char.upper()
    return upper if len(upper) == 1 else _title_case(char)


def _title_case(char: str) -> str:
    upper = char.title()
    return upper if len(upper) == 1 else char


def title(text: str) -> str:
    """Return the text with every word's first letter in upper case."""
    parts = []
    after_separator = True
    for char in text:
        parts.append(_title_case(char) if after_separator else char)
        after_separator = not (char == "_" or char.isalnum()) and (
            char.isascii() or char.isspace()
        )
    return "".join(parts)


def repeated(count: int, text: str) -> str:
    """Return the text `count` times.

    Raises: CallFailed.
    """
    if count < 0:
        raise CallFailed("strings: negative Repeat count")
    checked_size(count * len(text.encode()))
    return text * count


def indented(spaces: int, text: str) -> str:
    """Return the text with every line moved right.

    Raises: CallFailed.
    """
    pad = repeated(spaces, " ")
    checked_size(len(text.encode()) + len(pad) * (text.count("\n") + 1))
    return pad + text.replace("\n", f"\n{pad}")


def replaced(text: str, old: str, new: str, count: int) -> str:
    """Return the text with the first `count` of `old` replaced; all if negative.

    Raises: CallFailed.
    """
    found = text.count(old) if old else len(text) + 1
    if count >= 0:
        found = min(found, count)
    checked_size(len(text.encode()) + found * len(new.encode()))
    return text.replace(old, new, count)


def aligned_left(count: int, text: str) -> str:
    """Return exactly `count` characters: the first, or all and spaces after."""
    if count < 0 or count == len(text):
        return text
    return text[:count].ljust(checked_size(count))


def aligned_right(count: int, text: str) -> str:
    """Return exactly `count` characters: the last, or spaces and all."""
    if count < 0 or count == len(text):
        return text
    return text[max(0, len(text) - count) :].rjust(checked_size(count))


def url_escaped(text: str) -> str:
    """Return the text as a query parameter."""
    return quote_plus(text)


def url_unescaped(text: str) -> str:
    """Return what a query parameter stands for.

    Raises: CallFailed.
    """
    bad = _BAD_ESCAPE.search(text)
    if bad is not None:
        raise CallFailed(f"invalid URL escape {quote(bad.group())}")
    return unquote_to_bytes(text.replace("+", " ")).decode(errors="replace")


def base64_encoded(text: str) -> str:
    """Return the text's bytes in base64."""
    return base64.b64encode(text.encode()).decode()


def base64_decoded(text: str) -> str:
    """Return the text of base64, which may lack its padding; or the mistake."""
    padded = text.encode() + b"=" * (-len(text.encode()) % 4)
    try:
        return base64.b64decode(padded, validate=True).decode(errors="replace")
    except binascii.Error:
        good = _BASE64.match(padded)
        at = 0 if good is None else good.end()
        return f"illegal base64 data at input byte {at}"


def regexp_count(pattern: str, text: str) -> int:
    """Return how often the pattern matches.

    Raises: CallFailed.
    """
    return len(_matches(pattern, text))


def regexp_replaced(pattern: str, text: str, replacement: str, *, expands: bool) -> str:
    """Return the text with every match replaced.

    Args:
        expands: whether `$1` and `${name}` stand for groups.

    Raises: CallFailed.
    """
    parts: list[str] = []
    at, size = 0, len(text.encode())
    for match in _matches(pattern, text):
        filled = _expanded(replacement, match) if expands else replacement
        size = checked_size(size + len(filled.encode()))
        parts += [text[at : match.start()], filled]
        at = match.end()
    return "".join([*parts, text[at:]])


def _matches(pattern: str, text: str) -> "list[re2._Match]":
    """Return the matches; an empty one right after another does not count."""
    matches = []
    end = -1
    for match in _compiled(pattern).finditer(text):
        if match.end() != end or match.start() != match.end():
            matches.append(match)
            end = match.end()
    return matches


@lru_cache(maxsize=_REGEXPS_MAX)
def _compiled(pattern: str) -> "re2._Regexp":
    try:
        return compile_regexp(pattern)
    except RegexpInvalid as error:
        raise CallFailed(str(error)) from None


def _expanded(replacement: str, match: "re2._Match") -> str:
    names = match.re.groupindex

    def group(reference: "re.Match[str]") -> str:
        dollar, braced, bare = reference.groups()
        if dollar:
            return "$"
        name = braced or bare
        index = int(name) if name.isdigit() else names.get(name)
        if index is None or index > match.re.groups:
            return ""
        return match.group(index) or ""

    return _REFERENCE.sub(group, replacement)
