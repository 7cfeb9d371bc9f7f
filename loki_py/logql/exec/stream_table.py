"""The label sets of a source as columns."""

from collections.abc import Hashable, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from loki_py.logql.exec.stream_hash import stream_hash
from loki_py.model.batch import StreamIndex
from loki_py.model.labels import LabelSet
from loki_py.model.results import Labels

Mask: TypeAlias = npt.NDArray[np.bool_]
Rows: TypeAlias = npt.NDArray[np.int64]


class StreamTable:
    """The label sets of a source as columns, made once and kept by the plan."""

    def __init__(self, streams: Sequence[LabelSet]) -> None:
        self.streams = streams
        self.count = len(streams)
        self._columns: dict[str, pl.Series | None] = {}
        self._names: list[str] | None = None
        self._groups: dict[tuple[str, ...], list[Labels]] = {}
        self._hashes: dict[int, float] = {}
        self._has: dict[str, Mask | None] = {}
        self._codes: dict[tuple[str, ...], tuple[Rows, int]] = {}

    def column(self, name: str) -> pl.Series | None:
        """Return the label's value by stream, null where missing; None if nowhere."""
        if name not in self._columns:
            values = self._values(name)
            found = any(value is not None for value in values)
            self._columns[name] = pl.Series(name, values, pl.String) if found else None
        return self._columns[name]

    def _values(self, name: str) -> list[str | None]:
        return [each.as_dict.get(name) for each in self.streams[: self.count]]

    def has(self, name: str) -> Mask | None:
        """Return bool by stream, true where it has the label; None if nowhere."""
        if name not in self._has:
            column = self.column(name)
            self._has[name] = (
                None if column is None else column.is_not_null().to_numpy()
            )
        return self._has[name]

    def codes(self, names: tuple[str, ...]) -> tuple[Rows, int]:
        """Return a code by stream, equal where all the named labels are equal."""
        if names not in self._codes:
            keys = self._keys(names)
            ids = {key: i for i, key in enumerate(dict.fromkeys(keys))}
            codes = np.fromiter(map(ids.__getitem__, keys), np.int64, self.count)
            self._codes[names] = codes, max(len(ids), 1)
        return self._codes[names]

    def _keys(self, names: tuple[str, ...]) -> Sequence[Hashable]:
        """Return by stream what is equal where all the named labels are."""
        if len(names) == 1:
            return self._values(names[0])
        if not set(self.names()).difference(names):
            return self.streams[: self.count]
        return list(zip(*map(self._values, names), strict=True)) or [()] * self.count

    def groups(
        self, names: tuple[str, ...], stream: StreamIndex
    ) -> tuple[list[Labels], Rows]:
        """Return what the named labels can be, and which of those each row has."""
        codes, count = self.codes(names)
        if names not in self._groups:
            labels: list[Labels] = [()] * count
            stream_of = np.zeros(count, np.int64)
            stream_of[codes] = np.arange(self.count)
            for code, i in enumerate(stream_of.tolist() if self.count else ()):
                pairs = self.streams[i].as_dict
                labels[code] = tuple(sorted((n, pairs[n]) for n in names if n in pairs))
            self._groups[names] = labels
        return self._groups[names], codes[stream]

    def hashes(self, stream: StreamIndex) -> npt.NDArray[np.float64]:
        """Return per row the hash by which streams with equal times are ordered."""
        used, at = np.unique(stream, return_inverse=True)
        for i in used.tolist():
            if i not in self._hashes:
                self._hashes[i] = float(stream_hash(self.streams[i]))
        return np.array([self._hashes[i] for i in used.tolist()])[at]

    def names(self) -> list[str]:
        """Return every label name that occurs; the caller must not change it."""
        if self._names is None:
            streams = (self.streams[i] for i in range(self.count))
            found = dict.fromkeys(n for labels in streams for n, _ in labels.pairs)
            self._names = list(found)
        return self._names


class StreamTables:
    """The stream tables of one query's sources, by identity of `streams`."""

    def __init__(self) -> None:
        self._tables: dict[int, StreamTable] = {}

    def of(self, streams: Sequence[LabelSet]) -> StreamTable:
        """Return the table of the sequence; a grown sequence gets a new one."""
        table = self._tables.get(id(streams))
        if table is None or table.streams is not streams or table.count < len(streams):
            # Two threads may both come here; the tables are equal, one stays.
            table = StreamTable(streams)
            self._tables[id(streams)] = table
        return table
