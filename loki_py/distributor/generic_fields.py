"""Copies fields that a tenant names into the structured metadata of its entries.

The value of a field is that of the first of its sources that an entry has: in its
labels, else in its metadata, else in its line, JSON or logfmt.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from loki_py.logql import ast
from loki_py.logql.exec.stream_table import StreamTable
from loki_py.logql.paths import PathInvalid, parse_path
from loki_py.logql.stages.pipeline import Pipeline
from loki_py.logql.stages.stage import Hints, Wants
from loki_py.model.batch import EntryBatch, null_mask_of
from loki_py.model.labels import LabelSet, quote

Texts: TypeAlias = pa.LargeStringArray
Fields: TypeAlias = Mapping[str, Sequence[str]]


class GenericFields:
    """Finds fields; keeps what it made for the fields that tenants ask for."""

    _KEPT_MAX = 64

    def __init__(self) -> None:
        self._parsers: dict[tuple[str, ...], list[Pipeline]] = {}

    def with_fields(self, batch: EntryBatch, wanted: Fields) -> EntryBatch:
        """Return the batch with the fields, where entries do not have them already.

        Args:
            batch: the entries.
            wanted: the names of metadata, and for each its sources in order.
        """
        for name, sources in wanted.items():
            given = [batch.metadata[name]] if name in batch.metadata else []
            known = _joined([*given, *_known(batch, sources)])
            if known is None or known.null_count:
                known = _joined([known, *self._in_lines(batch, known, sources)])
            if known is not None and known.null_count < len(batch):
                batch = batch.with_metadata(name, known)
        return batch

    def _in_lines(
        self, batch: EntryBatch, known: Texts | None, sources: Sequence[str]
    ) -> list[Texts]:
        """Return what the lines of entries without the field say."""
        rows = np.arange(len(batch))
        if known is not None:
            rows = np.flatnonzero(null_mask_of(known))
        line = batch.line
        assert line is not None
        asked = EntryBatch(
            _NO_STREAMS,
            np.zeros(len(rows), np.uint32),
            batch.timestamp_ns[rows],
            line.take(pa.array(rows)),
        )
        back = np.full(len(batch), -1)
        back[rows] = np.arange(len(rows))
        places = pa.array(back, mask=back < 0)
        return [
            found.take(places)
            for parser in self._parsers_of(tuple(sources))
            for found in _parsed(parser, asked, len(sources))
        ]

    def _parsers_of(self, sources: tuple[str, ...]) -> list[Pipeline]:
        parsers = self._parsers.get(sources)
        if parsers is None:
            if len(self._parsers) >= self._KEPT_MAX:
                self._parsers.clear()
            parsers = self._parsers[sources] = _new_parsers(sources)
        return parsers


_NO_STREAMS = (LabelSet.of({}),)


def _new_parsers(sources: Sequence[str]) -> list[Pipeline]:
    names = [f"f{number}" for number in range(len(sources))]
    named = list(zip(names, sources, strict=True))
    paths = [
        ast.JsonExtraction(name, path)
        for name, source in named
        if (path := _path_of(source)) is not None
    ]
    keys = [ast.LogfmtExtraction(name, source) for name, source in named]
    wants = Wants(frozenset(names), line=False, hints=Hints(preserve_error=True))
    stages: list[ast.Stage] = [ast.LogfmtParser(tuple(keys))] if keys else []
    if paths:
        stages.insert(0, ast.JsonParser(tuple(paths)))
    return [Pipeline((stage,), wants) for stage in stages]


def _path_of(source: str) -> str | None:
    """Return where a field is in JSON: `a.b` is in an object, `a-b` is a key.

    None where no path leads to it.
    """
    for path in (source, f"[{quote(source)}]"):
        try:
            parse_path(path)
        except PathInvalid:
            continue
        return path
    return None


def _parsed(parser: Pipeline, batch: EntryBatch, count: int) -> list[Texts]:
    frame = parser.run(batch, StreamTable(batch.streams))
    values = (frame.value(f"f{number}") for number in range(count))
    return [_text_of(value) for value in values if value is not None]


def _text_of(values: pl.Series) -> Texts:
    """Return values as a column; an empty one is none."""
    column = values.to_arrow().cast(pa.large_string())
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    return pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.large_string()), column)


def _known(batch: EntryBatch, sources: Sequence[str]) -> list[Texts]:
    """Return what labels and metadata say."""
    stream = pa.array(batch.stream)
    found = []
    for source in sources:
        values = [labels.get(source) or None for labels in batch.streams]
        if any(values):
            found.append(pa.array(values, pa.large_string()).take(stream))
    found += [batch.metadata[source] for source in sources if source in batch.metadata]
    return found


def _joined(columns: Sequence[Texts | None]) -> Texts | None:
    """Return the first value of each row; None where there are no columns."""
    given = [column for column in columns if column is not None]
    return pc.coalesce(*given) if given else None
