"""Bounds-checked reading of numbers, texts and bytes from a buffer.

Every reader of a format of ours goes through here; bytes from a disk or a wire
are never sliced bare. Integers are little-endian, as Arrow's are.
"""

import struct

from loki_py.encoding.checksum import Buffer
from loki_py.errors import CorruptData, TruncatedData

_U16 = struct.Struct("<H")
_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")


class Decbuf:
    """A position in a buffer that only moves forward and never past the end.

    Each method raises TruncatedData where fewer bytes remain than it wants.

    Attributes:
        offset: bytes read so far.
    """

    __slots__ = ("_buffer", "_end", "offset")

    def __init__(self, buffer: Buffer, offset: int = 0) -> None:
        self._buffer = memoryview(buffer)
        self._end = len(self._buffer)
        self.offset = offset

    @property
    def remaining(self) -> int:
        """How many bytes are left."""
        return self._end - self.offset

    def u8(self) -> int:
        """Return the next byte as a number."""
        return int(self._buffer[self._advance(1)])

    def u16le(self) -> int:
        """Return the next two bytes as an unsigned number."""
        return int(_U16.unpack_from(self._buffer, self._advance(2))[0])

    def u32le(self) -> int:
        """Return the next four bytes as an unsigned number."""
        return int(_U32.unpack_from(self._buffer, self._advance(4))[0])

    def u64le(self) -> int:
        """Return the next eight bytes as an unsigned number."""
        return int(_U64.unpack_from(self._buffer, self._advance(8))[0])

    def u32le_array(self, count: int) -> tuple[int, ...]:
        """Return the next `count` unsigned numbers of four bytes."""
        start = self._advance(4 * count)
        return struct.unpack_from(f"<{count}I", self._buffer, start)

    def take(self, length: int) -> bytes:
        """Return a copy of the next `length` bytes."""
        start = self._advance(length)
        return bytes(self._buffer[start : start + length])

    def text(self, length: int) -> str:
        """Return the next `length` bytes as UTF-8.

        Raises: CorruptData where they are not UTF-8.
        """
        raw = self.take(length)
        try:
            return raw.decode()
        except UnicodeDecodeError as e:
            raise CorruptData(
                f"text at byte {self.offset - length} is not UTF-8"
            ) from e

    def align(self, size: int) -> None:
        """Move to the next offset that is a multiple of `size`."""
        self._advance(-self.offset % size)

    def _advance(self, length: int) -> int:
        start = self.offset
        if length > self._end - start:
            raise TruncatedData(
                f"byte {start} wants {length} more bytes, {self._end - start} remain"
            )
        self.offset = start + length
        return start
