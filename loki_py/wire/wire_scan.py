"""Read protobuf fields at many offsets of one buffer at once.

    field  := tag value            tag = number << 3 | wire type, one byte here
    varint := (0x80 | u7)* u7      low groups first
    bytes  := length:varint u8[length]

Offsets that do not fit what is asked for are reported in a mask, never
followed: no read leaves the buffer.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from loki_py.model.batch import Rows

Mask = npt.NDArray[np.bool_]

PADDING = bytes(16)
"""What must follow the last field, so that words may be read there."""

_HIGH_BITS = np.uint64(0x8080808080808080)
_ONE = np.uint64(1)


@dataclass(frozen=True, slots=True)
class Spans:
    """Byte ranges [start, end) of one buffer, one for each row asked for."""

    start: Rows
    end: Rows
    good: Mask


class Scanner:
    """A padded buffer, readable at any offset.

    Args:
        padded: the fields followed by PADDING.
    """

    def __init__(self, padded: bytes) -> None:
        self.buffer = np.frombuffer(padded, np.uint8)
        self.size = len(padded) - len(PADDING)
        self._words = np.ndarray(
            (len(padded) - 7,), dtype="<u8", buffer=padded, strides=(1,)
        )

    def has_tag(self, at: Rows, tag: int, *, end: Rows) -> Mask:
        """Return whether a field with this one-byte tag starts at each offset."""
        mask: Mask = (at < end) & (self.buffer[np.minimum(at, self.size)] == tag)
        return mask

    def varint(self, at: Rows, *, end: Rows) -> tuple[Rows, Rows, Mask]:
        """Return value, offset after it, and whether it is whole and < 2^56."""
        at_most = np.minimum(at, self.size)
        first = self.buffer[at_most]
        if (first < 0x80).all():
            return first.astype(np.int64), at + 1, at < end
        words = self._words[at_most]
        stops = ~words & _HIGH_BITS
        stop = stops & (~stops + _ONE)
        kept = words & ((stop << _ONE) - _ONE)
        kept &= np.uint64(0x7F7F7F7F7F7F7F7F)
        kept = (kept & np.uint64(0x007F007F007F007F)) | (
            (kept & np.uint64(0x7F007F007F007F00)) >> _ONE
        )
        kept = (kept & np.uint64(0x00003FFF00003FFF)) | (
            (kept & np.uint64(0x3FFF00003FFF0000)) >> np.uint64(2)
        )
        kept = (kept & np.uint64(0x000000000FFFFFFF)) | (
            (kept & np.uint64(0x0FFFFFFF00000000)) >> np.uint64(4)
        )
        size = np.bitwise_count(stop - _ONE).astype(np.int64) // 8 + 1
        after = at + size
        return kept.view(np.int64), after, (stops != 0) & (after <= end)

    def span(self, at: Rows, *, end: Rows) -> Spans:
        """Return the bytes whose length stands at each offset."""
        length, start, good = self.varint(at, end=end)
        good &= length <= end - start
        stop = np.where(good, start + length, start)
        return Spans(start, stop, good)
