"""Take chunks over from an ingester that leaves.

A chunk is refused as a stream's by who does not own it (409), all of them by who
is not there for good (423) or has enough at work (429). What is not refused is on
disk when the answer is given.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from loki_py.errors import (
    LokiError,
    NotOwner,
    NotReady,
    Overloaded,
    ReceiverBusy,
    ReceiverLocked,
)
from loki_py.model.batch import EntryBatch
from loki_py.model.labels import token_of
from loki_py.ring.desc import InstanceDesc
from loki_py.ring.lookup import TableCache
from loki_py.ring.owners import OwnersRing
from loki_py.transport.abc import PushAnswer

TRANSFERS_BYTES_MAX = 32 << 20
"""Bytes that are being taken over at once; beyond, senders wait and try again."""

_ROW_BYTES = 12


class Taker(Protocol):
    """What is asked of the ingester."""

    def reason_not_ready(self) -> str | None: ...

    async def take_over(self, tenant: str, batch: EntryBatch) -> PushAnswer: ...


class ChunkReceiver:
    """One ingester as a `transport.transfer_target.TransferTarget`.

    Args:
        instance_id: who it is on the ring.
    """

    def __init__(
        self,
        ingester: Taker,
        ring: OwnersRing,
        instance_id: str,
        *,
        bytes_max: int = TRANSFERS_BYTES_MAX,
    ) -> None:
        self._ingester = ingester
        self._ring = ring
        self._instance_id = instance_id
        self._bytes_max = bytes_max
        self._bytes = 0
        settings = ring.settings
        self._tables = TableCache(
            replication_factor=settings.replication_factor,
            zone_aware=settings.zone_aware,
        )

    async def transfer(
        self, sender: str, tenant: str, batch: EntryBatch
    ) -> Mapping[int, LokiError]:
        """See `TransferTarget.transfer`.

        Raises: ReceiverLocked, ReceiverBusy; DurabilityFailed.
        """
        # The sender leaves, whether the ring says so already or not.
        others = [i for i in self._ring.writable() if i.instance_id != sender]
        self._check_open(others)
        size_bytes = (
            batch.total_line_bytes()
            + batch.total_metadata_bytes()
            + _ROW_BYTES * len(batch)
        )
        if self._bytes and self._bytes + size_bytes > self._bytes_max:
            raise ReceiverBusy(
                f"ingester {self._instance_id} takes over {self._bytes} bytes, and "
                f"{size_bytes} more came; limit is {self._bytes_max}"
            )
        self._bytes += size_bytes
        try:
            return await self._taken(tenant, batch, others)
        finally:
            self._bytes -= size_bytes

    def _check_open(self, writable: Sequence[InstanceDesc]) -> None:
        reason = self._ingester.reason_not_ready()
        if all(i.instance_id != self._instance_id for i in writable):
            reason = "it is not ACTIVE on the ring that it sees"
        if reason is not None:
            raise ReceiverLocked(f"ingester {self._instance_id}: {reason}")

    async def _taken(
        self, tenant: str, batch: EntryBatch, others: Sequence[InstanceDesc]
    ) -> Mapping[int, LokiError]:
        table = self._tables.table_of(others)
        own = [i.instance_id for i in table.instances].index(self._instance_id)
        tokens = np.array([token_of(tenant, s) for s in batch.streams], np.uint32)
        is_owner = (table.replicas_of(tokens) == own).any(axis=1)
        is_kept = is_owner[batch.stream]
        refused: dict[int, LokiError] = {
            n: NotOwner(f"{self._instance_id} does not own {batch.streams[n].text}")
            for n in np.unique(batch.stream[~is_kept]).tolist()
        }
        kept = batch.filter(is_kept) if refused else batch
        if len(kept):
            try:
                answer = await self._ingester.take_over(tenant, kept)
            except NotReady as error:
                raise ReceiverLocked(str(error)) from error
            except Overloaded as error:
                raise ReceiverBusy(str(error)) from error
            refused.update(answer.rejected)
        return refused
