"""Keep a snapshot of a ring: watch it, and read it anew now and then.

Owns one task. Start before whoever looks things up, stop after. While the store
is away the last snapshot stays; a process that never saw the ring is not ready.
"""

import asyncio
import contextlib
import random

from loki_py.errors import LokiError
from loki_py.kv.abc import KvStore, RevisionCompacted
from loki_py.ring.desc import InstanceDesc, RingDesc
from loki_py.ring.lookup import ReplicaTable, TableCache
from loki_py.ring.mirror import RingMirror
from loki_py.ring.replication import ReadSet, read_set
from loki_py.ring.settings import RingSettings
from loki_py.runtime.clock import Clock
from loki_py.runtime.logs import logger_of
from loki_py.runtime.tasks import end_task

BACKOFF_S_MIN = 0.1
BACKOFF_S_MAX = 2.0
_NS_PER_S = 1_000_000_000
_log = logger_of("ring")


def backoff_s(failures: int) -> float:
    """Return how long to wait after so many failures in a row, with jitter."""
    longest = min(BACKOFF_S_MIN * 2 ** min(failures, 10), BACKOFF_S_MAX)
    return random.uniform(longest / 2, longest)  # noqa: S311  # no secret


class RingWatcher:
    """One ring as this process sees it. Used on one event loop."""

    def __init__(self, kv: KvStore, settings: RingSettings, *, clock: Clock) -> None:
        self.settings = settings
        self._kv = kv
        self._clock = clock
        self._mirror = RingMirror(settings)
        self._tables = TableCache(
            replication_factor=settings.replication_factor,
            zone_aware=settings.zone_aware,
        )
        self._task: asyncio.Task[None] | None = None
        self._tried = asyncio.Event()
        self._trouble = "not read yet"

    async def start(self) -> None:
        """Begin to watch; returns after the first try, failed or not."""
        self._task = asyncio.create_task(self._run(), name="ring-watcher")
        await self._tried.wait()

    async def stop(self) -> None:
        """End the task; the snapshot stays."""
        task, self._task = self._task, None
        await end_task(task)

    @property
    def ring(self) -> RingDesc:
        """The ring as last heard of."""
        return self._mirror.ring()

    @property
    def is_away(self) -> bool:
        """Whether the store is out of reach right now."""
        return self._mirror.is_away

    def writable(self) -> tuple[InstanceDesc, ...]:
        """Return the instances that take pushes now."""
        return self.ring.writable(heartbeat_ns_max=self.settings.heartbeat_timeout_ns)

    def unhealthy(self) -> tuple[InstanceDesc, ...]:
        """Return the instances whose heartbeat is too old."""
        return self.ring.unhealthy(heartbeat_ns_max=self.settings.heartbeat_timeout_ns)

    def write_table(self) -> ReplicaTable:
        """Return who owns what for pushes, now."""
        return self._tables.table_of(self.writable())

    def read_set(self) -> ReadSet:
        """Return whom a query must ask, now."""
        timeout_ns = self.settings.heartbeat_timeout_ns
        return read_set(self.ring, heartbeat_ns_max=timeout_ns)

    def reason_not_ready(self) -> str | None:
        """Return why lookups can not be trusted, None where they can.

        A store that went away later is no reason: the last snapshot serves.
        """
        name = self.settings.name
        if not self._mirror.is_loaded:
            return f"{name} ring is not loaded: {self._trouble}"
        for instance_id, why in self._mirror.refused.items():
            return f"{name} ring: instance {instance_id}: {why}"
        return None

    async def load(self) -> int:
        """Read the whole ring once; return the store's revision.

        Raises: KvUnavailable.
        """
        listing = await self._kv.read(self.settings.instances_prefix)
        self._mirror.load(listing.entries, now_ns=self._clock.monotonic_ns())
        return listing.revision

    async def _run(self) -> None:
        failures = 0
        while True:
            try:
                revision = await self.load()
                self._note_reached()
                failures = 0
                self._tried.set()
                await self._follow(revision)
            except (TimeoutError, RevisionCompacted):
                continue
            except LokiError as error:
                self._note_away(str(error))
            except Exception as error:  # noqa: BLE001  # told in readiness
                _log.exception("ring watch broke", ring=self.settings.name)
                self._note_away(repr(error))
            self._tried.set()
            failures += 1
            await asyncio.sleep(backoff_s(failures))

    async def _follow(self, revision: int) -> None:
        """Apply changes until it is time for a full read.

        Raises: TimeoutError when it is; KvUnavailable, RevisionCompacted.
        """
        watch = self._kv.watch(self.settings.instances_prefix, after_revision=revision)
        async with (
            asyncio.timeout(self.settings.full_read_period_ns / _NS_PER_S),
            contextlib.aclosing(watch) as batches,
        ):
            async for changes in batches:
                self._mirror.apply(changes, now_ns=self._clock.monotonic_ns())

    def _note_reached(self) -> None:
        if self._trouble:
            _log.info("ring is read", ring=self.settings.name)
        self._trouble = ""

    def _note_away(self, why: str) -> None:
        if not self._mirror.is_away or self._trouble == "not read yet":
            _log.warning("ring can not be read", ring=self.settings.name, error=why)
        self._trouble = why
        self._mirror.away()
