"""Pushes that take as long as their tenant's limits say, to try out clients."""

import asyncio
from dataclasses import dataclass

from loki_py.api.services import PushService
from loki_py.config.limits import Overrides
from loki_py.config.units import NS_PER_S
from loki_py.model.batch import EntryBatch


@dataclass(frozen=True, slots=True)
class LatePushes:
    """Stores pushes at once, and answers after `simulated_push_latency`."""

    pusher: PushService
    overrides: Overrides

    async def push(self, tenant: str, batch: EntryBatch, *, push_format: str) -> None:
        """Return when every valid entry is durable, and not before the latency.

        Raises: RequestRejected, Unavailable.
        """
        latency_ns = self.overrides.limits_of(tenant).simulated_push_latency_ns
        if not latency_ns:
            await self.pusher.push(tenant, batch, push_format=push_format)
            return
        pause = asyncio.create_task(asyncio.sleep(latency_ns / NS_PER_S))
        try:
            await self.pusher.push(tenant, batch, push_format=push_format)
            await pause
        finally:
            pause.cancel()
