"""Regular expressions: RE2, with Go's words for what is wrong with them."""

import re

import re2

from loki_py.logql.regexp_weight import WEIGHT_MAX, weight_of

_PROGRAM_BYTES_MAX = 4 << 20
"""What RE2 may use for one: it gives up on what is larger within 25 ms."""

_DEAR_PROGRAM_BYTES_MAX = 16 << 10
_DEAR_CHARS_MAX = 1_000
"""The same for a short one that is refused in any case: that takes 15 ms at most."""

_TOO_LARGE = "expression too large"

# RE2's reasons in C++ and in Go; the offending piece is the same but for one.
_GO_REASONS = {
    "missing )": "missing closing )",
    "missing ]": "missing closing ]",
    "unexpected )": "unexpected )",
    "bad repetition operator": "invalid nested repetition operator",
    "no argument for repetition operator": "missing argument to repetition operator",
    "invalid repetition size": "invalid repeat count",
    "invalid named capture group": "invalid named capture",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "invalid UTF-8": "invalid UTF-8",
    "trailing \\": "trailing backslash at end of expression",
    "pattern too large - compile failed": _TOO_LARGE,
}
_NO_PIECE = {"trailing backslash at end of expression"}
_LOOKBEHIND = re.compile(r"\(\?<[=!]")
# Skips escapes and classes; what is left of interest are named groups.
_NAMED_GROUP = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?P?<([^>]*)>", re.DOTALL)


class RegexpInvalid(ValueError):
    """A pattern that RE2 refuses; the message is Go's."""


def compile_regexp(pattern: str) -> "re2._Regexp":
    """Return the compiled pattern; matching takes time linear in the text.

    Raises: RegexpInvalid.
    """
    if weight_of(pattern) > WEIGHT_MAX:
        if len(pattern) <= _DEAR_CHARS_MAX:
            # With so little memory RE2 says what is wrong with it, or that it is large.
            _compiled(pattern, program_bytes_max=_DEAR_PROGRAM_BYTES_MAX)
        raise RegexpInvalid(f"error parsing regexp: {_TOO_LARGE}: ``")
    return _compiled(pattern, program_bytes_max=_PROGRAM_BYTES_MAX)


def _compiled(pattern: str, *, program_bytes_max: int) -> "re2._Regexp":
    options = re2.Options()
    options.log_errors = False
    options.max_mem = program_bytes_max
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        raise RegexpInvalid(_message(pattern, error)) from None


def group_names(pattern: str) -> list[str]:
    """Return the names of the pattern's groups in order, repeats included."""
    return [name for name in _NAMED_GROUP.findall(pattern) if name]


def _message(pattern: str, error: Exception) -> str:
    raw = error.args[0]
    text = raw.decode(errors="replace") if isinstance(raw, bytes) else str(raw)
    reason, _, piece = text.partition(": ")
    reason = _GO_REASONS.get(reason, reason)
    lookbehind = _LOOKBEHIND.search(pattern)
    if lookbehind and piece == lookbehind.group():
        # Go takes `(?<` for the start of a name.
        rest = pattern[lookbehind.start() :]
        head, bracket, _ = rest.partition(">")
        reason, piece = "invalid named capture", head + bracket
    suffix = "``" if reason in _NO_PIECE else f"`{piece}`"
    return f"error parsing regexp: {reason}: {suffix}"
