"""Single fields of JSON lines as columns, where that is sure to be right.

For lines that are not plain (`json_plain`): each is decoded, in C. What that does
not vouch for is read by a reader of single lines, which is always right.
"""

import re
from collections.abc import Sequence
from operator import attrgetter

import msgspec
import numpy as np
import polars as pl

from loki_py.logql.exec.frame import Mask

_ABSENT = msgspec.Raw(b"")
_EMPTY_KEY = r'""[ \t]*:'
"""An empty name joins to nothing, so that what is in its object looks outer."""

_ESCAPED_KEY = r'\\.[^"\\]*(?:\\.[^"\\]*)*"\s*:'
"""What is escaped may be the name, or become `_` in it."""

_PLAIN_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_]*")


def is_plain_name(name: str | int) -> bool:
    """Return whether a key becomes a label name as it is, and is spelled in one way."""
    return isinstance(name, str) and _PLAIN_NAME.fullmatch(name) is not None


class FieldDecoder:
    """Decode some fields of whole, sound JSON lines in C.

    Attributes:
        is_usable: false where a name is one that sanitising can make of keys
            that do not look like it.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self.is_usable = all(map(is_plain_name, names))
        fields = [
            (f"f{i}", msgspec.Raw, msgspec.field(default=_ABSENT, name=name))
            for i, name in enumerate(names)
        ]
        struct = msgspec.defstruct("Fields", fields, gc=False)
        self._decode = msgspec.json.Decoder(struct).decode
        self._empty = struct()

    def fields(self, lines: pl.Series) -> tuple[dict[str, pl.Series], Mask]:
        """Return the fields' values, and the rows where they are sure to be right.

        A sure row is sound JSON to its end.
        """
        sure = np.ones(len(lines), dtype=np.bool_)
        decode, empty = self._decode, self._empty
        objects = []
        for row, line in enumerate(lines.to_list()):
            try:
                objects.append(decode(line))
            except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
                sure[row] = False
                objects.append(empty)
        columns = {}
        for i, name in enumerate(self._names):
            raw = list(map(attrgetter(f"f{i}"), objects))
            columns[name], plain = _texts(raw)
            sure &= plain & ~_ambiguous(lines, name)
        return columns, sure


def _texts(raw: Sequence[msgspec.Raw]) -> tuple[pl.Series, Mask]:
    """Return raw JSON values as label values, and where that needs no unescaping.

    Missing values, null, arrays and objects are no label: null.
    """
    joined = b"\n".join(raw).decode()
    texts = joined.split("\n")
    if len(texts) != len(raw):
        # Some object or array holds a line break.
        texts = [bytes(one).decode().replace("\n", " ") for one in raw]
    values = pl.Series(texts, dtype=pl.String)
    quoted = values.str.starts_with('"')
    plain = ~values.str.contains("\\", literal=True)
    dropped = (values == "") | values.str.contains(r"^[\[{n]")
    # `zip_with` keeps the first where the mask holds.
    unquoted = values.str.strip_prefix('"').str.strip_suffix('"')
    values = unquoted.zip_with(quoted, values)
    empty = pl.Series([None], dtype=pl.String)
    return values.zip_with(~dropped, empty), plain.to_numpy()


def _ambiguous(lines: pl.Series, name: str) -> Mask:
    """Return the rows where another key than `name` may become that label too."""
    quoted = f'"{name}"'
    found = lines.str.count_matches(quoted, literal=True) > 1
    empty = lines.str.contains('""', literal=True)
    if empty.any():
        found |= empty & lines.str.contains(_EMPTY_KEY)
    pieces = name.split("_")
    spelled = "[^a-zA-Z0-9]".join(pieces)
    found |= lines.str.contains(rf'"\s+{spelled}|{spelled}\s+"')
    escapes = lines.str.contains("\\", literal=True)
    if escapes.any():
        found |= escapes & lines.str.contains(_ESCAPED_KEY)
    if len(pieces) > 1:
        exact = lines.str.count_matches(quoted, literal=True)
        found |= lines.str.count_matches(f'"{spelled}"') > exact
        for end in range(1, len(pieces)):
            outer = "[^a-zA-Z0-9]".join(pieces[:end])
            found |= lines.str.contains(rf'{outer}\s*"\s*:\s*\{{')
    return found.to_numpy()
