"""The bytes of many lines in one buffer, to be asked by position.

Positions count in a buffer that starts with padding, so that words before and
after any byte of a line may be read without leaving it.
"""

from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loki_py.model.batch import Rows, offsets_of
from loki_py.model.words import MASKS, Bytes, Words, words_of

Mask = npt.NDArray[np.bool_]

PADDING = 32
SCRATCH_BYTES_MAX = 4 << 20
"""Larger buffers are not kept for the next batch."""

_QUOTE, _BACKSLASH = ord('"'), ord("\\")
_BIT_5 = np.uint8(0x20)
_ONE = np.uint64(1)
_DENSE, _SMALL = 16, 65_536


class Scratch:
    """Buffers that are used again: fresh pages cost more than the work on them.

    Each depth of nested use has its own buffers. At most three depths times
    five times SCRATCH_BYTES_MAX are kept.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[int, str], Bytes] = {}

    def get(self, depth: int, name: str, size: int) -> Bytes:
        """Return `size` bytes of anything, the same memory for the same name."""
        found = self._kept.get((depth, name))
        if found is None or len(found) < size:
            found = np.empty(size, np.uint8)
            if size <= SCRATCH_BYTES_MAX:
                self._kept[depth, name] = found
        return found[:size]


class LineBytes:
    """The bytes of a column of lines.

    Attributes:
        raw: all bytes, padded with zeros on both sides.
        low: the same with bit 5 set, which makes ASCII letters lower-case.
        start, end: the range of each row in them.
    """

    def __init__(
        self, line: "pa.LargeStringArray", scratch: Scratch, *, depth: int = 0
    ) -> None:
        offsets = offsets_of(line)
        first, last = int(offsets[0]), int(offsets[-1])
        size = last - first
        self._scratch, self.depth = scratch, depth
        self._size = (size + 2 * PADDING + 7) & ~7
        self.raw: Bytes = scratch.get(depth, "raw", self._size)
        self.raw[:PADDING] = 0
        self.raw[PADDING + size :] = 0
        if size:
            data = np.frombuffer(line.buffers()[2], np.uint8)
            self.raw[PADDING : PADDING + size] = data[first:last]
        self.low: Bytes = scratch.get(depth, "low", self._size)
        np.bitwise_or(self.raw, _BIT_5, out=self.low)
        edges = offsets + (PADDING - first)
        self.start, self.end = edges[:-1], edges[1:]

    def __len__(self) -> int:
        return len(self.start)

    def mask(self, name: str) -> Mask:
        """Return a mask over all positions, with anything in it, to be overwritten."""
        return self._scratch.get(self.depth, name, self._size).view(np.bool_)

    def where(self, byte: int) -> Rows:
        """Return, ascending, where a byte stands."""
        return true_positions(
            np.equal(self.raw, np.uint8(byte), out=self.mask("first"))
        )

    def where_after(self, byte: int, before: int) -> Rows:
        """Return where `byte` stands after a `before` of either case."""
        last = np.equal(self.low, np.uint8(before), out=self.mask("first"))
        mask = np.equal(self.raw, np.uint8(byte), out=self.mask("second"))
        np.bitwise_and(mask[1:], last[:-1], out=mask[1:])
        return true_positions(mask)

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
        good: Mask | None = None
        for begin in range(0, len(text), 8):
            part = text[begin : begin + 8]
            words = view[at + begin] & MASKS[len(part)]
            equal = words == np.uint64(int.from_bytes(part, "little"))
            good = equal if good is None else good & equal
        assert good is not None
        return good

    @cached_property
    def raw_words(self) -> Words:
        """The eight bytes from each position on, little-endian."""
        return words_of(self.raw)

    @cached_property
    def low_words(self) -> Words:
        """The same of `low`."""
        return words_of(self.low)

    @cached_property
    def quotes(self) -> Rows:
        """Where double quotes stand that no backslash escapes."""
        at = self.where(_QUOTE)
        suspect = self.raw[at - 1] == _BACKSLASH
        if not suspect.any():
            return at
        kept: Rows = at[~(suspect & self._is_escaped(at))]
        return kept

    def count_before(self, marks: Rows, at: Rows, rows: Rows) -> Rows:
        """Return how many of the sorted `marks` lie between row start and position."""
        counts: Rows = np.searchsorted(marks, at)
        counts -= np.searchsorted(marks, self.start[rows])
        return counts

    def _is_escaped(self, at: Rows) -> Mask:
        """Return whether an odd number of backslashes stands before each position."""
        slashes = self.where(_BACKSLASH)
        begins = np.r_[True, np.diff(slashes) > 1]
        run_start = slashes[begins][np.cumsum(begins) - 1]
        nearest = np.maximum(np.searchsorted(slashes, at) - 1, 0)
        run_start = np.maximum(run_start[nearest], self.start[self.row_of(at)])
        run = np.where(slashes[nearest] == at - 1, at - run_start, 0)
        escaped: Mask = run % 2 == 1
        return escaped

    def in_quotes(self, at: Rows, rows: Rows) -> Mask:
        """Return whether an odd number of quotes stands in the row before each."""
        quotes = self.quotes
        if not len(quotes):
            return np.zeros(len(at), np.bool_)
        index = np.searchsorted(quotes, at)
        odd: Mask = np.zeros(len(at), np.bool_)
        # Most often no quote stands before the position in its own row.
        some = ((index > 0) & (quotes[index - 1] >= self.start[rows])).nonzero()[0]
        if len(some):
            first = np.searchsorted(quotes, self.start[rows[some]])
            odd[some] = (index[some] - first) % 2 == 1
        return odd


def true_positions(mask: Mask) -> Rows:
    """Return, ascending, where a mask of a multiple of eight places is true."""
    if len(mask) < _SMALL:
        return mask.nonzero()[0]
    words = mask.view(np.uint64)
    hot = (words != 0).nonzero()[0]
    if len(hot) > len(words) // _DENSE:
        return mask.nonzero()[0]
    left = words[hot]
    found: list[Rows] = []
    while len(left):
        bit = np.bitwise_count((left & (~left + _ONE)) - _ONE)
        found.append(hot * 8 + (bit >> 3))
        left &= left - _ONE
        if not left.any():
            break
        more = left != 0
        left, hot = left[more], hot[more]
    if len(found) == 1:
        return found[0]
    at: Rows = np.concatenate([hot[:0], *found])
    at.sort()
    return at


def first_of_each(rows: Rows) -> Mask:
    """Return where a value of the ascending `rows` stands for the first time."""
    mask = np.ones(len(rows), np.bool_)
    np.not_equal(rows[1:], rows[:-1], out=mask[1:])
    return mask
