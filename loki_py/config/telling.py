"""What may be told of wrong values: nothing of what may be secret.

Texts about a configuration reach the log and the console, and a secret is easily
put where it does not belong: in a wrong key, or in a URL.
"""

import re
from collections.abc import Iterator

from pydantic import ValidationError

TOLD_CHARS_MAX = 100
"""A longer text is told by its kind alone, and so is a larger number."""

_TOLD_BITS_MAX = 64

# Every key in which a secret belongs is below one of these.
SECRET_SECTIONS = ("security", "common.storage", "common.ring", "chunk_store_config")

# pydantic's errors about numbers, switches and words: the value helps.
_TOLD = {
    "bool_parsing", "bool_type", "finite_number", "float_parsing", "float_type",
    "greater_than", "greater_than_equal", "int_from_float", "int_parsing",
    "int_parsing_size", "int_type", "less_than", "less_than_equal", "literal_error",
}  # fmt: skip

# About a value that is of the right kind, or is not there.
_ALONE = {"missing", "string_too_short", "too_short", "value_error"}

_CREDENTIALS = re.compile("://.*@", re.DOTALL)


class WrongValue(ValueError):
    """A value that can not be used; its text holds it where it may be told."""

    def __init__(self, text: str, value: object) -> None:
        super().__init__(f"{text}: {told(value)}")
        self.untold = f"{text}: {kind_of(value)}"


def told(value: object) -> str:
    """Return the value as texts may hold it, its kind where it is no short scalar."""
    if isinstance(value, str) and len(value) <= TOLD_CHARS_MAX:
        return without_credentials(repr(value))
    if isinstance(value, int) and value.bit_length() <= _TOLD_BITS_MAX:
        return repr(value)
    return repr(value) if isinstance(value, float) else kind_of(value)


def kind_of(value: object) -> str:
    """Return what is told of a value that may be secret."""
    return type(value).__name__


def without_credentials(text: str) -> str:
    """Return the text without what URLs in it hold before their host."""
    return _CREDENTIALS.sub("://<secret>@", text)


def error_texts(
    error: ValidationError, *, holds_secrets: bool = False
) -> Iterator[str]:
    """Yield what is wrong, and where, one text for each mistake.

    Args:
        holds_secrets: no value is told, wherever it is.
    """
    for item in error.errors():
        where = ".".join(str(part) for part in item["loc"])
        hides = holds_secrets or f"{where}.".startswith(_SECRET_PREFIXES)
        text = item["msg"].removeprefix("Value error, ")
        cause = item.get("ctx", {}).get("error")
        if hides and isinstance(cause, WrongValue):
            text = cause.untold
        elif item["type"] not in _ALONE:
            may_tell = item["type"] in _TOLD and not hides
            given = item["input"]
            text = f"{text}: {told(given) if may_tell else kind_of(given)}"
        yield without_credentials(f"{where}: {text}")


_SECRET_PREFIXES = tuple(f"{section}." for section in SECRET_SECTIONS)
