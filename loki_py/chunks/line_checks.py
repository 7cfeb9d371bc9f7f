"""Checksums of parts of the lines of a block, so that few runs are read alone."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loki_py.chunks import blocks
from loki_py.encoding.checksum import crc32c
from loki_py.errors import BadChecksum
from loki_py.model.batch import offsets_of

CHECK_COST_BYTES = 16 << 10
"""To compare a checksum costs about as much as to compute it over so many bytes."""

_Ints = npt.NDArray[np.int64]
_Crcs = npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class LineChecks:
    """What the footer says of the lines of a block.

    Attributes:
        head_bytes: the bytes of the section's payload before the lines; 0 where
            the runs have no checksums.
        head_crc: their CRC-32C.
        runs: uint32, the CRC-32C of the lines of each run; 0 where there is none.
    """

    head_bytes: int
    head_crc: int
    runs: _Crcs

    @classmethod
    def of(cls, payload: "pa.Buffer", row_first: _Ints, rows: _Ints) -> "LineChecks":
        """Return the checksums of a section; of small runs there are none.

        Args:
            payload: of the section.
            row_first, rows: the runs of the block.
        """
        lines = pa.ipc.read_record_batch(payload, blocks.LINES_SCHEMA).column(0)
        data = lines.buffers()[2]
        if data is None or data.size < blocks.RUN_CHECKED_BYTES * len(rows):
            return cls(0, 0, np.zeros(len(rows), np.uint32))
        head_bytes = data.address - payload.address
        return cls(
            head_bytes,
            crc32c(payload.slice(0, head_bytes)),
            _crcs_of(lines, row_first, rows),
        )

    def are_less(self, rows: int, line_bytes: int, *, of_bytes: int) -> bool:
        """Return whether comparing some runs costs less than the whole section.

        Args:
            rows: how many runs.
            line_bytes: their bytes.
            of_bytes: those of the block.
        """
        cost = self.head_bytes + line_bytes + CHECK_COST_BYTES * rows
        return self.head_bytes > 0 and cost < of_bytes

    def lines_of(
        self, payload: "pa.Buffer", row_first: _Ints, rows: _Ints
    ) -> "pa.LargeStringArray":
        """Return the lines of a block, of which only these runs may be used.

        Raises: BadChecksum.
        """
        found = crc32c(payload.slice(0, self.head_bytes))
        if found != self.head_crc:
            raise BadChecksum(
                f"head of lines has checksum {found:08x}, not {self.head_crc:08x}"
            )
        lines: pa.LargeStringArray = pa.ipc.read_record_batch(
            payload, blocks.LINES_SCHEMA
        ).column(0)
        wrong = np.flatnonzero(_crcs_of(lines, row_first, rows) != self.runs)
        if len(wrong):
            raise BadChecksum(
                f"lines from row {row_first[wrong[0]]} on have another checksum "
                f"than {self.runs[wrong[0]]:08x}"
            )
        return lines


def _crcs_of(lines: "pa.LargeStringArray", row_first: _Ints, rows: _Ints) -> _Crcs:
    data = lines.buffers()[2]
    offsets = offsets_of(lines)
    start = offsets[row_first]
    size = offsets[row_first + rows] - start
    return np.array(
        [
            crc32c(data.slice(*span))
            for span in zip(start.tolist(), size.tolist(), strict=True)
        ],
        np.uint32,
    )
