"""Tables of any library to the rows of pushes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from loki_py.client.bodies import Item, Key

LINE = "line"
TIMESTAMP = "timestamp"


def table_items(
    table: Any, *, labels: Sequence[str], metadata: Sequence[str] | None
) -> Iterator[Item]:
    """Yield the rows of an Arrow table, or a polars or pandas frame.

    Raises: KeyError where a column is missing, ValueError where a line or a
        timestamp is.
    """
    import pyarrow as pa  # noqa: PLC0415  # only who pushes tables pays

    found = table if isinstance(table, pa.Table) else pa.table(table)
    special = {LINE, TIMESTAMP, *labels}
    if metadata is None:
        metadata = [name for name in found.column_names if name not in special]
    for name in (TIMESTAMP, LINE):
        if found[name].null_count:
            raise ValueError(f"{found[name].null_count} rows have no {name}")
    timestamps = found[TIMESTAMP]
    if pa.types.is_timestamp(timestamps.type):
        timestamps = timestamps.cast(pa.timestamp("ns", timestamps.type.tz))
    stamps = timestamps.cast(pa.int64()).cast(pa.string()).to_pylist()
    keys = _keys(len(stamps), {name: _texts(found[name]) for name in labels})
    rows = zip(keys, stamps, _texts(found[LINE]), strict=True)
    if not metadata:
        yield from ((key, (stamp, line)) for key, stamp, line in rows)
        return
    columns = zip(*(_texts(found[name]) for name in metadata), strict=True)
    for (key, stamp, line), row in zip(rows, columns, strict=True):
        pairs = zip(metadata, row, strict=True)
        present = {name: value for name, value in pairs if value is not None}
        yield key, (stamp, line, present) if present else (stamp, line)


def _texts(column: Any) -> list[Any]:
    import pyarrow as pa  # noqa: PLC0415  # only who pushes tables pays

    kind = column.type
    held = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not (pa.types.is_string(held) or pa.types.is_string_view(held)):
        column = column.cast(pa.large_string())
    texts: list[Any] = column.to_pylist()
    return texts


def _keys(
    rows_count: int, columns: Mapping[str, Sequence[str | None]]
) -> Iterator[Key]:
    """Yield each row's labels; where a row has none, the label is left out."""
    names = sorted(columns)
    if not names:
        yield from ((),) * rows_count
        return
    known: dict[tuple[str | None, ...], Key] = {}
    for row in zip(*(columns[name] for name in names), strict=True):
        key = known.get(row)
        if key is None:
            pairs = zip(names, row, strict=True)
            key = tuple((name, value) for name, value in pairs if value is not None)
            known[row] = key
        yield key
