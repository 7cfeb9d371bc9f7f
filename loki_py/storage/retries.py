"""When a request is tried again: how often, how soon, and when no more.

Pure: random numbers and times are arguments.
"""

import threading
from dataclasses import dataclass

from loki_py.config.units import NS_PER_S

RETRY_TOKENS_MAX = 100.0
"""Retries that all requests together have in advance. Each takes one; a request
that succeeds gives back what it took. So an error now and then is retried for
ever, and a store that is down is not besieged."""

RETRY_TOKENS_PER_S = 2.0
"""What time adds, up to the most, so that a store that came back is used soon."""

RETRY_NS_MAX = 60 * NS_PER_S
"""No retry begins when a request has been tried for so long."""


class RetryBudget:
    """Retries that are left for all requests together; for any thread."""

    def __init__(self, tokens_max: float = RETRY_TOKENS_MAX) -> None:
        self._tokens_max = tokens_max
        self._tokens = tokens_max
        self._filled_ns: int | None = None
        self._lock = threading.Lock()

    def take(self, *, now_ns: int) -> bool:
        """Return whether one more retry may be; it is taken then."""
        with self._lock:
            passed_ns = max(now_ns - (self._filled_ns or now_ns), 0)
            self._filled_ns = now_ns
            self._add(passed_ns / NS_PER_S * RETRY_TOKENS_PER_S)
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True

    def give_back(self, retries: int) -> None:
        """Take back what a request took that has succeeded."""
        with self._lock:
            self._add(retries)

    def _add(self, tokens: float) -> None:
        self._tokens = min(self._tokens + tokens, self._tokens_max)


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before a retry.

    Attributes:
        min_ns, max_ns: bounds of the doubling wait, before it is shortened by
            chance so that clients do not come back together.
        retries_max: retries of one request.
    """

    min_ns: int
    max_ns: int
    retries_max: int

    def wait_ns(self, retry: int, *, chance: float) -> int:
        """Return the wait before a retry; the first is number 0.

        Args:
            chance: a random number in [0, 1).
        """
        assert 0 <= chance < 1
        longest = min(self.min_ns << min(retry, 32), self.max_ns)
        return int(longest * (0.5 + chance / 2))
