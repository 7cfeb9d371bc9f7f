"""Results of queries: entries and samples, as rows, Arrow, polars or pandas.

Column names: `timestamp`, then `line` or `value`, then every label by its name; a
label that is itself called like one of those gets `_label` added.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from loki_py.client.answers import Rows, SampleAnswer
from loki_py.client.entries import Entry

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

NS_PER_MS = 1_000_000
_TAKEN = {"timestamp", "line", "value"}


class _Frame(ABC):
    """What can be turned into a table of the libraries that people use."""

    @abstractmethod
    def to_arrow(self) -> Any:
        """Return a `pyarrow.Table`; timestamps are nanoseconds in UTC."""

    def to_polars(self) -> "pl.DataFrame":
        """Return a polars frame."""
        import polars as pl  # noqa: PLC0415  # only who asks for it pays

        frame = pl.from_arrow(self.to_arrow())
        assert isinstance(frame, pl.DataFrame)
        return frame

    def to_pandas(self) -> "pd.DataFrame":
        """Return a pandas frame.

        Raises: ModuleNotFoundError where pandas is not installed; nothing else
            needs it.
        """
        frame: pd.DataFrame = self.to_arrow().to_pandas()
        return frame


class Entries(_Frame):
    """The entries of a log query, in the order of their times.

    In tables the labels of streams are dictionary columns; structured metadata
    and what the query's parsers found are columns of text.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    @property
    def warnings(self) -> list[str]:
        """What the store said beside the result."""
        return list(self._rows.warnings)

    @property
    def lines(self) -> list[str]:
        """The lines alone."""
        return list(self._rows.lines)

    def __len__(self) -> int:
        return len(self._rows.lines)

    def __iter__(self) -> Iterator[Entry]:
        rows = self._rows
        extras: Iterable[dict[str, str]] = ({} for _ in rows.lines)
        if rows.extras:
            extras = (extra.merged() for extra in rows.extras)
        columns = zip(rows.stream, rows.lines, rows.timestamp_ns, extras, strict=True)
        for stream, line, timestamp_ns, metadata in columns:
            yield Entry(rows.streams[stream], line, timestamp_ns, metadata)

    def __repr__(self) -> str:
        return f"<{len(self)} entries of {len(self._rows.streams)} streams>"

    def to_arrow(self) -> Any:
        import pyarrow as pa  # noqa: PLC0415  # only who asks for it pays

        rows = self._rows
        columns = {
            "timestamp": _timestamps(rows.timestamp_ns),
            "line": pa.array(rows.lines, pa.large_string()),
        }
        stream = pa.array(rows.stream, pa.int32())
        extras = [extra.merged() for extra in rows.extras]
        extra_names = {name for extra in extras for name in extra}
        for name in sorted({name for labels in rows.streams for name in labels}):
            values = [labels.get(name) for labels in rows.streams]
            if name in extra_names:
                # A name that is a label here and metadata there is one column.
                own = (values[index] for index in rows.stream)
                given = zip(extras, own, strict=True)
                found = [extra.get(name, value) for extra, value in given]
                column = pa.array(found, pa.large_string())
            else:
                column = _dictionary(values, stream)
            columns[_column_name(name)] = column
            extra_names.discard(name)
        for name in sorted(extra_names):
            found = [extra.get(name) for extra in extras]
            columns[_column_name(name)] = pa.array(found, pa.large_string())
        return pa.table(columns)


class Samples(_Frame):
    """The samples of a metric query, series by series."""

    def __init__(self, answer: SampleAnswer) -> None:
        self._answer = answer

    @property
    def warnings(self) -> list[str]:
        """What the store said beside the result."""
        return list(self._answer.warnings)

    def __len__(self) -> int:
        return sum(len(series.samples) for series in self._answer.series)

    def __iter__(self) -> Iterator[tuple[dict[str, str], list[tuple[int, float]]]]:
        """Yield the labels of each series, and its times in ns and values."""
        for series in self._answer.series:
            yield (
                series.labels,
                [
                    (_ns_of_seconds(seconds), float(value))
                    for seconds, value in series.samples
                ],
            )

    def __repr__(self) -> str:
        return f"<{len(self)} samples of {len(self._answer.series)} series>"

    def to_arrow(self) -> Any:
        import pyarrow as pa  # noqa: PLC0415  # only who asks for it pays

        series = self._answer.series
        samples = [sample for found in series for sample in found.samples]
        owner = [at for at, found in enumerate(series) for _ in found.samples]
        columns = {
            "timestamp": _timestamps([_ns_of_seconds(time) for time, _ in samples]),
            "value": pa.array([float(value) for _, value in samples], pa.float64()),
        }
        index = pa.array(owner, pa.int32())
        for name in sorted({name for found in series for name in found.labels}):
            values = [found.labels.get(name) for found in series]
            columns[_column_name(name)] = _dictionary(values, index)
        return pa.table(columns)


def _column_name(label: str) -> str:
    return f"{label}_label" if label in _TAKEN else label


def _ns_of_seconds(seconds: float) -> int:
    """Return nanoseconds; the store prints milliseconds."""
    return round(seconds * 1000) * NS_PER_MS


def _timestamps(timestamps_ns: Sequence[int]) -> Any:
    import pyarrow as pa  # noqa: PLC0415  # only who asks for it pays

    return pa.array(timestamps_ns, pa.int64()).cast(pa.timestamp("ns", "UTC"))


def _dictionary(values: Sequence[str | None], index: Any) -> Any:
    """Return `values[i] for i in index` as a dictionary column."""
    import pyarrow as pa  # noqa: PLC0415  # only who asks for it pays

    encoded = pa.array(values, pa.string()).dictionary_encode()
    codes = encoded.indices.take(index)
    return pa.DictionaryArray.from_arrays(codes, encoded.dictionary)
