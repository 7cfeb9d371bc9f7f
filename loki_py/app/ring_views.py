"""The rings of a cluster, or of a process alone, as their pages show them."""

from dataclasses import dataclass, replace

from loki_py.kv.abc import KvStore
from loki_py.ring.desc import InstanceDesc, InstanceState, RingDesc
from loki_py.ring.holders import DataRing
from loki_py.ring.watcher import RingWatcher


@dataclass(frozen=True, slots=True)
class IngesterRingView:
    """The ring of ingesters as its page shows it: with those who are gone."""

    data_ring: DataRing

    @property
    def ring(self) -> RingDesc:
        """The ring, and whoever may hold data and is not in it, as unhealthy."""
        ring = self.data_ring.ring
        silent_ns = ring.as_of_ns - 2 * self.data_ring.settings.forget_ns - 1
        gone = {
            name: replace(holder, state=InstanceState.LEAVING, seen_ns=silent_ns)
            for name, holder in self.data_ring.holders.items()
            if name not in ring.instances
        }
        return RingDesc({**ring.instances, **gone}, ring.as_of_ns)

    @property
    def is_away(self) -> bool:
        """Whether the store is out of reach."""
        return self.data_ring.is_away

    async def forget(self, instance_id: str) -> None:
        """Take an instance out of the ring, and its data for lost."""
        await self.data_ring.forget(instance_id)


@dataclass(frozen=True, slots=True)
class DistributorRingView:
    """The ring of distributors as its page shows it."""

    watcher: RingWatcher
    kv: KvStore

    @property
    def ring(self) -> RingDesc:
        """The ring as last heard of."""
        return self.watcher.ring

    @property
    def is_away(self) -> bool:
        """Whether the store is out of reach."""
        return self.watcher.is_away

    async def forget(self, instance_id: str) -> None:
        """Take an instance out; a living one comes back by itself."""
        await self.kv.delete(self.watcher.settings.instance_key(instance_id))


@dataclass(frozen=True, slots=True)
class AloneView:
    """The ring of a process that shares nothing: itself."""

    own: InstanceDesc

    @property
    def ring(self) -> RingDesc:
        """A ring of one."""
        return RingDesc({self.own.instance_id: self.own})

    @property
    def is_away(self) -> bool:
        """No store, so never."""
        return False

    async def forget(self, instance_id: str) -> None:
        """Do nothing: a living instance comes back at once."""
