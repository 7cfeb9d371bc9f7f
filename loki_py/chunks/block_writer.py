"""Write a block file: sorted batches in, buffers to write out. Pure."""

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loki_py.chunks import blocks
from loki_py.chunks.blocks import BlockFileHeader, FrameKind
from loki_py.chunks.line_checks import LineChecks
from loki_py.encoding.checksum import Buffer
from loki_py.encoding.framing import encode_frame, frame_bytes
from loki_py.model.batch import EntryBatch
from loki_py.model.labels import LabelSet

_RUNS_WITHOUT_CHECKS = pa.schema(list(blocks.RUNS_SCHEMA)[:-1])

_Ints = npt.NDArray[np.int64]


def encode_block_file(
    header: BlockFileHeader,
    batches: Iterable[tuple[str, EntryBatch]],
    *,
    block_bytes: int = blocks.BLOCK_BYTES,
) -> Iterator[Buffer]:
    """Yield, in order, the buffers that make up one block file.

    The caller writes them to a temporary name, fsyncs and renames; a file that
    is not whole is refused by `BlockFile.open`.

    Args:
        batches: (tenant, batch); each tenant at most once and in ascending
            order, each batch as `sort_and_deduplicate` returns it; batches
            without rows are skipped. Taken one by one, so that a generator
            keeps only one tenant's batch alive.
        block_bytes: where to cut; smaller in tests.
    """
    assert block_bytes > 0
    first, seed = blocks.encode_header(header)
    yield first
    directory = _Directory(end=len(first))
    for tenant, batch in batches:
        if len(batch) == 0:
            continue
        starts = _block_starts(batch, block_bytes)
        directory.add_tenant(tenant, batch, starts)
        for start, end in zip(starts, [*starts[1:], len(batch)], strict=True):
            for kind, payload in directory.add_block(batch.slice(start, end)):
                yield from encode_frame(kind, [payload], seed=seed)
    footer = encode_frame(FrameKind.FOOTER, directory.encode(), seed=seed)
    yield from footer
    yield blocks.encode_trailer(
        footer_offset=directory.end,
        footer_end=directory.end + sum(map(len, footer)),
    )


