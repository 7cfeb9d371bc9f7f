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
from loki_py.model.words import WORD_BYTES, Words, words_of

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


@dataclass(frozen=True, slots=True)
class UsualEntries:
    """What entries hold that are written as every encoder writes them.

    Attributes:
        seconds, nanos: int64, of the timestamp.
        line: the bytes of the line.
        usual: whether the entry is one of these; else the rest means nothing.
    """

    seconds: Rows
    nanos: Rows
    line: Spans
    usual: Mask


class Scanner:
    """A padded buffer, readable at any offset.

    Args:
        padded: the fields followed by PADDING.
    """

    def __init__(self, padded: bytes) -> None:
        self.buffer = np.frombuffer(padded, np.uint8)
        self.size = len(padded) - len(PADDING)
        self._words = words_of(padded)

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
        value, size = _folded(self._words[at_most])
        after = at + size
        return value, after, (size <= WORD_BYTES) & (after <= end)

    def words(self, at: Rows) -> Words:
        """Return the eight bytes at each offset, little-endian.

        Offsets behind the last field give padding.
        """
        return self._words[np.minimum(at, self.size)]

    def span(self, at: Rows, *, end: Rows) -> Spans:
        """Return the bytes whose length stands at each offset."""
        length, start, good = self.varint(at, end=end)
        good &= length <= end - start
        stop = np.where(good, start + length, start)
        return Spans(start, stop, good)


# An entry of the usual form, seconds being five bytes from 1978 to 3058:
#   0A size 08 seconds:u8[5]  [10 nanos:varint]  12 length:varint line
_USUAL_MASK = np.uint64(0x8080808080FF80FF)
_USUAL_HEAD = np.uint64(0x008080808008000A)
_ONLY_SECONDS = 6
_BYTE = np.uint64(0xFF)


def usual_entries(scanner: Scanner, start: Rows, end: Rows) -> UsualEntries:
    """Read entries of a timestamp and a line, in this order, three words each.

    What follows the line is not looked at.
    """
    head = scanner.words(start)
    usual: Mask = (head & _USUAL_MASK) == _USUAL_HEAD
    seconds, _ = _folded(head >> np.uint64(24))
    size = (head >> np.uint64(8)).astype(np.uint8).astype(np.int64)
    at_line = start + size
    at_line += 2

    tail = scanner.words(start + WORD_BYTES)
    nanos, nanos_bytes = _folded(tail >> np.uint64(8))
    has_nanos = size != _ONLY_SECONDS
    fits = ((tail & _BYTE) == 0x10) & (nanos_bytes + (_ONLY_SECONDS + 1) == size)
    usual &= fits | ~has_nanos
    nanos *= has_nanos

    line = scanner.words(at_line)
    usual &= (line & _BYTE) == 0x12
    length, length_bytes = _folded(line >> np.uint64(8))
    line_start = at_line + length_bytes
    line_start += 1
    good = length <= end - line_start
    usual &= good
    return UsualEntries(
        seconds, nanos, Spans(line_start, line_start + length, good), usual
    )


def _folded(words: Words) -> tuple[Rows, Rows]:
    """Return the varint that each word begins with, and its bytes.

    One that does not end in its word is said to have nine.
    """
    stops = ~words & _HIGH_BITS
    below = (stops & (~stops + _ONE)) - _ONE  # all bits below the first stop bit
    size = np.bitwise_count(below).astype(np.int64)
    size >>= 3
    size += 1
    kept = words & below
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
    return kept.view(np.int64), size
