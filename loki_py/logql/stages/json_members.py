"""Fields of plain JSON lines as columns, found by searching for their keys.

What is searched for, `"name":`, is nothing but a key where a line is plain
(`json_plain`): quotes stand at the edges of strings alone, and between two strings
there is no name. The first key counts.
"""

import re
from collections.abc import Sequence

import numpy as np
import polars as pl

from loki_py.logql.exec.frame import Mask
from loki_py.logql.stages.json_plain import plain_lines
from loki_py.logql.stages.key_values import (
    bytes_below,
    bytes_equal,
    bytes_until,
    texts_of_words,
)
from loki_py.logql.stages.line_views import NEAR_BYTES, LineViews, numbers_of
from loki_py.model.batch import Rows
from loki_py.model.words import WORD_BYTES, Words

_SCALAR = r'(?:"[^"\\]*"|-?[0-9][-+.0-9eE]*|true|false)'
_FLAT_PREFIX = (
    r'^[ \t]*\{[ \t]*(?:"[a-zA-Z_][a-zA-Z0-9_]*"[ \t]*:[ \t]*'
    rf"(?:{_SCALAR}|null)[ \t]*,[ \t]*)*?"
)
_SPACE, _QUOTE, _COLON, _COMMA, _CLOSE, _MINUS = b' ":,}-'
_ZERO, _NINE, _NULL = b"09n"
_BEHIND = np.array(list(b" \t,}"), "<u8")
_WORDS = np.frombuffer(b"true\0\0\0\0false\0\0\0null\0\0\0\0", "<u8")
_BYTE = np.uint64(0xFF)
_READ_BYTES = WORD_BYTES + 2
"""What is read of each value: a space, a quote and how it begins."""


def plain_fields(
    lines: pl.Series, names: Sequence[str], views: LineViews, plain: Mask
) -> tuple[dict[str, pl.Series], Mask]:
    """Return the fields' values, and the rows where they are sure to be right.

    Missing fields and null are null.

    Args:
        lines: at least one.
        names: of letters, digits and `_`, beginning with a letter.
        views: of the lines.
        plain: which lines are plain objects (`json_plain`); others are not sure.
    """
    line = pl.col("line").str
    found = pl.DataFrame({"line": lines}).select_seq(
        line.find(f'"{name}":', literal=True).alias(name) for name in names
    )
    sure = plain & ~views.outside
    columns = {}
    for name in names:
        place = numbers_of(found[name], -1)
        is_there = sure & (place >= 0)
        start = views.start + place + len(name) + 3
        columns[name], read = _values(views, start, is_there)
        sure &= read
        if "_" in name:
            sure &= ~_may_be_spelled_otherwise(lines, name)
        nulls = _nulls(columns[name], is_there)
        if len(nulls):
            sure[nulls] &= _once(lines.gather(pl.Series(nulls)), name)
    return columns, sure


def plain_views(lines: pl.Series) -> tuple[LineViews, Mask]:
    """Return the lines as bytes, and which of them are plain objects.

    Args:
        lines: at least one.
    """
    views = LineViews.copied(lines)
    plain = views.end > views.start
    if plain.all():
        return views, plain_lines(views.raw, views.start, views.end)
    if plain.any():
        plain[plain] = plain_lines(views.raw, views.start[plain], views.end[plain])
    return views, plain


def first_fields(lines: pl.Series, name: str) -> tuple[pl.Series, Mask]:
    """Return a field's values, and the rows where they are sure to be right.

    Sure is a line that begins with plain members up to the field: none of them
    nested, escaped or in need of sanitising, so none can be the field before.
    What follows the field is not looked at.
    """
    key = rf'"{re.escape(name)}"[ \t]*:[ \t]*'
    line = pl.col("line").str
    found = pl.DataFrame({"line": lines}).select_seq(
        line.contains(rf"{_FLAT_PREFIX}{key}{_SCALAR}[ \t]*[,}}]").alias("sound"),
        line.find(f'"{name}"', literal=True).alias("place"),
    )
    sure = found["sound"].to_numpy(writable=True)
    views = LineViews.of(lines)
    if views is not None:
        place = numbers_of(found["place"], 0)
        return _first_values(views, place + len(name) + 2, sure)
    values = lines.str.extract(key + r'("[^"\\]*"|[^ \t,}]+)', 1)
    sure &= (values != "null").fill_null(value=False).to_numpy()
    # A quoted value keeps its quotes until here, so that `""` is not missing.
    return values.str.strip_chars('"'), sure


def _first_values(views: LineViews, colon: Rows, sound: Mask) -> tuple[pl.Series, Mask]:
    """Return the scalars behind the colons that should be in sound lines.

    That is sure where there is one, so that what was found is no string value.
    """
    sure = sound & ~views.outside
    colon = np.where(sure, views.start + colon, 0)
    sure &= views.raw[colon] == _COLON
    values, read = _values(views, colon + 1, sure)
    sure &= read
    if values.null_count():
        # A field that is null may be there again.
        sure &= values.is_not_null().to_numpy()
    return values, sure


