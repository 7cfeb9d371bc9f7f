"""What may be told of wrong values: nothing of what may be secret.

Texts about a configuration reach the log and the console, and a secret is easily
put where it does not belong: in a wrong key, or in a URL.
"""

import re

TOLD_CHARS_MAX = 100
"""A longer text is told by its kind alone, and so is a larger number."""

_TOLD_BITS_MAX = 64

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
