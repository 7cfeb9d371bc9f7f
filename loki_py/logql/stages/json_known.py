"""Which lines are plain JSON: what is known of them, or is found out for next time."""

import numpy as np
import polars as pl

from loki_py.logql.exec.frame import Frame, Mask
from loki_py.logql.stages.json_members import plain_views
from loki_py.logql.stages.line_views import LineViews
from loki_py.model.batch import EntryBatch

_ROWS_MIN = 2048
"""Fewer lines are decoded faster than looked at as bits."""

_LEARNT_SHARE = 32
"""Where fewer than one line in so many is read, others are not looked at."""

_SAMPLE_ROWS = 64
_NESTED = r'": ?[\[{]'


def learn_lines(batch: EntryBatch, kept: int) -> None:
    """Find out whether a batch's lines are plain, if that is worth it.

    Args:
        kept: how many of them are going to be read.
    """
    facts = batch.facts
    if facts is None or not facts.can_learn or not kept:
        return
    if kept * _LEARNT_SHARE < len(batch):
        return
    if facts.are_plain_json is None:
        facts.note_plain_json(plain_views(pl.Series(pl.from_arrow(batch.line)))[1])


def plain_rows(frame: Frame, *, check: bool) -> tuple[LineViews, Mask] | None:
    """Return the frame's lines as bytes, and which of them are plain objects.

    None where nobody knows, and it is not worth finding out.

    Args:
        check: whether finding out is worth it for this once.
    """
    lines, facts = frame.lines, frame.facts
    known = None if facts is None else facts.are_plain_json
    if known:
        views = LineViews.of(lines) or LineViews.copied(lines)
        return views, np.ones(len(lines), np.bool_)
    if facts is not None and facts.can_learn and known is None:
        found = plain_views(lines)
        facts.note_plain_json(found[1])
        return found
    if check and len(lines) >= _ROWS_MIN and not _are_nested(lines):
        return plain_views(lines)
    return None


def _are_nested(lines: pl.Series) -> bool:
    """Return whether most lines seem to have objects or arrays in them."""
    some = lines.gather_every(max(len(lines) // _SAMPLE_ROWS, 1))
    return int(some.str.contains(_NESTED).sum()) * 2 > len(some)
