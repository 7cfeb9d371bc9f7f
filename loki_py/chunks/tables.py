"""Small tables: as text, for the metadata of Parquet files, and as columns."""

import base64
import binascii
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from loki_py.errors import CorruptData


def text_of_table(table: pl.DataFrame) -> str:
    """Return the table as base64 of a zstd-compressed Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    arrow = table.to_arrow(compat_level=pl.CompatLevel.oldest())
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(sink, arrow.schema, options=options) as writer:
        writer.write_table(arrow)
    return base64.b64encode(sink.getvalue()).decode()


def table_of_text(text: bytes, columns: dict[str, type[pl.DataType]]) -> pl.DataFrame:
    """Return the table that was written, which must have these columns.

    Raises: CorruptData.
    """
    try:
        with pa.ipc.open_stream(base64.b64decode(text, validate=True)) as reader:
            table = pl.from_arrow(reader.read_all())
    except (pa.ArrowException, OSError, binascii.Error) as error:
        raise CorruptData(f"table of {len(text)} characters: {error}") from error
    assert isinstance(table, pl.DataFrame)
    if dict(table.schema) != columns:
        raise CorruptData(f"table has columns {dict(table.schema)}, not {columns}")
    return table


def texts_of_lists(lists: "pa.ListArray") -> list[list[str]]:
    """Return the texts of each list of a column."""
    # Three times faster than to_pylist of the lists themselves.
    texts = lists.flatten().to_pylist()
    ends = np.cumsum(lists.value_lengths().to_numpy()).tolist()
    return [texts[a:b] for a, b in zip([0, *ends], ends, strict=False)]


def numbers_of(
    table: "pa.RecordBatch", names: Sequence[str]
) -> dict[str, npt.NDArray[Any]]:
    """Return columns of numbers by name."""
    return {name: table[name].to_numpy(zero_copy_only=False) for name in names}


def starts_of(number: "pa.Array", count: int) -> npt.NDArray[np.int64]:
    """Return where the rows of each number below `count` start, and where all end.

    Args:
        number: ascending.
    """
    starts: npt.NDArray[np.int64] = np.searchsorted(
        number.to_numpy(), np.arange(count + 1)
    )
    return starts
