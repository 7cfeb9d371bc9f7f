"""What the machine gives, and what of it the ingester's heads may take."""

import os
import resource
from pathlib import Path

from loki_py.config.schema import IngesterConfig
from loki_py.ingester.generation import SEALED_MAX

MEMORY_PARTS = 4
"""Heads take one part of so many of the memory, where no ceiling is set."""

_CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def memory_bytes() -> int:
    """Return the memory there is: the machine's, or less where a cgroup says so."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(machine, *(_limit_in(path) or machine for path in _CGROUP_LIMITS))


def raise_files_max() -> int:
    """Let this process open as many files as it may, and return how many.

    Each connection is one, and systems often grant 1,024 unless asked for more.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def with_bounded_heads(config: IngesterConfig, memory_bytes: int) -> IngesterConfig:
    """Return settings under which all heads together stay below the ceiling.

    Besides the open generation SEALED_MAX may wait for the disk; then pushes
    wait, and are refused in the end. So each may take its part of the ceiling,
    and a larger `head_size` is lowered to that.
    """
    ceiling = config.memory_bytes_max or memory_bytes // MEMORY_PARTS
    each = max(ceiling // (SEALED_MAX + 1), 1)
    if config.head_bytes_max <= each:
        return config
    return config.model_copy(update={"head_bytes_max": each})


def _limit_in(path: Path) -> int:
    """Return the bytes that a file of the system names, 0 where it names none."""
    try:
        text = path.read_text().strip()
    except OSError:
        return 0
    return int(text) if text.isdecimal() else 0
