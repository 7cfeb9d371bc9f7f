"""A ring whose members keep data: who owns what, and who must not be overlooked.

An entry in a ring goes with its lease, the data of its instance does not. So
whoever may hold data has a second key, without a lease, written before it takes
anything and removed when nothing is left, or by an operator who forgets the
instance. Readers count those as missing who have that key and no entry: an
instance that has been down for hours is not silently left out of the answers.

Owns two watchers. Start before whoever looks things up, stop after.
"""

from collections.abc import Mapping
from dataclasses import replace

from loki_py.kv.abc import KvStore
from loki_py.ring.desc import InstanceDesc, RingDesc, encode_instance
from loki_py.ring.lookup import ReplicaTable
from loki_py.ring.replication import ReadSet
from loki_py.ring.settings import RingSettings
from loki_py.ring.watcher import RingWatcher
from loki_py.runtime.clock import Clock


def holder_settings(settings: RingSettings) -> RingSettings:
    """Return the settings of the ring of those who may hold data: nobody ages."""
    return replace(settings, name=f"{settings.name}-holders", heartbeat_timeout_ns=0)


class DataRing:
    """One ring and its holders as this process sees them."""

    def __init__(self, kv: KvStore, settings: RingSettings, *, clock: Clock) -> None:
        self.settings = settings
        self._kv = kv
        self._watcher = RingWatcher(kv, settings, clock=clock)
        self._holders = RingWatcher(kv, holder_settings(settings), clock=clock)

    async def start(self) -> None:
        """Begin to watch; returns after the first tries, failed or not."""
        await self._watcher.start()
        await self._holders.start()

    async def stop(self) -> None:
        """End watching; the snapshots stay."""
        await self._holders.stop()
        await self._watcher.stop()

    @property
    def ring(self) -> RingDesc:
        """The ring as last heard of."""
        return self._watcher.ring

    @property
    def is_away(self) -> bool:
        """Whether the store is out of reach right now."""
        return self._watcher.is_away

    @property
    def holders(self) -> Mapping[str, InstanceDesc]:
        """Those who may hold data, by id."""
        return self._holders.ring.instances

    def writable(self) -> tuple[InstanceDesc, ...]:
        """Return the instances that take pushes now."""
        return self._watcher.writable()

    def unhealthy(self) -> tuple[InstanceDesc, ...]:
        """Return the instances whose heartbeat is too old, or gone with its lease."""
        known = self.ring.instances
        gone = (self.holders[n] for n in sorted(self.holders) if n not in known)
        return (*self._watcher.unhealthy(), *gone)

    def write_table(self) -> ReplicaTable:
        """Return who owns what for pushes, now."""
        return self._watcher.write_table()

    def read_set(self) -> ReadSet:
        """Return whom a query must ask, and who is missing, now."""
        found = self._watcher.read_set()
        known = {i.instance_id for i in (*found.asked, *found.missing)}
        gone = [self.holders[n] for n in sorted(self.holders) if n not in known]
        return ReadSet(found.asked, (*found.missing, *gone))

    def reason_not_ready(self) -> str | None:
        """Return why lookups can not be trusted, None where they can."""
        return self._watcher.reason_not_ready() or self._holders.reason_not_ready()

    async def claim(self, own: InstanceDesc) -> None:
        """Say that an instance may hold data.

        Raises: KvUnavailable.
        """
        key = self._holder_key(own.instance_id)
        await self._kv.write({key: encode_instance(replace(own, tokens=()))})

    async def release(self, instance_id: str) -> None:
        """Say that an instance holds nothing that is not elsewhere.

        Raises: KvUnavailable.
        """
        await self._kv.delete(self._holder_key(instance_id))

    async def forget(self, instance_id: str) -> None:
        """Take an instance out of the ring, and what it held for lost.

        Raises: KvUnavailable.
        """
        await self._kv.delete(self.settings.instance_key(instance_id))
        await self.release(instance_id)

    def _holder_key(self, instance_id: str) -> str:
        return holder_settings(self.settings).instance_key(instance_id)
