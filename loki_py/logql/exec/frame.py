"""Frames: the rows of a batch while they pass a pipeline, as columns."""

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from loki_py.logql.exec.stream_table import StreamTable
from loki_py.model.batch import EntryBatch, StreamIndex, Timestamps
from loki_py.model.line_facts import LineFacts

Mask: TypeAlias = npt.NDArray[np.bool_]
Rows: TypeAlias = npt.NDArray[np.int64]

ERROR = "__error__"
ERROR_DETAILS = "__error_details__"
DUPLICATE_SUFFIX = "_extracted"


class Frame:
    """n rows with labels in three categories: stream, metadata, parsed.

    What is known of the lines (`facts`) is forgotten when they change.

    Label columns are String with null for "has no such label". A parsed label
    hides a metadata label of its name, and both hide a stream label. Errors
    are labels of their own kind.
    """

    __slots__ = (
        "_line",
        "error",
        "error_details",
        "facts",
        "metadata",
        "parsed",
        "preserved",
        "removed",
        "renamed",
        "row",
        "stream",
        "table",
        "timestamp_ns",
    )

    def __init__(
        self,
        table: StreamTable,
        *,
        row: Rows,
        stream: StreamIndex,
        timestamp_ns: Timestamps,
        line: pl.Series | None,
    ) -> None:
        self.table = table
        self.row = row
        self.stream = stream
        self.timestamp_ns = timestamp_ns
        self._line = line
        self.facts: LineFacts | None = None
        self.metadata: dict[str, pl.Series] = {}
        self.parsed: dict[str, pl.Series] = {}
        self.renamed: dict[str, pl.Series] = {}
        self.removed: dict[str, Mask] = {}
        self.error: pl.Series | None = None
        self.error_details: pl.Series | None = None
        self.preserved: Mask | None = None

    def __len__(self) -> int:
        return len(self.timestamp_ns)

    @property
    def line(self) -> pl.Series | None:
        """The current lines; None where nobody reads them."""
        return self._line

    @line.setter
    def line(self, lines: pl.Series) -> None:
        self._line = lines
        self.facts = None

    @property
    def lines(self) -> pl.Series:
        """The current lines; the plan asked for them."""
        assert self._line is not None
        return self._line

    def value(self, name: str) -> pl.Series | None:
        """Return the label's value per row, null where missing; None if nowhere.

        The details of errors show in results alone; here they are missing.
        """
        if name == ERROR:
            return self.error
        found = self.parsed.get(name)
        below = self.metadata.get(name)
        if below is not None:
            found = (
                below if found is None else found.zip_with(found.is_not_null(), below)
            )
        stream = self.stream_value(name)
        if stream is None:
            return found
        if found is None:
            return stream
        return found.zip_with(found.is_not_null(), stream)

    def stream_value(self, name: str) -> pl.Series | None:
        """Return the stream label per row, null where missing or removed."""
        set_later = self.renamed.get(name)
        column = self.table.column(name)
        if column is None:
            return set_later
        values = column.gather(pl.Series(self.stream))
        removed = self.removed.get(name)
        if removed is not None:
            values = with_nulls(values, removed)
        if set_later is None:
            return values
        return set_later.zip_with(set_later.is_not_null(), values)

    def visible_stream_value(self, name: str) -> pl.Series | None:
        """Return the stream label per row, null where another category hides it."""
        values = self.stream_value(name)
        for columns in (self.parsed, self.metadata):
            if values is not None and name in columns:
                values = with_nulls(values, columns[name].is_not_null().to_numpy())
        return values

    def stream_has(self, name: str) -> Mask | None:
        """Return where the row's stream has the label, removed or not."""
        has = self.table.has(name)
        return None if has is None else has[self.stream]

    def names(self) -> list[str]:
        """Return every label name that some row may have, errors aside."""
        own = [*self.renamed, *self.metadata, *self.parsed]
        below = [*self.table.names(), *own]
        return list(dict.fromkeys(below))

    def set_parsed(
        self, name: str, values: pl.Series, where: Mask | None = None
    ) -> None:
        """Set a parsed label: on all rows, or where `where`; null sets nothing."""
        if where is not None:
            values = with_nulls(values, ~where)
        old = self.parsed.get(name)
        below = self.metadata.get(name)
        if below is not None:
            self.metadata[name] = with_nulls(below, present_in(values))
        if old is not None:
            values = values.zip_with(values.is_not_null(), old)
        self.parsed[name] = values

    def remove(self, name: str, where: Mask | None = None) -> None:
        """Remove a label of every category, on all rows or where `where`."""
        mask = np.ones(len(self), dtype=np.bool_) if where is None else where
        for columns in (self.parsed, self.metadata, self.renamed):
            if name in columns:
                columns[name] = with_nulls(columns[name], mask)
        if self.table.column(name) is not None:
            old = self.removed.get(name)
            self.removed[name] = mask if old is None else old | mask

    def rename(self, source: str, target: str) -> None:
        """Give a label another name; its category stays, and so does what hides it."""
        stream = self.visible_stream_value(source)
        metadata = self.metadata.get(source)
        if metadata is not None and source in self.parsed:
            hidden = self.parsed[source].is_not_null().to_numpy()
            metadata = with_nulls(metadata, hidden)
        parsed = self.parsed.get(source)
        if parsed is not None:
            self.set_parsed(target, parsed)
        if metadata is not None:
            self._set_below(self.metadata, target, metadata, (self.parsed,))
        if stream is not None:
            above = (self.parsed, self.metadata)
            self._set_below(self.renamed, target, stream, above)
        where = np.zeros(len(self), dtype=np.bool_)
        for values in (parsed, metadata, stream):
            if values is not None:
                where |= values.is_not_null().to_numpy()
        self.remove(source, where)

    def _set_below(
        self,
        columns: dict[str, pl.Series],
        name: str,
        values: pl.Series,
        above: tuple[dict[str, pl.Series], ...],
    ) -> None:
        """Set a label of a category, unless a category above has the name."""
        for other in above:
            if name in other:
                values = with_nulls(values, other[name].is_not_null().to_numpy())
        old = columns.get(name)
        if old is not None:
            values = values.zip_with(values.is_not_null(), old)
        columns[name] = values

    def copy(self) -> "Frame":
        """Return a frame with the same rows and labels, to be changed apart."""
        twin = Frame(
            self.table,
            row=self.row,
            stream=self.stream,
            timestamp_ns=self.timestamp_ns,
            line=self._line,
        )
        twin.facts = self.facts
        twin.metadata = dict(self.metadata)
        twin.parsed = dict(self.parsed)
        twin.renamed = dict(self.renamed)
        twin.removed = dict(self.removed)
        twin.error, twin.error_details = self.error, self.error_details
        twin.preserved = self.preserved
        return twin

    def set_error(self, where: Mask, error: str, details: pl.Series) -> None:
        """Set the error of rows; the last counts, but for details that it lacks."""
        if not where.any():
            return
        mask = pl.Series(where)
        old = NULL if self.error is None else self.error
        self.error = pl.Series([error]).zip_with(mask, old)
        old_details = NULL if self.error_details is None else self.error_details
        self.error_details = details.zip_with(mask & details.is_not_null(), old_details)

    def has_error(self) -> Mask:
        """Return where a row has an error."""
        if self.error is None:
            return np.zeros(len(self), dtype=np.bool_)
        return self.error.is_not_null().to_numpy()

    def clear_error(self, where: Mask) -> None:
        """Forget the errors of rows, details apart."""
        if self.error is not None:
            self.error = with_nulls(self.error, where)

    def clear_error_details(self, where: Mask) -> None:
        """Forget the error details of rows."""
        if self.error_details is not None:
            self.error_details = with_nulls(self.error_details, where)

    def filter(self, keep: Mask) -> None:
        """Drop the rows where `keep` is false."""
        if keep.all():
            return
        mask = pl.Series(keep)
        self.row = self.row[keep]
        self.stream = self.stream[keep]
        self.timestamp_ns = self.timestamp_ns[keep]
        if self._line is not None:
            self._line = self._line.filter(mask)
        if self.facts is not None:
            self.facts = self.facts.of_some()
        for columns in (self.metadata, self.parsed, self.renamed):
            for name, values in columns.items():
                columns[name] = values.filter(mask)
        self.removed = {name: old[keep] for name, old in self.removed.items()}
        if self.preserved is not None:
            self.preserved = self.preserved[keep]
        if self.error is not None:
            self.error = self.error.filter(mask)
        if self.error_details is not None:
            self.error_details = self.error_details.filter(mask)


