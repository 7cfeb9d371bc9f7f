"""What is in a pack or a block file, as rows for people and programs.

Tables follow each other; a row that has other keys than the one before it
starts the next table. Footers and directories are read, log data is not decoded;
with `check`, its checksums are compared. Times are ns, inclusive. Pure.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from loki_py.chunks.block_reader import BlockFile
from loki_py.chunks.pack_reader import PackFooter
from loki_py.errors import CorruptData

Row: TypeAlias = Mapping[str, Any]

OK = "ok"
NOT_CHECKED = "not checked"


def pack_rows(buffer: "pa.Buffer", *, check: bool = True) -> Iterator[Row]:
    """Yield the pack itself, its row groups, then its chunks.

    Raises: CorruptData where header or footer are not a pack's.
    """
    footer = PackFooter.decode(buffer, object_bytes=len(buffer))
    yield {
        "tenant": footer.tenant,
        "writer": footer.writer,
        "bytes": footer.object_bytes,
        "rows": footer.rows,
        "line_bytes": int(footer.row_groups["line_bytes"].sum()),
        "row_groups": len(footer.row_groups),
        "chunks": len(footer.chunks),
        "metadata": ", ".join(footer.metadata_names),
    }
    for number, group in enumerate(footer.row_groups.iter_rows(named=True)):
        state = _row_group_state(buffer, footer, number) if check else NOT_CHECKED
        yield {"row_group": number, **group, "state": state}
    yield from footer.chunks.iter_rows(named=True)


def block_file_rows(buffer: "pa.Buffer", *, check: bool = True) -> Iterator[Row]:
    """Yield the file itself, its tenants, its blocks, then its streams.

    Raises: CorruptData where header, footer or trailer are not a block file's.
    """
    file = BlockFile(buffer)
    yield {
        "ingester": file.header.ingester_id,
        "generation": file.header.generation,
        "segment_max": file.header.segment_max,
        "bytes": file.file_bytes,
        "tenants": len(file.tenants),
    }
    for tenant in file.tenants:
        extent = file.extent(tenant)
        yield {
            "tenant": tenant,
            "blocks": extent.blocks,
            "streams": extent.streams,
            "rows": extent.rows,
            "line_bytes": extent.line_bytes,
            "metadata_bytes": extent.metadata_bytes,
            "min_ns": extent.min_ns,
            "max_ns": extent.max_ns,
        }
    for block in file.directory_rows():
        state = _block_state(file, block["block"]) if check else NOT_CHECKED
        yield {**block, "state": state}
    for tenant in file.tenants:
        yield from _stream_rows(file, tenant)


def _row_group_state(buffer: "pa.Buffer", footer: PackFooter, number: int) -> str:
    try:
        for offset, length in footer.column_chunks(number, footer.column_names):
            footer.pieces.check(offset, buffer.slice(offset, length))
    except CorruptData as error:
        return str(error)
    return OK


def _block_state(file: BlockFile, block: int) -> str:
    try:
        file.check(block)
    except CorruptData as error:
        return str(error)
    return OK


def _stream_rows(file: BlockFile, tenant: str) -> Iterator[Row]:
    runs = file.stream_runs(tenant)
    order = np.argsort(runs.stream, kind="stable")
    edges = np.searchsorted(
        runs.stream[order], np.arange(len(file.streams(tenant)) + 1)
    )
    for labels, (start, end) in zip(
        file.streams(tenant), pairwise(edges.tolist()), strict=True
    ):
        mine = order[start:end]
        yield {
            "tenant": tenant,
            "labels": labels.text,
            "runs": len(mine),
            "min_ns": int(runs.min_ns[mine].min()),
            "max_ns": int(runs.max_ns[mine].max()),
        }
