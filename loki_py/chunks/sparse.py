"""A file of which only some ranges are at hand, for readers that want a file."""

from bisect import bisect_right
from collections.abc import Sequence
from io import SEEK_CUR, SEEK_END, SEEK_SET

import pyarrow as pa

from loki_py.errors import CorruptData


class SparseFile:
    """Ranges of an object; reading outside of them is an error.

    Args:
        ranges: (offset, bytes there), ascending, not overlapping.
        size: bytes of the object.
    """

    def __init__(self, ranges: Sequence[tuple[int, pa.Buffer]], *, size: int) -> None:
        self._offsets = [offset for offset, _ in ranges]
        self._buffers = [buffer for _, buffer in ranges]
        self._size = size

    def slice(self, offset: int, length: int) -> pa.Buffer:
        """Return these bytes, not copied.

        Raises: CorruptData where they are not at hand.
        """
        number = bisect_right(self._offsets, offset) - 1
        if number >= 0:
            buffer = self._buffers[number]
            start = offset - self._offsets[number]
            if start + length <= len(buffer):
                return buffer.slice(start, length)
        raise CorruptData(f"bytes {offset} to {offset + length} are not at hand")

    def as_file(self) -> "pa.NativeFile":
        """Return a file at position 0."""
        if len(self._buffers) == 1 and len(self._buffers[0]) == self._size:
            return pa.BufferReader(self._buffers[0])
        return pa.PythonFile(_Cursor(self, self._size), mode="r")


class _Cursor:
    """What Python calls a file."""

    closed = False

    def __init__(self, file: SparseFile, size: int) -> None:
        self._file = file
        self._size = size
        self._position = 0

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        origin = {SEEK_SET: 0, SEEK_CUR: self._position, SEEK_END: self._size}[whence]
        self._position = origin + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, length: int) -> bytes:
        start = self._position
        self._position += length
        return bytes(self._file.slice(start, length))

    def read_buffer(self, length: int) -> pa.Buffer:
        start = self._position
        self._position += length
        return self._file.slice(start, length)

    def close(self) -> None:
        self.closed = True

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True
