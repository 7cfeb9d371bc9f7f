"""Rows to series: the distinct label sets of rows, by factorised columns."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from loki_py.logql.ast_metric import Grouping
from loki_py.logql.exec.codes import codes_of
from loki_py.logql.exec.frame import (
    ERROR,
    ERROR_DETAILS,
    Frame,
    Rows,
)
from loki_py.model.results import Labels

_KEY_MAX = 2**62

_ROWS_PER_GROUP = 16
"""With this many rows per group, groups that do not occur may be listed."""


def combined(codes: Sequence[tuple[Rows, int]], rows: int) -> tuple[Rows, Rows]:
    """Return a row of each combination of codes, and each row's combination.

    Codes of which there is one may have no rows.
    """
    key: Rows | None = None
    size = 1
    for code, count in codes:
        if count == 1:
            continue
        if key is None:
            key, size = code, count
            continue
        if size * count >= _KEY_MAX:
            _, key = np.unique(key, return_inverse=True)
            size = int(key.max()) + 1
        key = key * count + code
        size *= count
    if key is None:
        return np.zeros(min(rows, 1), np.int64), np.zeros(rows, np.int64)
    if size <= 4 * rows + 1024:
        return _by_counting(key, size)
    _, first, index = np.unique(key, return_index=True, return_inverse=True)
    return first, index


def _by_counting(key: Rows, size: int) -> tuple[Rows, Rows]:
    """Return what np.unique would, but any row, without sorting, of keys below size."""
    row_of = np.full(size, -1, dtype=np.int64)
    row_of[key] = np.arange(len(key))
    used = np.flatnonzero(row_of >= 0)
    position = np.empty(size, dtype=np.int64)
    position[used] = np.arange(len(used))
    return row_of[used], position.take(key)


def series_of(
    frame: Frame, grouping: Grouping | None, *, without_label: str | None = None
) -> tuple[list[Labels], Rows]:
    """Return the distinct label sets of the frame's rows, and each row's position.

    Args:
        grouping: which labels count; None for all.
        without_label: the unwrapped label, which is no label of the series
            unless `by` names it.
    """
    if grouping is not None and not grouping.without:
        names = list(dict.fromkeys(grouping.labels))
        hidden: set[str] = set()
    else:
        names = frame.names()
        hidden = set(grouping.labels) if grouping is not None else set()
        if without_label is not None:
            hidden.add(without_label)
        names = [name for name in names if name not in hidden]
        names += [name for name in (ERROR, ERROR_DETAILS) if name not in hidden]
    return distinct_labels(frame, names)


def distinct_labels(frame: Frame, names: Sequence[str]) -> tuple[list[Labels], Rows]:
    """Return the distinct combinations of the named labels, and each row's."""
    own = {*frame.metadata, *frame.parsed, *frame.renamed, *frame.removed}
    own |= {ERROR, ERROR_DETAILS}
    plain = [name for name in names if name not in own]
    columns = {name: frame.value(name) for name in names if name in own}
    if ERROR_DETAILS in columns:
        columns[ERROR_DETAILS] = frame.error_details
    return distinct_of(frame, plain, columns)


def distinct_of(
    frame: Frame, stream_names: Sequence[str], columns: Mapping[str, pl.Series | None]
) -> tuple[list[Labels], Rows]:
    """Return the distinct combinations of stream labels and columns, and each row's.

    Combinations that no row has may be among them.
    """
    present = {name: c for name, c in columns.items() if c is not None}
    if not present:
        _, count = frame.table.codes(tuple(stream_names))
        if count <= max(len(frame) // _ROWS_PER_GROUP, 1):
            # As good as counting which groups occur, without the counting.
            return frame.table.groups(tuple(stream_names), frame.stream)
    parts = [_stream_codes(frame, stream_names), *map(codes_of, present.values())]
    first, index = combined(parts, len(frame))
    at = pl.Series(first)
    taken = {name: column.gather(at).to_list() for name, column in present.items()}
    streams = [frame.table.streams[i].as_dict for i in frame.stream[first].tolist()]
    sets = []
    for i, stream in enumerate(streams):
        pairs = [(name, stream[name]) for name in stream_names if name in stream]
        for name, values in taken.items():
            if values[i] is not None:
                pairs.append((name, values[i]))
        sets.append(tuple(sorted(pairs)))
    return sets, index


def all_labels(frame: Frame) -> tuple[list[Labels], Rows]:
    """Return the distinct combinations of all labels, errors too, and each row's."""
    return distinct_labels(frame, [*frame.names(), ERROR, ERROR_DETAILS])


def stream_labels(frame: Frame) -> tuple[list[Labels], Rows]:
    """Return the distinct stream labels that no other category hides."""
    names = list(dict.fromkeys([*frame.table.names(), *frame.renamed]))
    own = {*frame.metadata, *frame.parsed, *frame.renamed, *frame.removed}
    columns: dict[str, pl.Series | None] = {}
    for name in names:
        if name in own:
            columns[name] = frame.visible_stream_value(name)
    plain = [name for name in names if name not in columns]
    return distinct_of(frame, plain, columns)


def metadata_labels(frame: Frame) -> tuple[list[Labels], Rows]:
    """Return the distinct combinations of structured metadata, and each row's."""
    return distinct_of(frame, (), frame.metadata)


def parsed_labels(frame: Frame) -> tuple[list[Labels], Rows]:
    """Return the distinct combinations of parsed labels and errors, and each row's."""
    errors = {ERROR: frame.error, ERROR_DETAILS: frame.error_details}
    return distinct_of(frame, (), {**frame.parsed, **errors})


def _stream_codes(frame: Frame, names: Sequence[str]) -> tuple[Rows, int]:
    """Return a code per row that is equal where the named stream labels are."""
    by_stream, count = frame.table.codes(tuple(names))
    return (by_stream[frame.stream] if count > 1 else by_stream), count
