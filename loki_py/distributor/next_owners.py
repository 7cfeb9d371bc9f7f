"""Send what an ingester held to the instances that own its streams after it.

An entry that a quorum stored, the leaving instance in it, is stored by as many
again once its next owner has it: who owned the stream with the leaving instance
and owns it without is not asked. Of a stream that others own by now, because the
ring has changed since, all owners get the entries.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from loki_py.errors import QuorumNotReached
from loki_py.model.batch import EntryBatch
from loki_py.model.labels import token_of
from loki_py.ring.desc import InstanceDesc
from loki_py.ring.lookup import NOBODY, Replicas, ReplicaTable, Tokens, build_table
from loki_py.ring.settings import RingSettings
from loki_py.transport.abc import EntrySink


class OwnersRing(Protocol):
    """What is asked of the ring of ingesters."""

    @property
    def settings(self) -> RingSettings: ...

    def writable(self) -> Sequence[InstanceDesc]: ...


@dataclass(frozen=True, slots=True)
class Parcel:
    """What one instance gets."""

    instance: InstanceDesc
    batch: EntryBatch


def parcels_of(
    batch: EntryBatch,
    tokens: Tokens,
    *,
    leaving: str,
    before: ReplicaTable,
    after: ReplicaTable,
) -> list[Parcel]:
    """Return what goes to whom.

    Args:
        tokens: uint32 by position in `batch.streams`.
        leaving: the instance that held the batch, in the table before only.

    Raises: QuorumNotReached where a stream has no such owner.
    """
    present = np.zeros(len(tokens), np.bool_)
    present[batch.stream] = True
    new = _new_owners(tokens, leaving, before=before, after=after)
    homeless = present & (new == NOBODY).all(axis=1)
    if homeless.any():
        raise QuorumNotReached(
            f"{int(homeless.sum())} of {int(present.sum())} streams have no next owner"
        )
    parcels = []
    for position in np.unique(new[present]).tolist():
        if position != NOBODY:
            streams = present & (new == position).any(axis=1)
            part = batch.filter(streams[batch.stream])
            parcels.append(Parcel(after.instances[position], part))
    return parcels


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

    Args:
        leaving: what the instance says of itself.
    """

    def __init__(
        self,
        ring: OwnersRing,
        client_of: Callable[[InstanceDesc], EntrySink],
        *,
        leaving: Callable[[], InstanceDesc],
        line_bytes_max: int,
    ) -> None:
        self.line_bytes_max = line_bytes_max
        self._ring = ring
        self._client_of = client_of
        self._leaving = leaving

    async def store(self, tenant: str, batch: EntryBatch) -> None:
        """Return once every entry is on disk with its next owner.

        Raises: LokiError where that can not be had, or was refused.
        """
        own = self._leaving()
        others = [i for i in self._ring.writable() if i.instance_id != own.instance_id]
        tokens = np.array([token_of(tenant, s) for s in batch.streams], np.uint32)
        parcels = parcels_of(
            batch,
            tokens,
            leaving=own.instance_id,
            before=self._table(*others, own),
            after=self._table(*others),
        )
        answers = await asyncio.gather(
            *(
                self._client_of(parcel.instance).push(tenant, parcel.batch)
                for parcel in parcels
            )
        )
        for answer in answers:
            for error in answer.rejected.values():
                raise error

    def _table(self, *instances: InstanceDesc) -> ReplicaTable:
        settings = self._ring.settings
        return build_table(
            instances,
            replication_factor=settings.replication_factor,
            zone_aware=settings.zone_aware,
        )
