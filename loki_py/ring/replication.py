"""When the answers of some instances make a read whole.

Readers ask every instance that may hold entries and go on when only as few
answers are missing as an acknowledged entry survives. With zones, what counts
is the zones of those that are missing: two replicas never share a zone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from loki_py.ring.desc import InstanceDesc, InstanceState, RingDesc
from loki_py.ring.quorum import lost_domains_max


class ReadOutcome(Enum):
    """What is known of a read."""

    PENDING = "pending"
    WHOLE = "whole"
    """Every acknowledged entry is in the answers seen."""
    LOST = "lost"
    """So many instances are missing that acknowledged entries may be."""


@dataclass(frozen=True, slots=True)
class ReadSet:
    """Who is asked, and who of those that may hold entries can not be.

    Attributes:
        asked: healthy instances that answer reads.
        missing: instances that may hold entries and can not answer.
    """

    asked: tuple[InstanceDesc, ...]
    missing: tuple[InstanceDesc, ...]


def read_set(ring: RingDesc, *, heartbeat_ns_max: int) -> ReadSet:
    """Return whom a query must ask.

    An instance that has no tokens never took a push, so nobody misses it.
    """
    asked: list[InstanceDesc] = []
    missing: list[InstanceDesc] = []
    for name in sorted(ring.instances):
        instance = ring.instances[name]
        if not instance.tokens:
            continue
        healthy = ring.is_healthy(name, heartbeat_ns_max=heartbeat_ns_max)
        can_answer = healthy and instance.state is not InstanceState.PENDING
        (asked if can_answer else missing).append(instance)
    return ReadSet(tuple(asked), tuple(missing))


@dataclass(slots=True)
class ReadTracker:
    """Decide one read from the answers seen so far.

    `outcome` leaves PENDING at most once: more answers make a whole read no
    less whole, and a lost one stays lost.
    """

    instances: ReadSet
    replication_factor: int
    zone_aware: bool
    answered: set[str] = field(default_factory=set)
    failed: dict[str, Exception] = field(default_factory=dict)

    def answer(self, instance_id: str) -> ReadOutcome:
        """Note that an instance answered."""
        assert instance_id not in self.failed
        self.answered.add(instance_id)
        return self.outcome

    def fail(self, instance_id: str, error: Exception) -> ReadOutcome:
        """Note that an instance will not answer."""
        assert instance_id not in self.answered
        self.failed[instance_id] = error
        return self.outcome

    @property
    def outcome(self) -> ReadOutcome:
        """What is known now."""
        missing = self.instances.missing
        lost = [i for i in self.instances.asked if i.instance_id in self.failed]
        silent = [i for i in self.instances.asked if i.instance_id not in self.answered]
        tolerated = lost_domains_max(self.replication_factor)
        if len(lost) == len(self.instances.asked):
            return ReadOutcome.LOST
        if self._domains_count((*missing, *lost)) > tolerated:
            return ReadOutcome.LOST
        if self.answered and self._domains_count((*missing, *silent)) <= tolerated:
            return ReadOutcome.WHOLE
        return ReadOutcome.PENDING

    def reason_lost(self) -> str:
        """Return which instances are missing, and how many may be."""
        if not self.instances.asked and not self.instances.missing:
            return "empty ring"
        gone: Mapping[str, str] = {
            **{i.instance_id: "not in reach" for i in self.instances.missing},
            **{
                name: str(error).removeprefix(f"ingester {name}: ")
                for name, error in self.failed.items()
            },
        }
        told = ", ".join(f"{name} ({why})" for name, why in sorted(gone.items()))
        kind = "zones" if self.zone_aware else "instances"
        return (
            f"too many unhealthy instances in the ring: missing {told}; at most "
            f"{lost_domains_max(self.replication_factor)} {kind} may be missing"
        )

    def _domains_count(self, instances: Iterable[InstanceDesc]) -> int:
        if self.zone_aware:
            return len({instance.zone for instance in instances})
        return len({instance.instance_id for instance in instances})
