"""The values of one key in a column of logfmt lines.

Where a key stands is found by searching each line for its text; what stands
behind it is read where the lines lie (`line_views`). Lines with quotes before
the key are looked at closer (`key_values`), and what is still not plain is left
to a reader of single lines.
"""

import numpy as np
import polars as pl

from loki_py.logql.exec.frame import Mask
from loki_py.logql.stages.key_values import (
    LineBuffer,
    stops_of,
    texts_of_spans,
    values_of_key,
)
from loki_py.logql.stages.line_views import WORD_BYTES, LineViews, numbers_of
from loki_py.model.batch import Rows

_SPACE = ord(" ")
_REPLACEMENT = "\ufffd"
_REPLACEMENT_FIRST = _REPLACEMENT.encode()[0]
_UNSEARCHABLE = rf"[\x00-\x1f{_REPLACEMENT}]"


def may_be_searched(views: LineViews) -> bool:
    """Return whether keys of these lines can be found by searching for them.

    They can not where lines hold control characters, which separate pairs as a
    space does, or the character that stands for bytes that are none, which
    values lose.
    """
    if views.outside.any():
        return not views.lines.str.contains(_UNSEARCHABLE).any()
    extremes = views.extremes()
    if extremes is not None and extremes[0] >= _SPACE:
        if extremes[1] < _REPLACEMENT_FIRST:
            return True
        return not views.lines.str.contains(_REPLACEMENT, literal=True).any()
    return not views.lines.str.contains(_UNSEARCHABLE).any()


def values_in_lines(views: LineViews, name: str) -> tuple[pl.Series, Mask]:
    """Return a key's first value per line, null where missing, and where it is sure.

    The name has no `_`, which could stand for another character of the key.
    """
    assert "_" not in name
    place, found, quote = _places_of(views, name)
    plain = quote >= place
    start = views.start + place + len(name) + 1
    sure = ~views.outside
    if (~found & (quote < len(views.raw))).any():
        # Behind a closing quote a key needs no space before it.
        sure &= found | ~views.lines.str.contains(f'"{name}=', literal=True).to_numpy()
    sure &= ~found | (plain & (start + WORD_BYTES <= len(views.raw)))
    end, ended = views.stops(start, found & sure, stops_of)
    stop = views.raw[np.minimum(end, len(views.raw) - 1)]
    ended &= (end > start) & ((end == views.end) | (stop == _SPACE))
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


def _places_of(views: LineViews, name: str) -> tuple[Rows, Mask, Rows]:
    """Return where the key stands in each line, where it does, and the first quote.

    A key that is nowhere stands at the line's length, a quote behind all bytes.
    """
    line = pl.col("line").str
    places = pl.DataFrame({"line": views.lines}).select_seq(
        line.find(f" {name}=", literal=True).alias("key"),
        line.find('"', literal=True).alias("quote"),
    )
    length = views.end - views.start
    begins = views.begins(f"{name}=".encode())
    found = places["key"].is_not_null().to_numpy() | begins
    at = numbers_of(places["key"], 0) + 1
    at[begins] = 0
    quote = numbers_of(places["quote"], len(views.raw))
    return np.where(found, at, length), found, quote
