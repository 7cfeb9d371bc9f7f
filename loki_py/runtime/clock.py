"""The clock, as a value that services are given."""

import time
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    """Tells the time."""

    def now_ns(self) -> int:
        """Return unix nanoseconds; may jump when the machine's clock is set."""
        ...

    def monotonic_ns(self) -> int:
        """Return nanoseconds that never go back, for spans and buckets."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_ns(self) -> int:
        """Return unix nanoseconds."""
        return time.time_ns()

    def monotonic_ns(self) -> int:
        """Return nanoseconds that never go back."""
        return time.monotonic_ns()


@dataclass(slots=True)
class ManualClock:
    """A clock that stands still until it is moved."""

    time_ns: int = 1_700_000_000_000_000_000

    def now_ns(self) -> int:
        """Return the time it was moved to."""
        return self.time_ns

    def monotonic_ns(self) -> int:
        """Return the same time."""
        return self.time_ns

    def advance(self, duration_ns: int) -> None:
        """Move forward."""
        assert duration_ns >= 0
        self.time_ns += duration_ns
