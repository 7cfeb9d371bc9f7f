"""Bits by position in a text, 64 in a word: what all bytes are, and what is next to it.

Bit i of a word w stands for the byte 64 * w + i. Runs and neighbours are found by
shifting and adding whole words, so that a byte costs a bit of each operation.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from loki_py.model.batch import Rows

Bits: TypeAlias = npt.NDArray[np.uint64]

WORD_BITS = 64
_ONE, _LAST = np.uint64(1), np.uint64(WORD_BITS - 1)
_STEPS = [np.uint64(1 << k) for k in range(6)]
_EVEN = np.uint64(0x5555555555555555)
_ODD = ~_EVEN


def after(bits: Bits) -> Bits:
    """Return the positions after those given."""
    moved: Bits = bits << _ONE
    moved[1:] |= bits[:-1] >> _LAST
    return moved


def between(edges: Bits) -> Bits:
    """Return the positions from each first edge to before the second one."""
    inside = edges.copy()
    moved = np.empty_like(edges)
    for step in _STEPS:
        np.left_shift(inside, step, out=moved)
        np.bitwise_xor(inside, moved, out=inside)
    open_at_end = np.cumsum((inside >> _LAST).astype(np.uint8), dtype=np.uint8) & 1
    # Minus one has all bits set.
    inside[1:] ^= np.negative(open_at_end[:-1].astype(np.uint64))
    return inside


def carried(runs: Bits, starts: Bits) -> Bits:
    """Return the runs, of which each that has its start set became one bit behind it.

    Args:
        starts: the first positions of some runs.
    """
    total: Bits = runs + starts
    over = total[:-1] < runs[:-1]
    total[1:] += over
    # A word that was full hands the carry on.
    full = np.flatnonzero(over & (total[1:] == 0)) + 1
    while len(full):
        full = full[full + 1 < len(total)] + 1
        total[full] += _ONE
        full = full[total[full] == 0]
    return total


def escaped(backslashes: Bits) -> Bits:
    """Return the positions behind an odd number of backslashes."""
    begins = backslashes & ~after(backslashes)
    odd_ends = carried(backslashes, begins & _EVEN) & ~backslashes & _ODD
    even_ends = carried(backslashes, begins & _ODD) & ~backslashes & _EVEN
    return odd_ends | even_ends


def bits_at(places: Rows, words_count: int) -> Bits:
    """Return the given positions, which ascend."""
    bits = np.zeros(words_count, np.uint64)
    word = places >> 6
    bit = _ONE << (places & 63).astype(np.uint64)
    if (word[1:] == word[:-1]).any():
        np.bitwise_or.at(bits, word, bit)
    else:
        bits[word] = bit
    return bits


def places_of(bits: Bits) -> Rows:
    """Return the positions, ascending."""
    word = np.flatnonzero(bits)
    spread = np.unpackbits(bits[word].view(np.uint8), bitorder="little")
    at = np.flatnonzero(spread)
    places: Rows = word[at >> 6] * WORD_BITS + (at & 63)
    return places


def bits_up_to(place: int) -> np.uint64:
    """Return the bits of a place's word that stand for positions up to it."""
    return np.uint64((2 << place % WORD_BITS) - 1)


class Ranks:
    """Counts the positions before a place."""

    def __init__(self, bits: Bits) -> None:
        self._bits = bits
        self._before = np.zeros(len(bits) + 1, np.int64)
        np.cumsum(np.bitwise_count(bits), dtype=np.int64, out=self._before[1:])

    def between(self, start: Rows, end: Rows) -> Rows:
        """Return how many positions are in each range."""
        return self._at(end) - self._at(start)

    def _at(self, places: Rows) -> Rows:
        word = places >> 6
        low = (_ONE << (places & 63).astype(np.uint64)) - _ONE
        here = self._bits[np.minimum(word, len(self._bits) - 1)] & low
        counts: Rows = self._before[word] + np.bitwise_count(here)
        return counts
