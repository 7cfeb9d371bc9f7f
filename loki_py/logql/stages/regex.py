"""Regular expressions on columns, with RE2's meaning.

Patterns run in the engine that is faster on columns (Rust's) where their
syntax means the same in both, and in RE2 itself everywhere else.
"""

import re
from collections.abc import Mapping

import numpy as np
import polars as pl
import pyarrow.compute as pc

from loki_py.logql.exec.frame import Mask

# What may stand in a pattern that both engines read alike, after translation.
# Everything else, such as \pN, \Q…\E, \C, nested classes or set operations in
# a class, goes to RE2.
_TOKEN = re.compile(
    r"""
    (?P<class>\[\^?\]?(?:[^\[\]\\&~\-]|-(?!-)|\\[dws.\-\[\]\\/+*?(){}|^$]|\\[nrtfv]
               |\[:\^?[a-z]+:\])*\])
  | (?P<perl>\\[dDwWsS])
  | (?P<boundary>\\[bB])
  | (?P<escape>\\[nrtfvAz]|\\[-.+*?()|\[\]{}^$\\/"'=,:;<>@!%&\#~`_\ ])
  | (?P<repeat>\{\d{1,3}(?:,\d{0,3})?\})
  | (?P<group>\((?:(?!\?)|\?(?:[ims]*(?:-[ims]+)?:|[ims]+\)|P<[A-Za-z_]\w*>)))
  | (?P<plain>[^\\\[\](){}])
  | (?P<close>\))
    """,
    re.VERBOSE,
)
_PERL = {
    "d": "0-9",
    "w": "0-9A-Za-z_",
    "s": r"\t\n\f\r ",
}


def rust_pattern(pattern: str) -> str | None:
    """Return a pattern that means in Rust what `pattern` means in RE2, or None."""
    out = []
    at = 0
    while at < len(pattern):
        token = _TOKEN.match(pattern, at)
        if token is None:
            return None
        at = token.end()
        translated = _translated(token.lastgroup or "", token.group())
        if translated is None:
            return None
        out.append(translated)
    return "".join(out)


def _translated(kind: str, text: str) -> str | None:
    match kind:
        case "class":
            body = re.sub(r"\\([dws])", lambda m: _PERL[m[1]], text)
            # Inside a class a "]" that comes first is a literal in both.
            return None if "&&" in body or "~~" in body else body
        case "perl":
            inverted = "^" if text[1].isupper() else ""
            return f"[{inverted}{_PERL[text[1].lower()]}]"
        case "boundary":
            return f"(?-u:{text})" if text == r"\b" else None
        case "escape" if text[1] in "\"'=,:;<>@!%`_ /":
            return text[1]
        case _:
            return text


class Regex:
    """One checked RE2 pattern, to be searched in columns."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self._rust = rust_pattern(pattern)

    def found_in(self, values: pl.Series) -> Mask:
        """Return where the pattern matches somewhere in the value; null is false."""
        if self._rust is not None:
            try:
                found = values.str.contains(self._rust, strict=True)
            except pl.exceptions.ComputeError:
                # The engines differ in how large a compiled pattern may be.
                self._rust = None
            else:
                return _mask(found)
        matched = pc.match_substring_regex(values.to_arrow(), self.pattern)
        return np.asarray(matched.fill_null(False))

    def groups_of(
        self, values: pl.Series, groups: Mapping[str, int]
    ) -> dict[str, pl.Series] | None:
        """Return named groups of each value's first match, null where unmatched.

        None where the pattern must run in RE2 itself, line by line.
        """
        if self._rust is None:
            return None
        if not groups:
            return {}
        try:
            if len(groups) == 1:
                ((name, index),) = groups.items()
                return {name: values.str.extract(self._rust, index)}
            found = values.str.extract_groups(self._rust)
        except pl.exceptions.ComputeError:
            return None
        return {name: found.struct.field(name) for name in groups}


def anchored(pattern: str) -> Regex:
    """Return the pattern as label matchers read it: whole value, `.` is anything."""
    return Regex(f"(?s)^(?:{pattern})$")


def _mask(found: pl.Series) -> Mask:
    if found.null_count():
        found = found.fill_null(value=False)
    return found.to_numpy()


def contains(values: pl.Series, needle: str) -> Mask:
    """Return where the value contains the needle; null is false."""
    return _mask(values.str.contains(needle, literal=True))
