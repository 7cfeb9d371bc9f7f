"""CRC-32C (Castagnoli) of anything with bytes in it."""

from collections.abc import Iterable
from typing import Any, TypeAlias

import google_crc32c
import pyarrow as pa

Buffer: TypeAlias = Any
"""bytes, a pyarrow Buffer, or whatever else lends its bytes without a copy."""


def crc32c(buffer: Buffer, *, seed: int = 0) -> int:
    """Return the CRC-32C of the bytes that follow those whose CRC is `seed`."""
    if not isinstance(buffer, bytes | pa.Buffer):
        # The C function takes read-only owners only; a pyarrow Buffer is one
        # around anything, without a copy.
        buffer = pa.py_buffer(buffer)
    crc: int = google_crc32c.extend(seed, buffer)
    return crc


def crc32c_of_all(buffers: Iterable[Buffer], *, seed: int = 0) -> int:
    """Return the CRC-32C of the buffers as if they were joined."""
    for buffer in buffers:
        seed = crc32c(buffer, seed=seed)
    return seed
