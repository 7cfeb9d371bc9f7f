"""What to tell of a name that nobody knows: the known one that looks most like it."""

import difflib
from collections.abc import Collection

from loki_py.config.telling import without_credentials

PAGE = "docs/configuration.md"


def unknown_text(what: str, name: str, known: Collection[str]) -> str:
    """Return the refusal of an unknown key, limit or the like.

    A known name with the same last part is nearer than any other.
    """
    last = name.rpartition(".")[2]
    near = [each for each in known if each.rpartition(".")[2] == last]
    near = near or difflib.get_close_matches(name, known, n=1)
    hint = f"the nearest known {what} is {near[0]!r}" if near else f"{PAGE} names all"
    return without_credentials(f"unknown {what} {name!r}; {hint}")
