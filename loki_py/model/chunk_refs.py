"""Chunk refs: one row per flushed chunk, as packs and index files share them."""

import polars as pl

CHUNK_COLUMNS: dict[str, type[pl.DataType]] = {
    "fingerprint": pl.UInt64,
    "labels": pl.String,
    "from": pl.Int64,
    "through": pl.Int64,
    "entries": pl.Int64,
    "bytes": pl.Int64,
    "row_group_first": pl.Int64,
    "row_groups": pl.Int64,
    "row_first": pl.Int64,
    "rows": pl.Int64,
}
"""Columns of a table of chunks within one pack, in this order.

- `fingerprint`, `labels`: the stream, hash and canonical text.
- `from`, `through`: ns of the oldest and of the newest entry, both inclusive.
- `entries`, `bytes`: how many, and bytes of their lines.
- `row_group_first`, `row_groups`: the row groups that hold any of it.
- `row_first`, `rows`: its rows, counted through the whole pack.
"""
