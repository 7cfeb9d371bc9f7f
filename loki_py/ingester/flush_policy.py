"""When a tenant's blocks are due to be flushed, and why.

Pure: the flusher supplies the clock and does the uploading.
"""

from dataclasses import dataclass
from enum import Enum


class FlushReason(Enum):
    """Why blocks are flushed; the values are Loki's metric labels."""

    FULL = "full"
    IDLE = "idle"
    MAX_AGE = "max_age"
    FORCED = "forced"


@dataclass(frozen=True, slots=True)
class Unflushed:
    """What a tenant has in block files and not yet in the object store.

    Attributes:
        line_bytes: sum of line lengths.
        created_ns: wall clock at which the oldest of the blocks was cut.
        appended_ns: wall clock at the tenant's last append.
    """

    line_bytes: int
    created_ns: int
    appended_ns: int


@dataclass(frozen=True, slots=True)
class FlushPolicy:
    """Flush a tenant's blocks together, so that objects stay few and large.

    Attributes:
        pack_target_bytes: flush when this many bytes of lines wait.
        idle_ns_max: flush when nothing was appended for longer.
        age_ns_max: flush when the oldest block waits for longer.
    """

    pack_target_bytes: int
    idle_ns_max: int
    age_ns_max: int

    def reason_to_flush(
        self, unflushed: Unflushed, *, now_ns: int
    ) -> FlushReason | None:
        """Return why the blocks must be flushed now, or None to let them wait."""
        if unflushed.line_bytes >= self.pack_target_bytes:
            return FlushReason.FULL
        if now_ns - unflushed.appended_ns > self.idle_ns_max:
            return FlushReason.IDLE
        if now_ns - unflushed.created_ns > self.age_ns_max:
            return FlushReason.MAX_AGE
        return None
