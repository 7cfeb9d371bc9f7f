"""Send what an ingester held to the instances that own its streams after it.

An entry that a quorum stored, the leaving instance in it, is stored by as many
again once its next owner has it: who owned the stream beside the leaving instance
and owns it without is not asked. Those who leave too, or are silent, count as
former owners: who owns a stream only because of that may not have its entries. Of
a stream that others own by now, because the ring has changed since, all owners get
the entries. What one of them does not take counts as not taken.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from loki_py.errors import (
    LokiError,
    ReceiverBusy,
    ReceiverLocked,
    RequestRejected,
)
from loki_py.model.batch import EntryBatch
from loki_py.model.labels import token_of
from loki_py.ring.desc import InstanceDesc
from loki_py.ring.lookup import NOBODY, Replicas, ReplicaTable, Tokens, build_table
from loki_py.ring.owners import OwnersRing
from loki_py.ring.watcher import backoff_s
from loki_py.runtime.logs import logger_of
from loki_py.transport.transfer_target import TransferTarget

Flags = npt.NDArray[np.bool_]

BUSY_TRIES_MAX = 6
"""How often a busy receiver is asked before its chunks are uploaded."""

_log = logger_of("distributor")


@dataclass(frozen=True, slots=True)
class Parcel:
    """What one instance gets."""

    instance: InstanceDesc
    batch: EntryBatch


@dataclass(frozen=True, slots=True)
class Shipment:
    """What goes to whom.

    Attributes:
        homeless: bool by position in `streams`, those that nobody is left to own.
    """

    parcels: tuple[Parcel, ...]
    homeless: Flags


def shipment_of(
    batch: EntryBatch,
    tokens: Tokens,
    *,
    leaving: str,
    before: ReplicaTable,
    after: ReplicaTable,
) -> Shipment:
    """Return what goes to whom.

    Args:
        tokens: uint32 by position in `batch.streams`.
        leaving: the instance that held the batch, in the table before only.
    """
    present = np.zeros(len(tokens), np.bool_)
    present[batch.stream] = True
    new = _new_owners(tokens, leaving, before=before, after=after)
    parcels = []
    for position in np.unique(new[present]).tolist():
        if position != NOBODY:
            streams = present & (new == position).any(axis=1)
            part = batch.filter(streams[batch.stream])
            parcels.append(Parcel(after.instances[position], part))
    return Shipment(tuple(parcels), (new == NOBODY).all(axis=1))


def _new_owners(
    tokens: Tokens, leaving: str, *, before: ReplicaTable, after: ReplicaTable
) -> Replicas:
    """Return positions in the table after, NOBODY for who has the entries already."""
    names = [i.instance_id for i in before.instances]
    position_of = {i.instance_id: n for n, i in enumerate(after.instances)}
    renamed = np.array(
        [*(position_of.get(name, NOBODY) for name in names), NOBODY], np.int32
    )
    replicas = before.replicas_of(tokens)
    was_owner = (replicas == names.index(leaving)).any(axis=1)
    owners = after.replicas_of(tokens).copy()
    has_it = (owners[:, :, None] == renamed[replicas][:, None, :]).any(axis=2)
    owners[has_it & was_owner[:, None]] = NOBODY
    return owners


class NextOwners:
    """The successors of a leaving instance; see `ingester.handover.Successors`.

    Who is busy is asked a few times, in growing intervals. Who is locked or lost, or
    stays busy, is not asked again: leaving ends soon, whatever others do.

    Args:
        target_of: whom to hand chunks to for an instance.
        leaving: what the instance says of itself.
        pause_s: how long to wait after so many refusals of a busy receiver.
    """

    def __init__(
        self,
        ring: OwnersRing,
        target_of: Callable[[InstanceDesc], TransferTarget],
        *,
        leaving: Callable[[], InstanceDesc],
        chunk_bytes_max: int,
        pause_s: Callable[[int], float] = backoff_s,
    ) -> None:
        self.chunk_bytes_max = chunk_bytes_max
        self._ring = ring
        self._target_of = target_of
        self._leaving = leaving
        self._pause_s = pause_s
        self._given_up: set[str] = set()

    async def store(self, tenant: str, batch: EntryBatch) -> Flags:
        """Return by position in `streams` which every next owner has on disk."""
        own = self._leaving()
        others = [i for i in self._ring.writable() if i.instance_id != own.instance_id]
        former = {**self._ring.ring.instances, own.instance_id: own}
        tokens = np.array([token_of(tenant, s) for s in batch.streams], np.uint32)
        shipment = shipment_of(
            batch,
            tokens,
            leaving=own.instance_id,
            before=self._table(*former.values()),
            after=self._table(*others),
        )
        is_stored: Flags = ~shipment.homeless
        refused = await asyncio.gather(
            *(
                self._refused(own.instance_id, tenant, parcel)
                for parcel in shipment.parcels
            )
        )
        for streams in refused:
            is_stored[streams] = False
        return is_stored

    async def _refused(self, sender: str, tenant: str, parcel: Parcel) -> list[int]:
        """Send one parcel; return the streams that were not taken."""
        name = parcel.instance.instance_id
        target = self._target_of(parcel.instance)
        everything: list[int] = np.unique(parcel.batch.stream).tolist()
        for number in range(1, BUSY_TRIES_MAX + 1):
            if name in self._given_up:
                return everything
            try:
                return list(await target.transfer(sender, tenant, parcel.batch))
            except ReceiverBusy as error:
                _log.info("receiver is busy", ingester=name, reason=str(error))
                if number < BUSY_TRIES_MAX:
                    await asyncio.sleep(self._pause_s(number))
            except ReceiverLocked as error:
                _log.warning("receiver is locked", ingester=name, reason=str(error))
                break
            except LokiError as error:
                _log.warning("transfer failed", ingester=name, reason=str(error))
                if isinstance(error, RequestRejected):
                    return everything
                break
        self._given_up.add(name)
        return everything

    def _table(self, *instances: InstanceDesc) -> ReplicaTable:
        settings = self._ring.settings
        return build_table(
            instances,
            replication_factor=settings.replication_factor,
            zone_aware=settings.zone_aware,
        )
