"""Have the allocators keep freed memory for the next push, and pandas stay out.

Every push allocates and frees a few buffers of a megabyte. Left to themselves
the allocators give such memory back to the system at once and take it again,
and the system clears it each time: measured, a third of all CPU of ingestion
(docs/decisions/0004-allocators-keep-freed-memory.md).

Where pandas is installed, pyarrow imports it at the first `pyarrow.array`, to
tell its series from lists. Nothing in the server makes any: measured, 0.3 s of
the first push and 47 MB for nothing.
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


class _NotHere:
    """Says of pandas that it is not installed; knows of nothing else."""

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("the server runs without pandas", name=name)


def leave_pandas_out() -> None:
    """Have `import pandas` fail in this process, as where it is not installed."""
    sys.meta_path.insert(0, _NotHere)
