"""Read a block file: a directory from its footer, then parts of blocks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loki_py.chunks.blocks import BlockFileHeader
from loki_py.model.batch import EntryBatch
from loki_py.model.labels import LabelSet
from loki_py.model.scan import Columns


@dataclass(frozen=True, slots=True)
class BlockPart:
    """The rows of one block that belong to wanted streams and a wanted time.

    Attributes:
        block: position of the block in the file.
        stream: uint32[k], each run's stream, by position in `BlockFile.streams`.
        row_first, rows: int64[k], where each run lies in the block.
        min_ns, max_ns: bounds of what can come back, max inclusive.
        rows_max: at most this many rows come back.
        line_bytes: bytes of lines of these runs, before time is trimmed.
    """

    tenant: str
    block: int
    stream: npt.NDArray[np.uint32]
    row_first: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    start_ns: int
    end_ns: int
    min_ns: int
    max_ns: int
    rows_max: int
    line_bytes: int


class BlockFile:
    """An open block file: immutable, shared by threads, no I/O of its own.

    Attributes:
        header: where the entries came from.
        tenants: who has entries here, ascending.
    """

    header: BlockFileHeader
    tenants: tuple[str, ...]

    @classmethod
    def open(cls, buffer: pa.Buffer) -> "BlockFile":
        """Return the file whose bytes (memory-mapped, as a rule) are `buffer`.

        Reads header, footer and trailer only.

        Raises:
            CorruptData: BadMagic, TruncatedData, BadChecksum, UnknownVersion.
        """
        raise NotImplementedError

    def streams(self, tenant: str) -> Sequence[LabelSet]:
        """Return the tenant's label sets by stream number; the same object always.

        Sorted by (fingerprint, text). Empty where the tenant has no entries.
        """
        raise NotImplementedError

    def select(
        self,
        tenant: str,
        wanted: npt.NDArray[np.bool_] | None,
        *,
        start_ns: int,
        end_ns: int,
    ) -> list[BlockPart]:
        """Return a part per block that has rows of wanted streams in [start, end).

        Args:
            wanted: bool by position in `streams`; None for all streams.
        """
        raise NotImplementedError

    def read(self, part: BlockPart, columns: Columns) -> EntryBatch:
        """Return the part's rows in file order; zero-copy where they adjoin.

        `streams` of the batch is `self.streams(part.tenant)`. Reads only the
        sections that `columns` asks for and checks their crc each time.

        Raises:
            BadChecksum: this block's bytes changed; other blocks still read.
        """
        raise NotImplementedError
