"""Single fields of JSON lines as columns, where that is sure to be right.

Two readers, the faster one first. Both say for which rows they vouch; the
others are read line by line, which is always right.
"""

import re
from collections.abc import Sequence
from operator import attrgetter

import msgspec
import numpy as np
import polars as pl

from loki_py.logql.exec.frame import Mask
from loki_py.logql.stages.key_values import (
    Words,
    bytes_below,
    bytes_equal,
    texts_of_spans,
)
from loki_py.logql.stages.line_views import WORD_BYTES, LineViews, numbers_of

_SCALAR = r'(?:"[^"\\]*"|-?[0-9][-+.0-9eE]*|true|false)'
_FLAT_PREFIX = (
    r'^[ \t]*\{[ \t]*(?:"[a-zA-Z_][a-zA-Z0-9_]*"[ \t]*:[ \t]*'
    rf"(?:{_SCALAR}|null)[ \t]*,[ \t]*)*?"
)
_SPACE, _QUOTE, _COLON = ord(" "), ord('"'), ord(":")
_ABSENT = msgspec.Raw(b"")
_EMPTY_KEY = r'""[ \t]*:'
"""An empty name joins to nothing, so that what is in its object looks outer."""

_PLAIN_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_]*")


def first_fields(lines: pl.Series, name: str) -> tuple[pl.Series, Mask]:
    """Return a field's values, and the rows where they are sure to be right.

    Sure is a line that begins with plain members up to the field: none of them
    nested, escaped or in need of sanitising, so none can be the field before.
    What follows the field is not looked at.
    """
    key = rf'"{re.escape(name)}"[ \t]*:[ \t]*'
    found = lines.str.contains(rf"{_FLAT_PREFIX}{key}{_SCALAR}[ \t]*[,}}]")
    sure = found.fill_null(value=False).to_numpy()
    views = LineViews.of(lines)
    if views is not None:
        return _read_behind(views, f'"{name}"', sure)
    values = lines.str.extract(key + r'("[^"\\]*"|[^ \t,}]+)', 1)
    # A quoted value keeps its quotes until here, so that `""` is not missing.
    return values.str.strip_chars('"'), sure


def _read_behind(views: LineViews, key: str, sound: Mask) -> tuple[pl.Series, Mask]:
    """Return the scalars behind the quoted key's first place in sound lines.

    That is sure where a colon follows at once, so that it is no string value.
    """
    place = views.lines.str.find(key, literal=True)
    sure = sound & ~views.outside & place.is_not_null().to_numpy()
    colon = np.where(sure, views.start + numbers_of(place, 0) + len(key.encode()), 0)
    sure &= views.raw[colon] == _COLON
    start = np.where(sure, colon + 1, 0)
    start += views.raw[start] == _SPACE
    sure &= (start + WORD_BYTES <= len(views.raw)) & (views.raw[start] > _SPACE)
    quoted = views.raw[start] == _QUOTE
    start += quoted
    end, readable = views.stops(start, sure & quoted, _quotes_of)
    bare_end, bare_readable = views.stops(start, sure & ~quoted, _ends_of_scalar)
    end = np.where(quoted, end, bare_end)
    sure &= readable | bare_readable
    start = np.where(sure, start, 0)
    return texts_of_spans(views.raw, views.words, start, end, sure), sure


def _quotes_of(words: Words) -> Words:
    return bytes_equal(words, b'"')


def _ends_of_scalar(words: Words) -> Words:
    return bytes_below(words, _SPACE + 1) | bytes_equal(words, b",}")


class FieldDecoder:
    """Decode some fields of whole, sound JSON lines in C.

    Attributes:
        is_usable: false where a name is one that sanitising can make of keys
            that do not look like it.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self.is_usable = all(map(_PLAIN_NAME.fullmatch, names))
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
    found |= lines.str.contains(f'" {name}', literal=True)
    found |= lines.str.contains(f'{name} "', literal=True)
    pieces = name.split("_")
    if len(pieces) > 1:
        spelled = '"' + "[^a-zA-Z0-9]".join(pieces) + '"'
        exact = lines.str.count_matches(quoted, literal=True)
        found |= lines.str.count_matches(spelled) > exact
        for end in range(1, len(pieces)):
            outer = "[^a-zA-Z0-9]".join(pieces[:end])
            found |= lines.str.contains(rf'{outer}\s*"\s*:\s*\{{')
    return found.to_numpy()
