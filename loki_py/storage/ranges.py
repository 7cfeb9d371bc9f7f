"""An object that is read by ranges, as a file for Python and pyarrow."""

import io
import threading
from collections.abc import Callable
from typing import TypeAlias

import pyarrow as pa

from loki_py.errors import TruncatedData

FetchRange: TypeAlias = Callable[[int, int], bytes]
"""(offset, length) to exactly these bytes; may raise ObjectNotFound, Unavailable."""

READ_BYTES_MIN = 128 * 1024
"""A shorter read fetches this much usually, so that its neighbours cost no request."""


class RangeInput(io.RawIOBase):
    """What `ObjectStore.open_input` returns where objects are far away.

    `read_at` is for any thread, several at once; the position, and what moves
    it, is for one. Bytes that were fetched last are kept.

    Args:
        fetch: fetches a range.
        size: bytes of the object.
        held: bytes that are at hand already, and their offset.
        read_bytes_min: a shorter read fetches this much.
    """

    def __init__(
        self,
        fetch: FetchRange,
        *,
        size: int,
        held: tuple[int, bytes] = (0, b""),
        read_bytes_min: int = READ_BYTES_MIN,
    ) -> None:
        super().__init__()
        self._fetch = fetch
        self._size = size
        self._read_bytes_min = read_bytes_min
        self._position = 0
        self._lock = threading.Lock()
        # The end of a pack is its footer, so what came with the opening stays.
        self._opened_with = held
        self._window = held

    def size(self) -> int:
        """Return the bytes of the object."""
        return self._size

    def read_at(self, nbytes: int, offset: int) -> bytes:
        """Return these bytes, fewer at the end of the object.

        Raises: ObjectNotFound, Unavailable.
        """
        length = max(min(nbytes, self._size - offset), 0)
        if not length:
            return b""
        with self._lock:
            held = (self._opened_with, self._window)
        for start, data in held:
            if start <= offset and offset + length <= start + len(data):
                return data[offset - start : offset - start + length]
        wanted = min(max(length, self._read_bytes_min), self._size - offset)
        data = self._fetch(offset, wanted)
        if len(data) != wanted:
            raise TruncatedData(f"range has {len(data)} bytes of {wanted}")
        if wanted == length:
            return data
        with self._lock:
            self._window = (offset, data)
        return data[:length]

    def read(self, size: int = -1, /) -> bytes:
        """Return bytes from the position on."""
        rest = max(self._size - self._position, 0)
        length = rest if size is None or size < 0 else min(size, rest)
        data = self.read_at(length, self._position)
        self._position += len(data)
        return data

    def readall(self) -> bytes:
        """Return everything from the position on."""
        return self.read()

    def read_buffer(self, nbytes: int | None = None) -> "pa.Buffer":
        """Return bytes from the position on as a pyarrow buffer."""
        return pa.py_buffer(self.read(-1 if nbytes is None else nbytes))

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move the position."""
        origins = {
            io.SEEK_SET: 0,
            io.SEEK_CUR: self._position,
            io.SEEK_END: self._size,
        }
        position = origins[whence] + offset
        if position < 0:
            raise ValueError(f"position {position} is before the object")
        self._position = position
        return position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True
