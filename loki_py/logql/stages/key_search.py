"""The values of one key in a column of logfmt lines.

Where a key stands is found by searching each line for its text; what stands
behind it is read eight bytes at a time, for all lines at once, from where the
lines lie. Lines with quotes before the key are looked at closer
(`key_values`), and what is still not plain is left to a reader of single lines.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

from loki_py.logql.exec.frame import Mask
from loki_py.logql.stages.key_values import (
    INLINE_BYTES,
    Bytes,
    LineBuffer,
    Words,
    first_byte,
    stops_of,
    texts_of_spans,
    values_of_key,
)
from loki_py.model.batch import Rows

_SPACE = ord(" ")
_WORD_BYTES = 8
_REPLACEMENT = "\ufffd"
_REPLACEMENT_FIRST = _REPLACEMENT.encode()[0]
_ONE_BUFFER = 3
"""Buffers of a column whose long values lie in one: validity, views, bytes."""


@dataclass(frozen=True, slots=True)
class LineViews:
    """Where the lines of a column lie.

    Attributes:
        lines: the column, without null.
        raw: the bytes that long lines lie in.
        words: uint64 by position in `raw`, the eight bytes from there on.
        start, end: int64[n], the range of each line in `raw`.
        outside: bool[n], lines so short that they do not lie in `raw`.
        quote: where the first double quote of each line is, null where none.
    """

    lines: pl.Series
    raw: Bytes
    words: Words
    start: Rows
    end: Rows
    outside: Mask
    quote: pl.Series

    @classmethod
    def of(cls, lines: pl.Series) -> "LineViews | None":
        """Return the views; None where the lines cannot be read like this.

        That is where they lie in several buffers, or hold control characters,
        which separate pairs as a space does, or the character that stands for
        bytes that are none, which values lose.
        """
        column = lines.rechunk().to_arrow(compat_level=pl.CompatLevel.newest())
        buffers = column.buffers()
        if column.type != pa.string_view() or len(buffers) != _ONE_BUFFER:
            return None
        raw: Bytes = np.frombuffer(buffers[2], np.uint8)
        views = np.frombuffer(buffers[1], "<u4").reshape(-1, 4)
        views = views[column.offset : column.offset + len(column)]
        if len(raw) < _WORD_BYTES or raw.min() < _SPACE:
            return None
        may_be_replaced = raw.max() >= _REPLACEMENT_FIRST
        if may_be_replaced and lines.str.contains(_REPLACEMENT, literal=True).any():
            return None
        words: Words = np.ndarray(
            (len(raw) - 7,), dtype="<u8", buffer=raw.data, strides=(1,)
        )
        length = views[:, 0].astype(np.int64)
        start = views[:, 3].astype(np.int64)
        outside = length <= INLINE_BYTES
        quote = lines.str.find('"', literal=True)
        return cls(lines, raw, words, start, start + length, outside, quote)


def values_in_lines(views: LineViews, name: str) -> tuple[pl.Series, Mask]:
    """Return a key's first value per line, null where missing, and where it is sure.

    The name has no `_`, which could stand for another character of the key.
    """
    assert "_" not in name
    place, found = _places_of(views, name)
    quote = _numbers_of(views.quote, len(views.raw))
    plain = quote >= place
    start = views.start + place + len(name) + 1
    sure = ~views.outside
    if (~found & (quote < len(views.raw))).any():
        # Behind a closing quote a key needs no space before it.
        sure &= found | ~views.lines.str.contains(f'"{name}=', literal=True).to_numpy()
    sure &= ~found | (plain & (start + _WORD_BYTES <= len(views.raw)))
    end, ended = _ends_of(views, start, found & sure)
    sure &= ended | ~found
    values = texts_of_spans(
        views.raw, views.words, np.where(found & sure, start, 0), end, found & sure
    )
    closer = np.flatnonzero(~sure)
    if not len(closer):
        return values, sure
    rows = pl.Series(closer)
    near, near_sure = values_of_key(LineBuffer.of(views.lines.gather(rows)), name)
    sure[closer] = near_sure
    return values.scatter(closer, near), sure


def _places_of(views: LineViews, name: str) -> tuple[Rows, Mask]:
    """Return where the key stands in each line, the line's length where nowhere."""
    length = views.end - views.start
    place = views.lines.str.find(f" {name}=", literal=True)
    begins = views.lines.str.starts_with(f"{name}=").to_numpy()
    found = place.is_not_null().to_numpy() | begins
    at = _numbers_of(place, 0) + 1
    at[begins] = 0
    return np.where(found, at, length), found


def _numbers_of(places: pl.Series, missing: int) -> Rows:
    return places.fill_null(missing).to_numpy().astype(np.int64)


def _ends_of(views: LineViews, start: Rows, wanted: Mask) -> tuple[Rows, Mask]:
    """Return where the values end, and whether that is plain, for wanted rows."""
    end = views.end.copy()
    plain = wanted.copy()
    active = np.flatnonzero(wanted)
    at = start[active]
    limit = len(views.words)
    while len(active):
        hits = stops_of(views.words[at])
        found = hits != 0
        place = at[found] + first_byte(hits[found])
        ended = active[found]
        inside = place < views.end[ended]
        end[ended[inside]] = place[inside]
        plain[ended[inside]] = views.raw[place[inside]] == _SPACE
        at, active = at[~found] + _WORD_BYTES, active[~found]
        readable = at < limit
        plain[active[~readable]] = False
        within = readable & (at < views.end[active])
        at, active = at[within], active[within]
    plain &= end > start
    return end, plain