def _values(views: LineViews, start: Rows, wanted: Mask) -> tuple[pl.Series, Mask]:
    """Return the scalars behind colons, null where not wanted, and where that is sure.

    Args:
        start: where each value, or one space before it, begins.
    """
    there = wanted & (start <= len(views.raw) - _READ_BYTES)
    if not there.all():
        start = np.where(there, start, 0)
    low = views.words[start]
    kind = low & _BYTE
    spaced = kind == _SPACE
    if spaced.any():
        start = start + spaced
        low = views.words[start]
        kind = low & _BYTE
    quoted = kind == _QUOTE
    if quoted.any():
        start = start + quoted
        low = views.words[start]
    low, high, length, stop = _near_words(views, start, low, quoted)
    sure = there & (start + length < views.end)
    far = np.flatnonzero(sure & (length == NEAR_BYTES))
    if len(far):
        length[far], sure[far] = _far_lengths(views, start, far, quoted)
        end = np.minimum(start[far] + length[far], len(views.raw) - 1)
        stop[far] = views.raw[end]
    sure &= _are_sound(low, kind, stop, quoted)
    if there is not wanted:
        sure &= there
    present = sure & (kind != _NULL)
    if not present.all():
        length *= present
    texts = texts_of_words(low, high, length, start, views.raw, present)
    return texts, sure | ~wanted


def _near_words(
    views: LineViews, start: Rows, low: Words, quoted: Mask
) -> tuple[Words, Words, Rows, Words]:
    """Return what begins values, how long they are, and the byte behind them.

    First the first and next eight bytes of each, which are 0 behind the value. Of
    values that are longer, or too near the end of the buffer to be read on, the
    length is NEAR_BYTES.

    Args:
        low: the eight bytes from each start on.
    """
    kept = bytes_until(_stops(low, quoted))
    size = np.bitwise_count(kept)
    stop = low >> size & _BYTE
    low = low & kept
    high = np.zeros_like(low)
    length = (size >> 3).astype(np.int64)
    longer = np.flatnonzero(length == WORD_BYTES)
    if len(longer):
        has_room = start[longer] <= len(views.raw) - NEAR_BYTES
        if not has_room.all():
            length[longer[~has_room]] = NEAR_BYTES
            longer = longer[has_room]
        more = views.words[start[longer] + WORD_BYTES]
        kept = bytes_until(_stops(more, quoted[longer]))
        size = np.bitwise_count(kept)
        stop[longer] = more >> size & _BYTE
        high[longer] = more & kept
        length[longer] += size >> 3
    return low, high, length, stop


def _are_sound(low: Words, kind: Words, stop: Words, quoted: Mask) -> Mask:
    """Return which values begin and end as strings, numbers or words do.

    Args:
        low: the first eight bytes of each value.
        kind, stop: the byte that it begins with, a quote that is none of its own,
            and the byte behind it.
    """
    sound: Mask = stop == _QUOTE
    if quoted.all():
        return sound
    sound = (stop == _COMMA) | (stop == _CLOSE)
    sound &= (kind >= _ZERO) & (kind <= _NINE)
    other = np.flatnonzero(~sound)
    if len(other):
        kind, stop, text = kind[other], stop[other], quoted[other]
        scalar = (kind == _MINUS) | np.isin(low[other], _WORDS)
        scalar |= (kind >= _ZERO) & (kind <= _NINE)
        scalar &= np.isin(stop, _BEHIND)
        sound[other] = np.where(text, stop == _QUOTE, scalar)
    return sound


def _stops(words: Words, quoted: Mask) -> Words:
    """Return words whose lowest set bit is in the first byte that may end a value."""
    if quoted.all():
        return _closing(words)
    stops = _separators(words)
    return np.where(quoted, _closing(words), stops) if quoted.any() else stops


def _far_lengths(
    views: LineViews, start: Rows, rows: Rows, quoted: Mask
) -> tuple[Rows, Mask]:
    """Return how long the values in some rows are, and where they end at all."""
    length, ended = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.bool_)
    wanted = np.zeros(len(start), np.bool_)
    for is_text, stops_of in ((True, _closing), (False, _separators)):
        mine = quoted[rows] == is_text
        wanted[:] = False
        wanted[rows[mine]] = True
        end, found = views.stops(start, wanted, stops_of)
        length[mine] = (end - start)[rows[mine]]
        ended[mine] = found[rows[mine]]
    return length, ended


def _closing(words: Words) -> Words:
    return bytes_equal(words, b'"\\')


def _separators(words: Words) -> Words:
    return bytes_below(words, _COMMA + 1) | bytes_equal(words, b"}")


def _may_be_spelled_otherwise(lines: pl.Series, name: str) -> Mask:
    """Return the lines in which a key of other characters may become the name."""
    pieces = name.split("_")
    spelled = [
        "[^a-zA-Z0-9]".join(pieces[:gap])
        + "[^a-zA-Z0-9_]"
        + "[^a-zA-Z0-9]".join(pieces[gap:])
        for gap in range(1, len(pieces))
    ]
    return lines.str.contains(f'"(?:{"|".join(spelled)})"').to_numpy()


def _nulls(values: pl.Series, found: Mask) -> Rows:
    """Return the rows in which a field was found that is null."""
    if not values.null_count():
        return np.zeros(0, np.int64)
    return np.flatnonzero(found & values.is_null().to_numpy())


def _once(lines: pl.Series, name: str) -> Mask:
    """Return where the lines have the key once."""
    return (lines.str.count_matches(f'"{name}":', literal=True) == 1).to_numpy()
