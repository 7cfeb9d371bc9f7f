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
from loki_py.logql.stages.json_bits import WORD_BITS
from loki_py.logql.stages.json_plain import plain_lines
from loki_py.logql.stages.key_values import (
    Bytes,
    Words,
    bytes_below,
    bytes_equal,
    texts_of_spans,
)
from loki_py.logql.stages.line_views import WORD_BYTES, LineViews, numbers_of
from loki_py.model.batch import Rows, offsets_of

_SCALAR = r'(?:"[^"\\]*"|-?[0-9][-+.0-9eE]*|true|false)'
_FLAT_PREFIX = (
    r'^[ \t]*\{[ \t]*(?:"[a-zA-Z_][a-zA-Z0-9_]*"[ \t]*:[ \t]*'
    rf"(?:{_SCALAR}|null)[ \t]*,[ \t]*)*?"
)
_SPACE, _QUOTE, _COLON = b' ":'
_ZERO, _NINE, _MINUS, _NULL = b"09-n"
_WORDS = (b"true", b"false", b"null")
_PADDING = pl.Series([b"x" * 2 * WORD_BITS])


def plain_fields(
    lines: pl.Series, names: Sequence[str]
) -> tuple[dict[str, pl.Series], Mask]:
    """Return the fields' values, and the rows where they are sure to be right.

    A sure row is sound JSON to its end. Missing fields and null are null.

    Args:
        lines: at least one.
        names: of letters, digits and `_`, beginning with a letter.
    """
    line = pl.col("line").str
    found = pl.DataFrame({"line": lines}).select_seq(
        line.find(f'"{name}":', literal=True).alias(name) for name in names
    )
    views = _joined(lines.cast(pl.Binary))
    sure = _are_plain(views)
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


def _joined(texts: pl.Series) -> LineViews:
    """Return the texts one behind the other, with some bytes behind."""
    column = pl.concat([texts, _PADDING]).to_arrow(compat_level=pl.CompatLevel.oldest())
    offsets = offsets_of(column)
    raw = np.frombuffer(column.buffers()[2], np.uint8)
    words: Words = np.ndarray(
        (len(raw) - 7,), dtype="<u8", buffer=raw.data, strides=(1,)
    )
    start, end = offsets[:-2], offsets[1:-1]
    outside = np.zeros(len(texts), np.bool_)
    return LineViews(texts, raw, words, start, end, outside)


def _are_plain(views: LineViews) -> Mask:
    """Return which lines are plain objects."""
    some = views.end > views.start
    if some.all():
        return plain_lines(views.raw, views.start, views.end)
    if some.any():
        some[some] = plain_lines(views.raw, views.start[some], views.end[some])
    return some


def _values(views: LineViews, start: Rows, wanted: Mask) -> tuple[pl.Series, Mask]:
    """Return the scalars behind colons, null where not wanted, and where that is sure.

    Args:
        start: where each value, or one space before it, begins.
    """
    there = wanted & (start + WORD_BYTES + 2 <= len(views.raw))
    if not there.all():
        start = np.where(there, start, 0)
    kind = views.raw[start]
    spaced = kind == _SPACE
    if spaced.any():
        start = start + spaced
        kind = views.raw[start]
    quoted = kind == _QUOTE
    if quoted.all():
        end, sure = _ends_of_strings(views, start + 1, there)
    else:
        end, sure = _ends_of_scalars(views, start, there & ~quoted, kind)
        if quoted.any():
            string_end, is_string = _ends_of_strings(views, start + 1, there & quoted)
            end = np.where(quoted, string_end, end)
            sure |= is_string
    sure &= end < views.end
    is_null = there & (kind == _NULL)
    if is_null.any():
        there &= ~is_null
    texts = texts_of_spans(views.raw, views.words, start + quoted, end, there & sure)
    return texts, sure | ~wanted


def _ends_of_strings(views: LineViews, start: Rows, wanted: Mask) -> tuple[Rows, Mask]:
    """Return where strings end, and where they do without an escape."""
    end, found = views.stops(start, wanted, _closing)
    found &= views.raw[np.minimum(end, len(views.raw) - 1)] == _QUOTE
    return end, found


def _ends_of_scalars(
    views: LineViews, start: Rows, wanted: Mask, kind: Bytes
) -> tuple[Rows, Mask]:
    """Return where numbers and words end, and where they are such."""
    end, found = views.stops(start, wanted, _separators)
    word = np.flatnonzero(found & (kind > _NINE))
    if len(word):
        found[word] = _is_one_of(_WORDS, views, start[word], end[word])
    found &= (kind >= _ZERO) | (kind == _MINUS)
    return end, found


def _is_one_of(
    texts: Sequence[bytes], views: LineViews, start: Rows, end: Rows
) -> Mask:
    """Return where a range is one of the texts, which have less than a word."""
    found = np.zeros(len(start), np.bool_)
    for text in texts:
        mask = np.uint64((1 << 8 * len(text)) - 1)
        same = views.words[start] & mask == np.uint64(int.from_bytes(text, "little"))
        found |= same & (end - start == len(text))
    return found


def _closing(words: Words) -> Words:
    return bytes_equal(words, b'"\\')


def _separators(words: Words) -> Words:
    return bytes_below(words, _SPACE + 1) | bytes_equal(words, b",}]")


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
