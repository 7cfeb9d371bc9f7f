"""CRC-32C (Castagnoli) of anything with bytes in it."""

from collections.abc import Iterable
from typing import Any, TypeAlias

import pyarrow as pa
from crc32c import crc32c as _extended

Buffer: TypeAlias = Any
"""bytes, a pyarrow Buffer, or whatever else lends its bytes without a copy."""


def crc32c(buffer: Buffer, *, seed: int = 0) -> int:
    """Return the CRC-32C of the bytes that follow those whose CRC is `seed`."""
    if not isinstance(buffer, bytes | pa.Buffer):
        # The C function takes read-only owners only; a pyarrow Buffer is one
        # around anything, without a copy.
        buffer = pa.py_buffer(buffer)
    crc: int = _extended(buffer, seed)
    return crc


def crc32c_of_all(buffers: Iterable[Buffer], *, seed: int = 0) -> int:
    """Return the CRC-32C of the buffers as if they were joined."""
    for buffer in buffers:
        seed = crc32c(buffer, seed=seed)
    return seed
