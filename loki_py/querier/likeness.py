"""Of which tenants replicas were found alike, so that one of them is asked first.

To ask one for the answer before it is known that all hold the same is the
fastest where they do, and work for nothing where they do not.

Pure: whoever asks tells the time.
"""

from dataclasses import dataclass, field

TENANTS_MAX = 10_000
"""Tenants that are remembered; beyond, all are forgotten."""

WAIT_NS_MIN = 5_000_000_000
"""After replicas differed once, so long nobody counts on their likeness."""

WAIT_NS_MAX = 300_000_000_000
"""The same after they differed every time, each wait twice as long as before."""


@dataclass(slots=True)
class Likeness:
    """By tenant, until when one does not count on it, and how long that is."""

    _waits: dict[str, tuple[int, int]] = field(default_factory=dict)

    def is_likely(self, tenant: str, now_ns: int) -> bool:
        """Return whether to count on it."""
        return now_ns >= self._waits.get(tenant, (now_ns, 0))[0]

    def note(self, tenant: str, now_ns: int, *, alike: bool) -> None:
        """Remember what was found.

        Args:
            now_ns: when it was asked for. Questions that were asked together and
                found a difference count as one.
        """
        if alike:
            self._waits.pop(tenant, None)
            return
        until_ns, former_ns = self._waits.get(tenant, (now_ns, 0))
        if now_ns < until_ns:
            return
        self._waits.pop(tenant, None)
        if len(self._waits) >= TENANTS_MAX:
            self._waits.clear()
        wait_ns = min(max(2 * former_ns, WAIT_NS_MIN), WAIT_NS_MAX)
        self._waits[tenant] = now_ns + wait_ns, wait_ns
