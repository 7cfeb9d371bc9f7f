"""Who owns a token: the first RF different instances clockwise from it.

The owner of a token is the instance with the first token strictly greater,
wrapping at the end. Further replicas are the next different instances, in
different zones where zones count. Instances that can not take writes are not
in the table at all, so the next ones stand in for them.

Pure: a table is built from a `RingDesc` once and asked for a thousand tokens
in one call.

Invariant: the same instances, tokens and zones give the same table, in every
process.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from loki_py.ring.desc import InstanceDesc

Tokens = npt.NDArray[np.uint32]
Replicas = npt.NDArray[np.int32]

NOBODY = -1
"""Fills a replica set that is smaller than the replication factor."""


@dataclass(frozen=True, slots=True)
class ReplicaTable:
    """The replica set of every interval between two tokens.

    Attributes:
        instances: those in the table; replica sets are positions in it.
        tokens: ascending; may be empty.
        replicas: int32[len(tokens), replication factor], in ring order, filled
            up with NOBODY.
    """

    instances: tuple[InstanceDesc, ...]
    tokens: Tokens
    replicas: Replicas
    replication_factor: int

    def replicas_of(self, tokens: Tokens) -> Replicas:
        """Return int32[n, replication factor]: the owners of each token."""
        if not len(self.tokens):
            return np.full((len(tokens), self.replication_factor), NOBODY, np.int32)
        after = np.searchsorted(self.tokens, tokens, side="right")
        after[after == len(self.tokens)] = 0
        found: Replicas = self.replicas[after]
        return found

    def owners_of(self, token: int) -> tuple[InstanceDesc, ...]:
        """Return the owners of one token, first owner first."""
        row = self.replicas_of(np.array([token], np.uint32))[0]
        return tuple(self.instances[i] for i in row.tolist() if i != NOBODY)


def build_table(
    instances: Sequence[InstanceDesc], *, replication_factor: int, zone_aware: bool
) -> ReplicaTable:
    """Return the table of the given instances.

    A replica set is smaller than the factor where there are too few instances
    or, with zones, too few zones.
    """
    assert replication_factor >= 1
    ordered = tuple(sorted(instances, key=lambda instance: instance.instance_id))
    tokens, owners = _ring_of(ordered)
    domains = _domains_of(ordered, zone_aware=zone_aware)
    replicas = _walk(owners, domains, replication_factor)
    return ReplicaTable(ordered, tokens, replicas, replication_factor)


class TableCache:
    """Keeps the last table while the instances in it stay the same processes."""

    def __init__(self, *, replication_factor: int, zone_aware: bool) -> None:
        self._replication_factor = replication_factor
        self._zone_aware = zone_aware
        self._table: ReplicaTable | None = None
        self._keys: list[tuple[str, tuple[int, ...], str, str, int]] = []

    def table_of(self, instances: Sequence[InstanceDesc]) -> ReplicaTable:
        """Return the table of the instances; quick where only heartbeats moved."""
        # Who calls an instance of the table must see that it started anew: the
        # connection to its former process waits before it is tried again.
        keys = [
            (i.instance_id, i.tokens, i.zone, i.address, i.started_ns)
            for i in instances
        ]
        if self._table is None or keys != self._keys:
            self._keys = keys
            self._table = build_table(
                instances,
                replication_factor=self._replication_factor,
                zone_aware=self._zone_aware,
            )
        return self._table


def _ring_of(instances: Sequence[InstanceDesc]) -> tuple[Tokens, Replicas]:
    """Return all tokens ascending and whose each is; equal ones in order of ids."""
    counts = [len(instance.tokens) for instance in instances]
    tokens = np.array([t for i in instances for t in i.tokens], np.uint32)
    owners = np.repeat(np.arange(len(instances), dtype=np.int32), counts)
    order = np.argsort(tokens, kind="stable")
    return tokens[order], owners[order]


def _domains_of(instances: Sequence[InstanceDesc], *, zone_aware: bool) -> Replicas:
    """Return per instance what no two replicas may share: its zone, or itself."""
    if not zone_aware:
        return np.arange(len(instances), dtype=np.int32)
    numbers: dict[str, int] = {}
    return np.array(
        [numbers.setdefault(i.zone, len(numbers)) for i in instances], np.int32
    )


def _walk(owners: Replicas, domains: Replicas, replication_factor: int) -> Replicas:
    """Walk clockwise from all tokens at once until every set is full."""
    count = len(owners)
    replicas = np.full((count, replication_factor), NOBODY, np.int32)
    if not count:
        return replicas
    owner_domains = domains[owners]
    wanted = min(replication_factor, len(np.unique(owner_domains)))
    chosen = np.full((count, replication_factor), NOBODY, np.int32)
    sizes = np.zeros(count, np.int64)
    open_rows = np.arange(count)
    for step in range(count):
        ahead = (open_rows + step) % count
        candidates = owner_domains[ahead]
        is_new = ~(chosen[open_rows] == candidates[:, None]).any(axis=1)
        rows = open_rows[is_new]
        replicas[rows, sizes[rows]] = owners[ahead[is_new]]
        chosen[rows, sizes[rows]] = candidates[is_new]
        sizes[rows] += 1
        open_rows = open_rows[sizes[open_rows] < wanted]
        if not len(open_rows):
            break
    return replicas
