"""Bytes read eight at a time, from any position."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Bytes: TypeAlias = npt.NDArray[np.uint8]
Words: TypeAlias = npt.NDArray[np.uint64]

WORD_BYTES = 8

MASKS: Words = np.array([(1 << 8 * size) - 1 for size in range(9)], np.uint64)
"""By count, that many bytes of a word; the lowest, which come first in memory."""


def words_of(raw: "Bytes | bytes") -> Words:
    """Return the eight bytes from each position on, uint64[len(raw) - 7], in place."""
    return np.ndarray((len(raw) - 7,), dtype="<u8", buffer=raw, strides=(1,))
