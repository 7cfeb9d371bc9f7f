"""Where the times of a file's blocks lie, so that those of several are one array.

Pure.
"""

import numpy as np
import pyarrow as pa

from loki_py.model.batch import Timestamps

_TIME_BYTES = 8


class BlockTimes:
    """The bytes of a file as times, and which of them are a block's.

    Used by several threads without a lock: what they find out is the same.

    Attributes:
        all: int64; where no times lie, numbers without a meaning.
    """

    def __init__(self, buffer: "pa.Buffer") -> None:
        self.all: Timestamps = np.frombuffer(
            buffer, np.int64, len(buffer) // _TIME_BYTES
        )
        self._address = buffer.address
        self._first: dict[int, int] = {}

    def first(self, block: int) -> int | None:
        """Return where in `all` a block's times begin; None where it is unknown."""
        return self._first.get(block)

    def note(self, block: int, times: Timestamps) -> int | None:
        """Note where a block's times lie; return it, None where that is not here."""
        start: int = times.__array_interface__["data"][0] - self._address
        first, rest = divmod(start, _TIME_BYTES)
        if rest or first < 0 or first + len(times) > len(self.all):
            return None
        self._first[block] = first
        return first
