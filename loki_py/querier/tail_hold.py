"""Entries that are held back for a while, to be shown in order of time. Pure."""

from collections.abc import Sequence

import numpy as np

from loki_py.model.batch import EntryBatch, Timestamps

HELD_BYTES_MAX = 16 << 20
"""Line bytes held back; beyond, everything is due at once."""


class Hold:
    """Holds entries until their time, or their arrival, is some time ago.

    An entry that says it is from the future does not wait for that.

    Args:
        delay_ns: how long; 0 holds nothing.
    """

    def __init__(self, delay_ns: int) -> None:
        self._delay_ns = delay_ns
        self._held: list[tuple[EntryBatch, Timestamps]] = []
        self._bytes = 0

    def add(self, batches: Sequence[EntryBatch], *, now_ns: int) -> None:
        """Take what has come."""
        for batch in batches:
            due_ns = np.minimum(batch.timestamp_ns, now_ns) + self._delay_ns
            self._held.append((batch, due_ns))
            self._bytes += batch.total_line_bytes()

    def take_due(self, *, now_ns: int) -> list[EntryBatch]:
        """Return what is due, and hold it no longer."""
        if self._bytes > HELD_BYTES_MAX or not self._delay_ns:
            taken = [batch for batch, _ in self._held]
            self._held, self._bytes = [], 0
            return taken
        taken, kept = [], []
        for batch, due_ns in self._held:
            due = due_ns <= now_ns
            if due.any():
                taken.append(batch.filter(due))
            if not due.all():
                kept.append((batch.filter(~due), due_ns[~due]))
        self._held = kept
        self._bytes = sum(batch.total_line_bytes() for batch, _ in kept)
        return taken

    def due_in_s(self, *, now_ns: int) -> float | None:
        """Return after how many seconds the next entry is due; None if none is held."""
        if not self._held:
            return None
        next_ns = min(int(due_ns.min()) for _, due_ns in self._held)
        return max(next_ns - now_ns, 0) / 1e9
