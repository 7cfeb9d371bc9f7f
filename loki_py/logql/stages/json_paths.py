"""Values at paths of JSON lines, as columns, where that is sure to be right.

One level of the documents after the other: the wanted members of all objects are
cut out in C, those that are objects or arrays themselves are the next level.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, TypeAlias

import msgspec
import numpy as np
import polars as pl

from loki_py.logql.exec.frame import Mask, constant, with_nulls
from loki_py.logql.stages.json_scan import unescape
from loki_py.logql.stages.key_values import texts_of_spans
from loki_py.model.batch import Rows
from loki_py.model.words import WORD_BYTES, Bytes, words_of

Path: TypeAlias = tuple[str | int, ...]
"""Keys, and places in arrays."""

Source: TypeAlias = str | msgspec.Raw

_ABSENT = msgspec.Raw(b"")
_ELEMENTS = msgspec.json.Decoder(list[msgspec.Raw]).decode
_UNREADABLE = (msgspec.DecodeError, UnicodeEncodeError, RecursionError)
_NO_SCALARS = np.frombuffer(b"\0n[{", np.uint8)
_QUOTE, _BACKSLASH, _OBJECT, _ARRAY, _NULL = b'"\\{[n'


@dataclass(slots=True)
class _Level:
    """What is wanted of the objects and arrays at one place of the documents."""

    members: dict[str | int, "_Level"] = field(default_factory=dict)
    paths: list[int] = field(default_factory=list)


@dataclass(slots=True)
class _Found:
    """What was found so far.

    Attributes:
        sure: bool[n], lines that are sure to be read right.
        values: per path, None where no line has it.
        scalars: whether other values are none.
    """

    sure: Mask
    values: list[pl.Series | None]
    scalars: bool

    def missing(self) -> pl.Series:
        """Return the values of a path that no line has."""
        return constant(None if self.scalars else "", len(self.sure))

    def set(self, number: int, rows: Rows, values: pl.Series) -> None:
        """Set a path's values in the given rows."""
        if len(rows) == len(self.sure):
            self.values[number] = values
            return
        self.values[number] = self.missing().scatter(pl.Series(rows), values)


class PathReader:
    """Read the same paths of many documents.

    Args:
        scalars: whether arrays, objects and null are as if they were missing, and
            missing is null.

    Attributes:
        is_usable: false where some key is spelled in JSON otherwise than here.
    """

    def __init__(self, paths: Sequence[Path], *, scalars: bool = False) -> None:
        self._count = len(paths)
        self._scalars = scalars
        self._root = _Level()
        for number, path in enumerate(paths):
            level = self._root
            for step in path:
                level = level.members.setdefault(step, _Level())
            level.paths.append(number)
        keys = [step for path in paths for step in path if isinstance(step, str)]
        self.is_usable = all(key.isprintable() and _is_plain(key) for key in keys)

    def values(self, lines: pl.Series) -> tuple[list[pl.Series], Mask]:
        """Return the values at each path, and the rows where they are sure.

        A value is the text of a string, or the JSON of anything else; "" where
        there is none, and for null. A sure row is a sound JSON object.
        """
        sure = lines.str.starts_with("{").to_numpy()
        sure &= ~may_be_spelled_otherwise(lines)
        rows = np.flatnonzero(sure)
        found = _Found(sure, [None] * self._count, self._scalars)
        whole = lines if len(rows) == len(lines) else lines.gather(pl.Series(rows))
        _read_members(whole, whole.to_list(), rows, self._root, found)
        return [found.missing() if one is None else one for one in found.values], sure


def _is_plain(key: str) -> bool:
    return not set(key) & set('"\\<>&')


def _read_members(
    texts: pl.Series,
    sources: Sequence[Source],
    rows: Rows,
    level: _Level,
    found: _Found,
) -> None:
    """Cut what the level wants out of objects, which lie in the given rows."""
    keys = [step for step in level.members if isinstance(step, str)]
    if not keys or not sources:
        return
    fields = [
        (f"f{i}", msgspec.Raw, msgspec.field(default=_ABSENT, name=key))
        for i, key in enumerate(keys)
    ]
    struct = msgspec.defstruct("Members", fields, gc=False)
    objects, bad = decoded(msgspec.json.Decoder(struct).decode, sources, struct())
    found.sure[rows[bad]] = False
    for i, key in enumerate(keys):
        repeated = texts.str.count_matches(f'"{key}"', literal=True) > 1
        found.sure[rows[repeated.to_numpy()]] = False
        raw = list(map(attrgetter(f"f{i}"), objects))
        _take(_Pieces.of(raw), rows, level.members[key], found)