class _Directory:
    """What the footer says, gathered while blocks go by.

    Attributes:
        end: where the next section starts.
    """

    def __init__(self, *, end: int) -> None:
        self.end = end
        self._tenants: list[str] = []
        self._series: list[tuple[int, LabelSet]] = []
        self._blocks: list[dict[str, object]] = []
        self._runs: list[pa.RecordBatch] = []
        self._runs_crcs: list[npt.NDArray[np.uint32]] = []

    def add_tenant(self, tenant: str, batch: EntryBatch, starts: list[int]) -> None:
        """Number the batch's streams and note their runs.

        Args:
            starts: the first row of each block that will be added.
        """
        assert not self._tenants or tenant > self._tenants[-1]
        number = len(self._tenants)
        self._tenants.append(tenant)
        changes = np.flatnonzero(batch.stream[1:] != batch.stream[:-1]) + 1
        stream_starts = np.concatenate(([0], changes))
        positions = batch.stream[stream_starts].tolist()
        assert len(set(positions)) == len(positions), "rows are not in file order"
        self._series += [(number, batch.streams[p]) for p in positions]
        self._runs.append(
            _runs_of(
                batch, stream_starts, np.array(starts), block_first=len(self._blocks)
            )
        )

    def add_block(self, batch: EntryBatch) -> Iterator[tuple[FrameKind, pa.Buffer]]:
        """Yield the sections of the next block of the tenant added last."""
        names = [n for n, c in batch.metadata.items() if c.null_count < len(c)]
        has_rest = batch.metadata_rest is not None
        self._blocks.append(
            {
                "tenant": len(self._tenants) - 1,
                "metadata_offset": 0,
                "rows": len(batch),
                "line_bytes": int(batch.line_bytes().sum()),
                "metadata_bytes": int(batch.metadata_bytes().sum()),
                "min_ns": int(batch.timestamp_ns.min()),
                "max_ns": int(batch.timestamp_ns.max()),
                "metadata_names": names,
                "has_rest": has_rest,
            }
        )
        columns = [batch.metadata[name] for name in names]
        columns += [batch.metadata_rest] if has_rest else []
        schema = blocks.metadata_schema(names, has_rest=has_rest)
        yield self._section(
            FrameKind.TIMESTAMPS,
            pa.record_batch([batch.timestamp_ns], blocks.TIMESTAMPS_SCHEMA),
        )
        if columns:
            yield self._section(FrameKind.METADATA, pa.record_batch(columns, schema))
        kind, payload = self._section(
            FrameKind.LINES, pa.record_batch([batch.line], blocks.LINES_SCHEMA)
        )
        self._note_line_checks(payload)
        yield kind, payload

    def _note_line_checks(self, payload: "pa.Buffer") -> None:
        """Note the checksums of the lines of each run of the block added last."""
        block = len(self._blocks) - 1
        runs = self._runs[-1]
        first, end = np.searchsorted(runs["block"].to_numpy(), [block, block + 1])
        runs = runs.slice(first, end - first)
        checks = LineChecks.of(
            payload, runs["row_first"].to_numpy(), runs["rows"].to_numpy()
        )
        self._blocks[-1]["lines_head_bytes"] = checks.head_bytes
        self._blocks[-1]["lines_head_crc"] = checks.head_crc
        self._runs_crcs.append(checks.runs)

    def encode(self) -> list[Buffer]:
        """Return the payload of the footer."""
        no_runs = pa.RecordBatch.from_pylist([], _RUNS_WITHOUT_CHECKS)
        crcs = np.concatenate([np.zeros(0, np.uint32), *self._runs_crcs])
        return blocks.encode_footer(
            [
                pa.record_batch([self._tenants], blocks.TENANTS_SCHEMA),
                _series_of(self._series),
                pa.RecordBatch.from_pylist(self._blocks, blocks.BLOCKS_SCHEMA),
                pa.concat_batches([no_runs, *self._runs]).append_column(
                    blocks.RUNS_SCHEMA.field("lines_crc"), pa.array(crcs)
                ),
            ]
        )

    def _section(
        self, kind: FrameKind, rows: "pa.RecordBatch"
    ) -> tuple[FrameKind, "pa.Buffer"]:
        payload = rows.serialize()
        self._blocks[-1][f"{kind.name.lower()}_offset"] = self.end
        self.end += frame_bytes(len(payload))
        return kind, payload


def _block_starts(batch: EntryBatch, block_bytes: int) -> list[int]:
    """Return the first row of each block."""
    ends = np.cumsum(batch.line_bytes() + batch.metadata_bytes())
    starts = [0]
    while True:
        start = starts[-1]
        before = int(ends[start - 1]) if start else 0
        full = int(np.searchsorted(ends, before + block_bytes)) + 1
        end = min(full, start + blocks.BLOCK_ROWS_MAX)
        if end >= len(batch):
            return starts
        starts.append(end)


def _runs_of(
    batch: EntryBatch, stream_starts: _Ints, block_starts: _Ints, *, block_first: int
) -> "pa.RecordBatch":
    """Return the runs table: one row per stream and block that share rows."""
    starts = np.union1d(stream_starts, block_starts)
    rows = np.diff(np.append(starts, len(batch)))
    block = np.searchsorted(block_starts, starts, side="right") - 1
    return pa.record_batch(
        [
            (block + block_first).astype(np.uint32),
            (np.searchsorted(stream_starts, starts, "right") - 1).astype(np.uint32),
            starts - block_starts[block],
            rows,
            batch.timestamp_ns[starts],
            batch.timestamp_ns[starts + rows - 1],
            np.add.reduceat(batch.line_bytes(), starts),
        ],
        _RUNS_WITHOUT_CHECKS,
    )


def _series_of(series: list[tuple[int, LabelSet]]) -> "pa.RecordBatch":
    pairs = [labels.pairs for _, labels in series]
    return pa.record_batch(
        [
            [tenant for tenant, _ in series],
            [[name for name, _ in labels] for labels in pairs],
            [[value for _, value in labels] for labels in pairs],
        ],
        blocks.SERIES_SCHEMA,
    )
