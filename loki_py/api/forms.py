"""Request parameters: a URL query and a form body as Go's net/http reads them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from loki_py.errors import ValidationFailed
from loki_py.model.labels import quote

FORM_TYPE = "application/x-www-form-urlencoded"
FORM_BYTES_MAX = 10 << 20
"""A form body beyond this is refused, as in Go."""

FIELDS_MAX = 10_000
"""More parameters than this are refused."""

_BAD_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2}).{0,2}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Form:
    """Parameters by name; a value in the body comes before one in the URL."""

    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def get(self, name: str) -> str:
        """Return the first value, "" where there is none."""
        found = self.values.get(name)
        return found[0] if found else ""

    def all(self, name: str) -> tuple[str, ...]:
        """Return every value in order."""
        return self.values.get(name, ())


def parse_form(query: str, body: bytes = b"") -> Form:
    """Return the parameters of a URL query and of a form body.

    Raises: ValidationFailed where an escape is broken.
    """
    values: dict[str, list[str]] = {}
    for text in (body.decode("utf-8", "replace"), query):
        if not text:
            continue
        broken = _BAD_ESCAPE.search(text)
        if broken:
            raise ValidationFailed(f"invalid URL escape {quote(broken[0])}")
        try:
            pairs = parse_qsl(
                text,
                keep_blank_values=True,
                errors="replace",
                max_num_fields=FIELDS_MAX,
            )
        except ValueError:
            raise ValidationFailed(
                f"more than {FIELDS_MAX} request parameters"
            ) from None
        for name, value in pairs:
            values.setdefault(name, []).append(value)
    return Form({name: tuple(given) for name, given in values.items()})
