"""Decide whether something that keeps failing is asked at all.

Pure: times are arguments.
"""

import threading

from loki_py.config.units import NS_PER_S

FAILURES_MAX = 5
"""Failures in a row after which nothing is asked any more."""

PROBE_NS = 5 * NS_PER_S
"""How long nothing is asked; then one request finds out."""


class Breaker:
    """Closed: everything passes. Open: one probe passes every `probe_ns`.

    A success closes it, from any state. For any thread.
    """

    def __init__(
        self, *, failures_max: int = FAILURES_MAX, probe_ns: int = PROBE_NS
    ) -> None:
        self._failures_max = failures_max
        self._probe_ns = probe_ns
        self._failures = 0
        self._probed_ns = 0
        self._lock = threading.Lock()

    @property
    def is_open(self) -> bool:
        """Whether all but probes is refused."""
        return self._failures >= self._failures_max

    def may_pass(self, *, now_ns: int) -> bool:
        """Return whether to ask now; a probe that passes is the only one."""
        with self._lock:
            if not self.is_open:
                return True
            if now_ns - self._probed_ns < self._probe_ns:
                return False
            self._probed_ns = now_ns
            return True

    def succeeded(self) -> None:
        """Count an answer."""
        with self._lock:
            self._failures = 0

    def failed(self, *, now_ns: int) -> None:
        """Count a request without an answer."""
        with self._lock:
            self._failures += 1
            self._probed_ns = now_ns
