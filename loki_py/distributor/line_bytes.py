"""The bytes of many lines in one buffer, to be asked by position.

Positions count in a buffer that starts with padding, so that words before and
after any byte of a line may be read without leaving it.
"""

from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loki_py.model.batch import Rows, offsets_of

Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]

PADDING = 32
_QUOTE, _BACKSLASH = ord('"'), ord("\\")
_MASKS = np.array([(1 << 8 * size) - 1 for size in range(9)], np.uint64)


class LineBytes:
    """The bytes of a column of lines.

    Attributes:
        raw: all bytes, padded with zeros on both sides.
        low: the same with bit 5 set, which makes ASCII letters lower-case.
        start, end: the range of each row in them.
    """

    def __init__(self, line: "pa.LargeStringArray") -> None:
        offsets = offsets_of(line)
        first, last = int(offsets[0]), int(offsets[-1])
        self.raw: Bytes = np.zeros(last - first + 2 * PADDING, np.uint8)
        if last > first:
            data = np.frombuffer(line.buffers()[2], np.uint8)
            self.raw[PADDING:-PADDING] = data[first:last]
        self.low: Bytes = self.raw | np.uint8(0x20)
        edges = offsets + (PADDING - first)
        self.start, self.end = edges[:-1], edges[1:]

    def __len__(self) -> int:
        return len(self.start)

    def row_of(self, at: Rows) -> Rows:
        """Return the row of each position, positions in ascending order."""
        if len(at) == len(self) and (at >= self.start).all() and (at < self.end).all():
            return np.arange(len(self))
        rows: Rows = np.searchsorted(self.start, at, side="right")
        rows -= 1
        return rows

    def spells(self, text: bytes, at: Rows, *, exact: bool) -> Mask:
        """Return where `text` stands.

        Args:
            exact: whether case matters; otherwise `text` has bit 5 set.
        """
        view = self.raw_words if exact else self.low_words
        good = np.ones(len(at), np.bool_)
        for begin in range(0, len(text), 8):
            part = text[begin : begin + 8]
            words = view[at + begin] & _MASKS[len(part)]
            good &= words == np.uint64(int.from_bytes(part, "little"))
        return good

    @cached_property
    def raw_words(self) -> Words:
        """The eight bytes from each position on, little-endian."""
        return _words(self.raw)

    @cached_property
    def low_words(self) -> Words:
        """The same of `low`."""
        return _words(self.low)

    @cached_property
    def quotes(self) -> Rows:
        """Where double quotes stand that no backslash escapes."""
        at: Rows = np.flatnonzero(self.raw == _QUOTE)
        suspect = self.raw[at - 1] == _BACKSLASH
        if not suspect.any():
            return at
        kept: Rows = at[~(suspect & self._is_escaped(at))]
        return kept

    def _is_escaped(self, at: Rows) -> Mask:
        """Return whether an odd number of backslashes stands before each position."""
        slashes = np.flatnonzero(self.raw == _BACKSLASH)
        begins = np.r_[True, np.diff(slashes) > 1]
        run_start = slashes[begins][np.cumsum(begins) - 1]
        nearest = np.maximum(np.searchsorted(slashes, at) - 1, 0)
        run_start = np.maximum(run_start[nearest], self.start[self.row_of(at)])
        run = np.where(slashes[nearest] == at - 1, at - run_start, 0)
        escaped: Mask = run % 2 == 1
        return escaped

    def count_before(self, marks: Rows, at: Rows, rows: Rows) -> Rows:
        """Return how many of the sorted `marks` lie between row start and position."""
        if not len(marks):
            return np.zeros(len(at), np.int64)
        counts: Rows = np.searchsorted(marks, at)
        counts -= np.searchsorted(marks, self.start[rows])
        return counts


def _words(data: Bytes) -> Words:
    return np.ndarray((len(data) - 7,), dtype="<u8", buffer=data.data, strides=(1,))


def first_of_each(rows: Rows) -> Mask:
    """Return where a value of the ascending `rows` stands for the first time."""
    mask = np.ones(len(rows), np.bool_)
    np.not_equal(rows[1:], rows[:-1], out=mask[1:])
    return mask
