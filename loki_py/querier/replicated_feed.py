"""Follow all ingesters of a ring, and show each entry once.

An `EntryFeed` over the ring. Every ingester that may take pushes is followed,
those that come later too. A tail goes on while only so few are not followed as
an acknowledged entry is with one that is; beyond, it ends with an error.

Owns a task for each instance and one that looks after them; `close` ends them.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from loki_py.errors import LokiError, QuorumNotReached
from loki_py.model.batch import EntryBatch
from loki_py.model.matchers import Matcher
from loki_py.querier.replicated import ReadRing
from loki_py.ring.desc import InstanceDesc
from loki_py.ring.replication import ReadOutcome, ReadTracker
from loki_py.runtime.logs import logger_of
from loki_py.transport.abc import InstanceLost
from loki_py.transport.tailing import Arrivals, EntryFeed, Following
from loki_py.wire.digests import keys_of

LOOK_S = 0.5
"""How often the ring is looked at for who came and who went."""

BEGIN_S_MAX = 5.0
"""How long a tail waits for ingesters to begin."""

QUEUE_BYTES_MAX = 4 << 20
"""Line bytes that wait to be taken; beyond, the ingesters' queues fill."""

RECENT_KEYS_MAX = 50_000
"""Entries that are remembered to know them when another replica brings them."""

_log = logger_of("querier")
_Keys = npt.NDArray[np.uint64]


class ReplicatedFeed:
    """All ingesters of a ring, as tails see them."""

    def __init__(
        self,
        ring: ReadRing,
        feed_of: Callable[[InstanceDesc], EntryFeed],
        *,
        replication_factor: int,
        zone_aware: bool,
    ) -> None:
        self.ring = ring
        self.feed_of = feed_of
        self._replication_factor = replication_factor
        self._zone_aware = zone_aware

    def tail(self, tenant: str, matchers: Sequence[Matcher]) -> Following:
        """Return what follows new entries; see `EntryFeed.tail`."""
        return _ReplicatedFollowing(self, tenant, matchers)

    def tracker(self) -> ReadTracker:
        """Return what decides whether enough of those in the ring are followed."""
        return ReadTracker(
            self.ring.read_set(), self._replication_factor, self._zone_aware
        )


class _Recent:
    """The entries that came lately, and who brought them."""

    def __init__(self) -> None:
        self._keys: deque[tuple[str, _Keys]] = deque()
        self._count = 0

    def fresh(self, instance_id: str, batch: EntryBatch) -> EntryBatch:
        """Return the rows that no other instance brought; remember them."""
        keys = keys_of(batch)
        others = [known for name, known in self._keys if name != instance_id]
        if others:
            is_fresh = ~np.isin(keys, np.concatenate(others))
            batch, keys = batch.filter(is_fresh), keys[is_fresh]
        self._keys.append((instance_id, keys))
        self._count += len(keys)
        while self._count > RECENT_KEYS_MAX and len(self._keys) > 1:
            self._count -= len(self._keys.popleft()[1])
        return batch


class _ReplicatedFollowing:
    """One tail over all ingesters; a `Following`."""

    def __init__(
        self, feed: ReplicatedFeed, tenant: str, matchers: Sequence[Matcher]
    ) -> None:
        self._feed = feed
        self._tenant = tenant
        self._matchers = matchers
        self._recent = _Recent()
        self._live: set[str] = set()
        self._failed: dict[str, LokiError] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._batches: list[EntryBatch] = []
        self._bytes = 0
        self._dropped: list[EntryBatch] = []
        self._dropped_count = 0
        self._error: LokiError | None = None
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._changed = asyncio.Event()
        self._room.set()
        self._look_after()
        self._task = asyncio.create_task(self._keep_following(), name="tail")

    async def begun(self) -> None:
        """Return when enough ingesters are followed.

        Raises: QuorumNotReached.
        """
        try:
            async with asyncio.timeout(BEGIN_S_MAX):
                while (outcome := self._tracked().outcome) is ReadOutcome.PENDING:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            outcome = ReadOutcome.LOST
        if outcome is ReadOutcome.LOST:
            raise QuorumNotReached(self._tracked().reason_lost())

    async def arrivals(self) -> Arrivals:
        """Return what came since the last call; wait while that is nothing.

        Raises: QuorumNotReached where too few are followed.
        """
        await self._news.wait()
        if self._error is not None:
            raise self._error
        self._news.clear()
        found = Arrivals(self._batches, self._dropped, self._dropped_count)
        self._batches, self._bytes = [], 0
        self._dropped, self._dropped_count = [], 0
        self._room.set()
        return found

    def close(self) -> None:
        """Follow nobody any more."""
        self._task.cancel()
        for task in self._tasks.values():
            task.cancel()

    async def _keep_following(self) -> None:
        """Follow who comes; end the tail where too few are left."""
        while True:
            await asyncio.sleep(LOOK_S)
            self._look_after()
            tracker = self._tracked()
            if tracker.outcome is ReadOutcome.LOST:
                self._error = QuorumNotReached(tracker.reason_lost())
                self._news.set()
                return

    def _look_after(self) -> None:
        asked = {i.instance_id: i for i in self._feed.ring.read_set().asked}
        for name in [n for n, task in self._tasks.items() if task.done()]:
            del self._tasks[name]
        for name, instance in asked.items():
            if name not in self._tasks:
                self._tasks[name] = asyncio.create_task(self._follow(instance))

    def _tracked(self) -> ReadTracker:
        tracker = self._feed.tracker()
        for instance in tracker.instances.asked:
            name = instance.instance_id
            if name in self._live:
                tracker.answer(name)
            elif name in self._failed:
                tracker.fail(name, self._failed[name])
        return tracker

    async def _follow(self, instance: InstanceDesc) -> None:
        """Follow one instance until it is lost."""
        name = instance.instance_id
        following = self._feed.feed_of(instance).tail(self._tenant, self._matchers)
        try:
            async with asyncio.timeout(BEGIN_S_MAX):
                await following.begun()
            self._failed.pop(name, None)
            self._live.add(name)
            self._changed.set()
            while True:
                await self._take(name, await following.arrivals())
        except TimeoutError:
            self._failed[name] = InstanceLost(name, "did not begin in time")
        except LokiError as error:
            self._failed[name] = error
        except Exception as error:  # noqa: BLE001  # told as any other failure
            _log.exception("following an ingester broke", ingester=name)
            self._failed[name] = InstanceLost(name, repr(error))
        finally:
            self._live.discard(name)
            self._changed.set()
            following.close()

    async def _take(self, name: str, arrivals: Arrivals) -> None:
        for batch in arrivals.batches:
            fresh = self._recent.fresh(name, batch)
            if len(fresh):
                self._batches.append(fresh)
                self._bytes += fresh.total_line_bytes()
        self._dropped += arrivals.dropped
        self._dropped_count += arrivals.dropped_count
        if self._batches or self._dropped_count:
            self._news.set()
        if self._bytes > QUEUE_BYTES_MAX:
            self._room.clear()
        await self._room.wait()
