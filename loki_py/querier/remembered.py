"""What asking replicas showed of them, remembered for the next question.

Pure: whoever asks tells the time. Both are hints: what is forgotten costs a
question more, and no answer is wrong.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

TENANTS_MAX = 10_000
"""Tenants that are remembered; beyond, the one that came first is forgotten."""

SUSPECT_NS = 10_000_000_000
"""How long an instance that was lost in a query is left out where it can be."""


@dataclass(slots=True)
class FlushedTenants:
    """Tenants of whom some instance keeps what it flushed."""

    _tenants: dict[str, None] = field(default_factory=dict)

    def __contains__(self, tenant: str) -> bool:
        """Return whether that was so when it was asked last."""
        return tenant in self._tenants

    def __len__(self) -> int:
        """Return how many are remembered."""
        return len(self._tenants)

    def note(self, tenant: str, *, is_flushed: bool) -> bool:
        """Remember what was found; return whether a tenant is flushed anew."""
        if not is_flushed:
            self._tenants.pop(tenant, None)
            return False
        if tenant in self._tenants:
            return False
        if len(self._tenants) >= TENANTS_MAX:
            del self._tenants[next(iter(self._tenants))]
        self._tenants[tenant] = None
        return True


@dataclass(slots=True)
class Suspects:
    """Instances that were lost in the middle of a query, for a while."""

    _until_ns: dict[str, int] = field(default_factory=dict)

    def add(self, instance_id: str, now_ns: int) -> None:
        """Suspect an instance from now on."""
        self.at(now_ns)
        self._until_ns[instance_id] = now_ns + SUSPECT_NS

    def at(self, now_ns: int) -> Collection[str]:
        """Return who is suspected now; nobody else is remembered."""
        self._until_ns = {n: u for n, u in self._until_ns.items() if u > now_ns}
        return self._until_ns.keys()
