"""This process as a member of the rings: joining late, leaving early.

Start order: the ring is watched and our entry stands as PENDING before the
ingester replays its WAL; it joins when the ingester serves and gRPC listens.
Stop order is the reverse: first no more pushes come, at the very end our entry
goes.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from loki_py.distributor.rate_limits import RateLimiter
from loki_py.errors import LokiError
from loki_py.ingester.handover import Successors
from loki_py.ingester.service import Ingester
from loki_py.ring.desc import InstanceState, live_count
from loki_py.ring.holders import DataRing
from loki_py.ring.lifecycler import Lifecycler
from loki_py.ring.watcher import RingWatcher, backoff_s
from loki_py.runtime.logs import logger_of
from loki_py.runtime.tasks import end_task

LOOK_S = 1.0
"""How often shares of cluster-wide limits are worked out anew."""

LEAVING_S = 1.0
"""How long others get to hear that we take no more pushes."""

_log = logger_of("ring")


@dataclass(slots=True)
class IngesterMembership:
    """Joins the ring of ingesters when the ingester serves, and leaves it.

    Attributes:
        index_s: how long queriers may take to see what was flushed.
        successors: get what is too small to be uploaded when we go; None: nobody.
        leaves_for_good: whether the next stop flushes everything and leaves
            nothing behind that readers would miss.
    """

    ring: DataRing
    lifecycler: Lifecycler
    ingester: Ingester
    index_s: float
    successors: Successors | None = None
    leaves_for_good: bool = False
    _task: asyncio.Task[None] | None = None
    _joined: bool = False
    _left: bool = False
    _holds_nothing: bool = False

    async def start(self) -> None:
        """Begin to join; where the store is away, it is done when it is back."""
        self._task = asyncio.create_task(self._run(), name="ring-membership")

    async def stop(self) -> None:
        """Leave, unless that is done."""
        await self.leave(for_good=self.leaves_for_good)

    async def leave(self, *, for_good: bool) -> None:
        """Take no more pushes; with `for_good`, hold nothing that is not flushed.

        Returns when the flush is durable and every querier knows of it.

        Raises: Unavailable where the flush fails; then nothing is given up, and
        it may be called again.
        """
        if not self._left:
            await self._end_task()
            self.lifecycler.leave()
            await asyncio.sleep(LEAVING_S)
            self._left = True
        if not for_good or self._holds_nothing:
            return
        self.ingester.close_to_pushes()
        await self.ingester.flush(self.successors)
        await asyncio.sleep(self.index_s)
        await self.ring.release(self.lifecycler.desc.instance_id)
        self._holds_nothing = True
        _log.info("left for good; everything is in object storage")

    def reason_not_ready(self) -> str | None:
        """Return why others do not count on this process, None where they do.

        What the store told us of ourselves it told the others, so that who waits
        for readiness may stop the next one.
        """
        own = self.lifecycler.desc
        seen = self.ring.ring.instances.get(own.instance_id)
        reason = self.lifecycler.reason_not_ready()
        if reason is None and (
            seen is None
            or seen.started_ns != own.started_ns
            or seen.state is not InstanceState.ACTIVE
        ):
            return "ingester ring: this instance is not seen as ACTIVE yet"
        return reason

    async def _end_task(self) -> None:
        task, self._task = self._task, None
        await end_task(task)

    async def _run(self) -> None:
        failures = 0
        while True:
            pause_s = LOOK_S
            try:
                await self._claim()
                failures = 0
            except LokiError as error:
                failures += 1
                pause_s = backoff_s(failures)
                if failures == 1:
                    _log.warning("can not join yet", error=str(error))
            self._share_limits()
            await asyncio.sleep(pause_s)

    async def _claim(self) -> None:
        """Say that we may hold data, before we do; again if the store forgot it."""
        own = self.lifecycler.desc
        is_known = self.ring.is_away or own.instance_id in self.ring.holders
        if not (self._joined and is_known):
            await self.ring.claim(own)
        if not self._joined:
            self._joined = True
            self.lifecycler.join()

    def _share_limits(self) -> None:
        factor = self.ring.settings.replication_factor
        self.ingester.streams_share = min(
            factor / max(len(self.ring.writable()), 1), 1.0
        )


@dataclass(slots=True)
class DistributorMembership:
    """Counts the distributors that share a tenant's rate; this one is one of them."""

    lifecycler: Lifecycler
    watcher: RingWatcher
    limiter: RateLimiter
    _task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take part."""
        await self.watcher.start()
        await self.lifecycler.start()
        self.lifecycler.join()
        self._task = asyncio.create_task(self._run(), name="distributor-ring")

    async def stop(self) -> None:
        """Take part no more."""
        await end_task(self._task)
        await self.lifecycler.stop()
        await self.watcher.stop()

    async def _run(self) -> None:
        while True:
            timeout_ns = self.watcher.settings.heartbeat_timeout_ns
            self.limiter.distributors_count = live_count(
                self.watcher.ring, heartbeat_ns_max=timeout_ns
            )
            await asyncio.sleep(LOOK_S)


@dataclass(slots=True)
class Shutdown:
    """What an operator may ask of an ingester that shall go.

    Attributes:
        terminate: ends the process in good order; returns at once.
    """

    membership: IngesterMembership | None
    ingester: Ingester
    terminate: Callable[[], None]
    _busy: asyncio.Lock = field(default_factory=asyncio.Lock)
    _is_prepared: bool = False

    @property
    def is_prepared(self) -> bool:
        """Whether the next stop leaves for good."""
        return self._is_prepared

    def prepare(self, *, wanted: bool) -> None:
        """Have the next stop flush everything and leave for good, or not."""
        self._is_prepared = wanted
        self.ingester.flush_on_stop = wanted or self.ingester.flushes_by_default
        if self.membership is not None:
            self.membership.leaves_for_good = wanted

    async def shut_down(self, *, flush: bool, terminate: bool) -> None:
        """Take no more pushes, flush if asked, then end the process if asked.

        Raises: Unavailable where the flush fails; then nothing is ended.
        """
        async with self._busy:
            if self.membership is not None:
                await self.membership.leave(for_good=flush)
            self.ingester.close_to_pushes()
            if flush and self.membership is None:
                await self.ingester.flush()
        if terminate:
            self.terminate()
