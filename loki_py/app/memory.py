"""Have the allocators keep freed memory for the next push, and libraries stay out.

Every push allocates and frees a few buffers of a megabyte. Left to themselves
the allocators give such memory back to the system at once and take it again,
and the system clears it each time: measured, a third of all CPU of ingestion
(docs/decisions/0004-allocators-keep-freed-memory.md).

Some libraries import others only because they are there. Nothing in the server
uses what they add, and what is not imported costs neither time nor memory.
"""

import ctypes
import os
import sys

_MALLOPT_TRIM_THRESHOLD = -1
_MALLOPT_MMAP_THRESHOLD = -3
_HEAP_ALLOCATION_BYTES_MAX = 32 << 20
_TRIM_BYTES = 64 << 20

_ARROW_ALLOCATOR = {
    # Huge pages are cleared whole, 2 MiB for a buffer of 1.
    "MIMALLOC_ALLOW_THP": "0",
}


def keep_freed_memory() -> None:
    """Set the allocators up; call before pyarrow is imported.

    What the environment says already is left alone. Where the C library has no
    `mallopt`, nothing happens.
    """
    for name, value in _ARROW_ALLOCATOR.items():
        os.environ.setdefault(name, value)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MALLOPT_MMAP_THRESHOLD, _HEAP_ALLOCATION_BYTES_MAX)
        mallopt(_MALLOPT_TRIM_THRESHOLD, _TRIM_BYTES)


_UNUSED = {
    # By pyarrow at the first `pyarrow.array`, to tell its series from lists:
    # measured, 0.3 s of the first push and 47 MB.
    "pandas",
    # By structlog, for colours that our logs never have: 0.08 s of each start.
    "rich",
}


class _NotHere:
    """Says of what is unused that it is not installed; knows of nothing else."""

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        if name in _UNUSED:
            raise ModuleNotFoundError(f"the server runs without {name}", name=name)


def leave_out_unused() -> None:
    """Have what is unused look as if it were not installed, in this process."""
    sys.meta_path.insert(0, _NotHere)