NULL = pl.Series([None], dtype=pl.String)


def present_in(values: pl.Series) -> Mask:
    """Return where the values are not null."""
    if not values.null_count():
        return np.ones(len(values), np.bool_)
    return values.is_not_null().to_numpy()


def with_nulls(values: pl.Series, where: Mask) -> pl.Series:
    """Return the values with null where `where`."""
    return values.zip_with(pl.Series(~where), NULL) if where.any() else values


def constant(value: str | None, count: int) -> pl.Series:
    """Return `count` times the value."""
    return pl.repeat(value, count, dtype=pl.String, eager=True)


def frame_of(
    batch: EntryBatch,
    table: StreamTable,
    *,
    metadata_wanted: frozenset[str] | None,
    rows: Rows | None,
    lines: pl.Series | None,
) -> Frame:
    """Return the frame of a batch's rows, with the metadata labels that are wanted.

    A metadata name that the row's stream has as a label is exposed as
    `<name>_extracted`; `metadata_wanted` holds exposed names, None is all.

    Args:
        rows: which rows; None for all.
        lines: of those rows; None where nobody reads them.
    """
    frame = Frame(
        table,
        row=np.arange(len(batch)) if rows is None else rows,
        stream=batch.stream if rows is None else batch.stream[rows],
        timestamp_ns=batch.timestamp_ns if rows is None else batch.timestamp_ns[rows],
        line=lines,
    )
    if batch.facts is not None and lines is not None:
        frame.facts = batch.facts if rows is None else batch.facts.of_some()
    at = None if rows is None else pl.Series(rows)
    for name, column in _metadata_columns(batch, metadata_wanted):
        values = pl.Series(pl.from_arrow(column))
        if at is not None:
            values = values.gather(at)
        taken = frame.stream_has(name)
        if taken is None or not taken.any():
            _add_metadata(frame, name, values, metadata_wanted)
            continue
        _add_metadata(frame, name, with_nulls(values, taken), metadata_wanted)
        moved = with_nulls(values, ~taken)
        _add_metadata(frame, name + DUPLICATE_SUFFIX, moved, metadata_wanted)
    return frame


def _add_metadata(
    frame: Frame, name: str, values: pl.Series, wanted: frozenset[str] | None
) -> None:
    if (wanted is not None and name not in wanted) or values.null_count() == len(
        values
    ):
        return
    old = frame.metadata.get(name)
    if old is not None:
        values = old.zip_with(old.is_not_null(), values)
    frame.metadata[name] = values


def metadata_sources(exposed: frozenset[str]) -> frozenset[str]:
    """Return the stored metadata names that the exposed names may come from."""
    stems = {name.removesuffix(DUPLICATE_SUFFIX) for name in exposed}
    return exposed | stems


def _metadata_columns(
    batch: EntryBatch, wanted: frozenset[str] | None
) -> Iterator[tuple[str, "pa.LargeStringArray"]]:
    sources = None if wanted is None else metadata_sources(wanted)
    for name, column in batch.metadata.items():
        if sources is None or name in sources:
            yield name, column
    rest = batch.metadata_rest
    if rest is None:
        return
    names = set(pc.unique(rest.keys).to_pylist())
    for name in sorted(names if sources is None else names & sources):
        values = pc.map_lookup(rest, pa.scalar(name, pa.large_string()), "first")
        yield name, values.cast(pa.large_string())
