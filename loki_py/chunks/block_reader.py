"""Read a block file: a directory from its footer, then parts of blocks.

Pure: bytes come from a buffer, a memory map as a rule; nothing is opened here.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loki_py.chunks import blocks
from loki_py.chunks.block_parts import BlockPart, Selections, TenantExtent, parts_of
from loki_py.chunks.block_times import BlockTimes
from loki_py.chunks.blocks import BlockFileHeader, FrameKind
from loki_py.chunks.line_checks import LineChecks
from loki_py.chunks.line_runs import CUT_RUNS_MAX, LineRuns
from loki_py.chunks.row_selection import RowSelection, cut_runs, select_rows
from loki_py.chunks.tables import numbers_of, starts_of, texts_of_lists
from loki_py.encoding.framing import decode_frame, frame_at
from loki_py.errors import BadMagic, CorruptData
from loki_py.model.batch import EntryBatch, StreamIndex, Timestamps
from loki_py.model.labels import LabelSet
from loki_py.model.line_facts import unknown_kinds
from loki_py.model.scan import Columns, StreamRuns
from loki_py.model.views import ROOT_BYTES_MAX

_Ints = npt.NDArray[np.int64]

_SECTION_SCHEMAS = {
    FrameKind.TIMESTAMPS: blocks.TIMESTAMPS_SCHEMA,
    FrameKind.LINES: blocks.LINES_SCHEMA,
}
_OFFSET_COLUMNS = {
    FrameKind.TIMESTAMPS: "timestamps_offset",
    FrameKind.METADATA: "metadata_offset",
    FrameKind.LINES: "lines_offset",
}
_BLOCK_NUMBERS = [
    name
    for name in blocks.BLOCKS_SCHEMA.names
    if name not in {"tenant", "metadata_names"}
]


class BlockFile:
    """An open block file: immutable, shared by threads, no I/O of its own.

    Attributes:
        header: where the entries came from.
        tenants: who has entries here, ascending.
        file_bytes: size of the file.
        buffer: its bytes.
        line_kinds: what is known of each run of lines.
    """

    def __init__(self, buffer: "pa.Buffer") -> None:
        """See `open`."""
        self.buffer = buffer
        self.file_bytes = len(buffer)
        footer_offset = blocks.decode_trailer(buffer)
        self.header: BlockFileHeader
        self.header, self._seed, version = blocks.decode_header(buffer)
        payload = self._payload(FrameKind.FOOTER, footer_offset)
        tenants, series, directory, runs = blocks.decode_footer(
            payload, version=version
        )
        self.tenants: tuple[str, ...] = tuple(tenants["tenant"].to_pylist())
        self._directory = directory
        self._blocks = numbers_of(directory, _BLOCK_NUMBERS)
        self._runs = numbers_of(runs, blocks.RUNS_SCHEMA.names)
        self._runs["run"] = np.arange(len(runs))
        self._numbers = {tenant: n for n, tenant in enumerate(self.tenants)}
        self._series = series
        self._series_starts = starts_of(series["tenant"], len(self.tenants))
        block_starts = starts_of(directory["tenant"], len(self.tenants))
        self._run_starts = np.searchsorted(self._runs["block"], block_starts)
        self._block_starts = block_starts
        self._streams: dict[str, Sequence[LabelSet]] = {}
        self._selections = Selections()
        self.times = BlockTimes(buffer)
        self.line_kinds = unknown_kinds(len(runs))

    @classmethod
    def open(cls, buffer: "pa.Buffer") -> "BlockFile":
        """Return the file whose bytes (memory-mapped, as a rule) are `buffer`.

        Reads header, footer and trailer only.

        Raises:
            CorruptData: BadMagic, TruncatedData, BadChecksum, UnknownVersion.
        """
        return cls(buffer)

    def streams(self, tenant: str) -> Sequence[LabelSet]:
        """Return the tenant's label sets by stream number; the same object always.

        Sorted by (fingerprint, text). Empty where the tenant has no entries.
        """
        found = self._streams.get(tenant)
        if found is None:
            # Two threads may both decode; setdefault lets one of them win.
            found = self._streams.setdefault(tenant, self._decode_streams(tenant))
        return found

    def extent(self, tenant: str) -> TenantExtent:
        """Return how much of the file belongs to a tenant of `tenants`."""
        mine = self._blocks_of(tenant)
        columns = {name: values[mine] for name, values in self._blocks.items()}
        return TenantExtent(
            blocks=mine.stop - mine.start,
            streams=len(self.streams(tenant)),
            rows=int(columns["rows"].sum()),
            line_bytes=int(columns["line_bytes"].sum()),
            metadata_bytes=int(columns["metadata_bytes"].sum()),
            min_ns=int(columns["min_ns"].min()),
            max_ns=int(columns["max_ns"].max()),
        )

    def metadata_bytes(self, block: int) -> int:
        """Return the bytes of metadata that a block has."""
        return int(self._blocks["metadata_bytes"][block])

    def stream_runs(self, tenant: str) -> StreamRuns:
        """Return when each of the tenant's streams has entries."""
        mine = self._runs_of(tenant)
        return StreamRuns(
            self._runs["stream"][mine],
            self._runs["min_ns"][mine],
            self._runs["max_ns"][mine],
        )

    def metadata_names(self, tenant: str) -> list[str]:
        """Return the metadata names that have a column in any block, sorted."""
        mine = self._blocks_of(tenant)
        names = self._directory["metadata_names"].slice(
            mine.start, mine.stop - mine.start
        )
        return sorted(set(names.flatten().to_pylist()))

    def has_rest(self, tenant: str) -> bool:
        """Return whether any block has metadata in the map column."""
        return bool(self._blocks["has_rest"][self._blocks_of(tenant)].any())

    def directory_rows(self) -> Iterator[dict[str, Any]]:
        """Yield what the directory says of each block, for people to look at."""
        columns = self._directory.to_pydict()
        for block in range(len(self._directory)):
            row = {name: values[block] for name, values in columns.items()}
            row["tenant"] = self.tenants[row["tenant"]]
            row["metadata_names"] = ", ".join(row["metadata_names"])
            yield {"block": block, **row}

    def check(self, block: int) -> None:
        """Compare the checksums of a block.

        Raises: BadChecksum, BadMagic.
        """
        for kind in _OFFSET_COLUMNS:
            offset = int(self._blocks[_OFFSET_COLUMNS[kind]][block])
            if offset:
                self._payload(kind, offset)

    def select(
        self,
        tenant: str,
        wanted: npt.NDArray[np.bool_] | None,
        *,
        start_ns: int,
        end_ns: int,
    ) -> Sequence[BlockPart]:
        """Return a part per block that has rows of wanted streams in [start, end).

        Args:
            wanted: bool by position in `streams`; None for all streams.
        """
        if tenant not in self._numbers:
            return ()
        mine = self._runs_of(tenant)
        # Every time that covers the file is the same selection.
        start_ns = max(start_ns, int(self._runs["min_ns"][mine].min()))
        end_ns = min(end_ns, int(self._runs["max_ns"][mine].max()) + 1)
        if start_ns >= end_ns:
            return ()
        key = (tenant, None if wanted is None else wanted.tobytes(), start_ns, end_ns)
        found = self._selections.get(key)
        if found is None:
            runs = {name: values[mine] for name, values in self._runs.items()}
            found = parts_of(tenant, runs, wanted, start_ns=start_ns, end_ns=end_ns)
            self._selections.put(key, found)
        return found

    def read(
        self, part: BlockPart, columns: Columns, *, joined: bool = False
    ) -> EntryBatch:
        """Return the part's rows in file order; zero-copy where they adjoin.

        Lines that may be read in place come as views where rows do not adjoin, and
        where they are to be `joined` with those of other blocks of the file.

        `streams` of the batch is `self.streams(part.tenant)`. Reads only the
        sections that `columns` asks for and checks their crc each time.

        Raises:
            BadChecksum: this block's bytes changed; other blocks still read.
        """
        timestamp_ns = self._timestamps(part.block)
        selection = select_rows(
            part.runs.stream,
            part.row_first,
            part.rows,
            timestamp_ns,
            start_ns=part.start_ns,
            end_ns=part.end_ns,
        )
        line = None
        if columns.line:
            lines = self._lines_of(part)
            viewed = joined or selection.rows is not None
            line = self._lines(selection, lines, viewed=viewed and columns.in_place)
        return self._batch(part, columns, selection, timestamp_ns, line)

    def line_runs(self, part: BlockPart) -> LineRuns | None:
        """Return runs of the part's lines, to be searched in `buffer`.

        None where that is not worth it.

        Raises: BadChecksum.
        """
        if self.file_bytes > ROOT_BYTES_MAX:
            return None
        first, last = part.row_first, part.row_first + part.rows
        if part.is_cut and len(first) > CUT_RUNS_MAX:
            return None
        timestamp_ns = self._timestamps(part.block)
        if part.is_cut:
            times = part.start_ns, part.end_ns
            _, first, last = cut_runs(
                part.runs.stream, first, last, timestamp_ns, *times
            )
        lines = self._lines_of(part)
        return LineRuns.of(lines, timestamp_ns, self.buffer, first, last)

    def read_rows(
        self,
        part: BlockPart,
        columns: Columns,
        runs: LineRuns,
        wanted: npt.NDArray[np.bool_],
    ) -> EntryBatch:
        """Return the rows of some runs of the part that are in its time.

        Args:
            runs: of `line_runs`.
            wanted: bool, which of them.

        Raises: BadChecksum.
        """
        selection = runs.selection(part, wanted)
        line = self._lines(selection, runs.lines, viewed=columns.in_place)
        return self._batch(part, columns, selection, runs.timestamp_ns, line)

    def _lines(
        self, selection: RowSelection, lines: "pa.LargeStringArray", *, viewed: bool
    ) -> "pa.Array":
        if viewed and self.file_bytes <= ROOT_BYTES_MAX:
            return selection.in_place(lines, self.buffer)
        return selection.of_column(lines)

    def _batch(
        self,
        part: BlockPart,
        columns: Columns,
        selection: RowSelection,
        timestamp_ns: Timestamps,
        line: "pa.Array | None",
    ) -> EntryBatch:
        metadata, rest = self._metadata(part.block, selection, columns)
        return EntryBatch(
            self.streams(part.tenant),
            selection.stream,
            selection.of_numbers(timestamp_ns),
            line,
            metadata,
            rest,
        )

    def time_runs(
        self, part: BlockPart, columns: Columns
    ) -> tuple[StreamIndex, _Ints, _Ints] | None:
        """Return the part's runs as `TimeRuns` has them, rows being those of `times`.

        None where there is metadata, or times do not lie as they are used.

        Raises: BadChecksum.
        """
        block, start = part.block, self.times.first(part.block)
        if self._metadata_wanted(block, columns):
            return None
        if start is None:
            start = self.times.note(block, self._timestamps(block))
        else:
            offset = int(self._blocks["timestamps_offset"][block])
            self._payload(FrameKind.TIMESTAMPS, offset)
        if start is None:
            return None
        first = part.row_first + start
        runs = part.runs.stream, first, first + part.rows
        if part.is_cut:
            return cut_runs(*runs, self.times.all, part.start_ns, part.end_ns)
        return runs

    def _timestamps(self, block: int) -> Timestamps:
        timestamps = self._section(FrameKind.TIMESTAMPS, block)
        if len(timestamps) != self._blocks["rows"][block]:
            raise CorruptData(f"block {block} has {len(timestamps)} timestamps")
        values: Timestamps = timestamps.column(0).to_numpy()
        return values

    def _metadata_wanted(self, block: int, columns: Columns) -> bool:
        """Return whether the block has metadata, of any stream, that is wanted."""
        wanted = columns.metadata
        if wanted == frozenset():
            return False
        if self._blocks["has_rest"][block]:
            return True
        stored = self._directory["metadata_names"][block].as_py()
        return bool(stored) if wanted is None else not wanted.isdisjoint(stored)

    def _metadata(
        self, block: int, selection: RowSelection, columns: Columns
    ) -> "tuple[dict[str, pa.LargeStringArray], pa.MapArray | None]":
        wanted = columns.metadata
        has_rest = bool(self._blocks["has_rest"][block])
        stored = self._directory["metadata_names"][block].as_py()
        names = [name for name in stored if wanted is None or name in wanted]
        if wanted == frozenset() or not (names or has_rest):
            return {}, None
        section = self._section(FrameKind.METADATA, block)
        prefix = blocks.METADATA_PREFIX
        metadata = {n: selection.of_column(section[prefix + n]) for n in names}
        rest = section[blocks.REST_FIELD.name] if has_rest else None
        return metadata, None if rest is None else selection.of_column(rest)

    def _lines_of(self, part: BlockPart) -> "pa.LargeStringArray":
        """Return the lines of the block, of which only the part's may be used."""
        block = part.block
        checks = LineChecks(
            int(self._blocks["lines_head_bytes"][block]),
            int(self._blocks["lines_head_crc"][block]),
            part.lines_crc,
        )
        of_bytes = int(self._blocks["line_bytes"][block])
        if not checks.are_less(len(part.rows), part.line_bytes, of_bytes=of_bytes):
            return self._section(FrameKind.LINES, block).column(0)
        offset = int(self._blocks["lines_offset"][block])
        frame, _ = frame_at(self.buffer, offset, seed=self._seed)
        if frame.kind != FrameKind.LINES:
            raise BadMagic(f"frame at byte {offset} has kind {frame.kind}")
        return checks.lines_of(frame.payload, part.row_first, part.rows)

    def _section(self, kind: FrameKind, block: int) -> "pa.RecordBatch":
        if kind is FrameKind.METADATA:
            names = self._directory["metadata_names"][block].as_py()
            has_rest = bool(self._blocks["has_rest"][block])
            schema = blocks.metadata_schema(names, has_rest=has_rest)
        else:
            schema = _SECTION_SCHEMAS[kind]
        offset = int(self._blocks[_OFFSET_COLUMNS[kind]][block])
        return pa.ipc.read_record_batch(self._payload(kind, offset), schema)

    def _payload(self, kind: FrameKind, offset: int) -> "pa.Buffer":
        frame = decode_frame(self.buffer, offset, seed=self._seed)
        if frame.kind != kind:
            raise BadMagic(f"frame at byte {offset} has kind {frame.kind}, not {kind}")
        return frame.payload

    def _blocks_of(self, tenant: str) -> slice:
        number = self._numbers[tenant]
        return slice(*self._block_starts[number : number + 2].tolist())

    def _runs_of(self, tenant: str) -> slice:
        number = self._numbers[tenant]
        return slice(*self._run_starts[number : number + 2].tolist())

    def _decode_streams(self, tenant: str) -> Sequence[LabelSet]:
        number = self._numbers.get(tenant)
        if number is None:
            return ()
        first, end = self._series_starts[number : number + 2].tolist()
        series = self._series.slice(first, end - first)
        return tuple(
            LabelSet(tuple(zip(names, values, strict=True)))
            for names, values in zip(
                texts_of_lists(series["names"]),
                texts_of_lists(series["values"]),
                strict=True,
            )
        )