def _read_elements(
    sources: Sequence[Source], rows: Rows, level: _Level, found: _Found
) -> None:
    """Cut what the level wants out of arrays, which lie in the given rows."""
    places = [step for step in level.members if isinstance(step, int)]
    if not places or not sources:
        return
    arrays, bad = decoded(_ELEMENTS, sources, [])
    found.sure[rows[bad]] = False
    for place in places:
        raw = [array[place] if len(array) > place else _ABSENT for array in arrays]
        _take(_Pieces.of(raw), rows, level.members[place], found)


def may_be_spelled_otherwise(lines: pl.Series) -> Mask:
    """Return the lines where a key may be spelled with escapes.

    It may then stand there twice.
    """
    found = lines.str.contains("\\u", literal=True)
    if not found.any():
        return found.to_numpy()
    # Clients escape what HTML would mistake; that is in no plain key.
    plain = lines.str.replace_all(r"\\u00(?:3[cCeE]|26)", "")
    return plain.str.contains("\\u", literal=True).to_numpy()


def decoded(
    decode: Callable[[Source], Any], sources: Sequence[Source], empty: object
) -> tuple[list[Any], list[int]]:
    """Return what each text is, and which texts are no sound JSON."""
    try:
        return list(map(decode, sources)), []
    except _UNREADABLE:
        pass
    decoded, bad = [], []
    for row, source in enumerate(sources):
        try:
            decoded.append(decode(source))
        except _UNREADABLE:
            bad.append(row)
            decoded.append(empty)
    return decoded, bad


def _take(pieces: "_Pieces", rows: Rows, level: _Level, found: _Found) -> None:
    """Keep values of paths that end here, and go where others lead."""
    for number in level.paths:
        found.set(number, rows, pieces.values(scalars=found.scalars))
    if not level.members:
        return
    at, sources = pieces.beginning(_OBJECT)
    texts = pieces.texts(pieces.start[at], pieces.end[at])
    _read_members(texts, sources, rows[at], level, found)
    at, sources = pieces.beginning(_ARRAY)
    _read_elements(sources, rows[at], level, found)


@dataclass(frozen=True, slots=True)
class _Pieces:
    """Pieces of JSON, one after the other.

    Attributes:
        raw: each piece; empty where there is none.
        data: all bytes, and some more.
        start, end: where each piece lies.
        first: its first byte; 0 where there is none.
    """

    raw: Sequence[msgspec.Raw]
    data: Bytes
    start: Rows
    end: Rows
    first: Bytes

    @classmethod
    def of(cls, raw: Sequence[msgspec.Raw]) -> "_Pieces":
        length = np.fromiter(map(len, raw), np.int64, len(raw))
        end = np.cumsum(length)
        data = np.frombuffer(b"".join([*raw, bytes(2 * WORD_BYTES)]), np.uint8)
        start = end - length
        return cls(raw, data, start, end, np.where(length > 0, data[start], 0))

    def beginning(self, opening: int) -> tuple[Rows, list[msgspec.Raw]]:
        """Return which pieces begin with the byte, and them."""
        at = np.flatnonzero(self.first == opening)
        return at, [self.raw[i] for i in at.tolist()]

    def texts(self, start: Rows, end: Rows) -> pl.Series:
        """Return a text for each range of the data."""
        words = words_of(self.data)
        every = np.ones(len(start), np.bool_)
        return texts_of_spans(self.data, words, start, end, every)

    def values(self, *, scalars: bool) -> pl.Series:
        """Return the pieces as label values."""
        values = self._values()
        if not scalars:
            return values
        return with_nulls(values, np.isin(self.first, _NO_SCALARS))

    def _values(self) -> pl.Series:
        quoted = self.first == _QUOTE
        end = np.where(self.first == _NULL, self.start, self.end)
        values = self.texts(self.start + quoted, end - quoted)
        if not (self.data == _BACKSLASH).any():
            return values
        escaped = values.str.contains("\\", literal=True).to_numpy() & quoted
        if not escaped.any():
            return values
        rows = pl.Series(np.flatnonzero(escaped))
        meant = [unescape(text) or "" for text in values.gather(rows).to_list()]
        return values.scatter(rows, pl.Series(meant, dtype=pl.String))
