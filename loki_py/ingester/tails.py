"""Who follows which streams, and handing them what has become durable.

A push costs its tenant's tails one look-up in an array by stream; only streams
that somebody follows cost more. Each tail has a queue with a bound; what finds
it full is counted and dropped, so that no reader can hold up a push.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from loki_py.ingester.stream_table import Refs, StreamTable
from loki_py.model.batch import EntryBatch
from loki_py.model.labels import LabelSet
from loki_py.model.matchers import Matcher, MatchType, selects
from loki_py.transport.tailing import Arrivals

QUEUE_BYTES_MAX = 8 << 20
"""What one tail may leave untaken."""

QUEUES_BYTES_MAX = 256 << 20
"""What all tails together may leave untaken."""

DROPPED_ROWS_MAX = 1_000
"""Dropped entries of one tail that are remembered; the others are counted."""

_ROW_OVERHEAD_BYTES = 24
_UNFOLLOWED, _FOLLOWED, _UNKNOWN = 0, 1, 2


@dataclass(slots=True)
class _Room:
    """Bytes in all queues together."""

    used_bytes: int = 0


class Tail:
    """A queue of what came for one reader; implements `Following`."""

    def __init__(self, group: "_Group", room: _Room) -> None:
        self._group = group
        self._room = room
        self._news = asyncio.Event()
        self._batches: list[EntryBatch] = []
        self._bytes = 0
        self._dropped: list[EntryBatch] = []
        self._dropped_rows = 0
        self._dropped_count = 0
        self._closed = False

    async def begun(self) -> None:
        """Return at once: it began when it was made."""

    async def arrivals(self) -> Arrivals:
        """Return what came since the last call; wait while that is nothing."""
        await self._news.wait()
        self._news.clear()
        found = Arrivals(self._batches, self._dropped, self._dropped_count)
        self._room.used_bytes -= self._bytes
        self._batches, self._bytes = [], 0
        self._dropped, self._dropped_rows, self._dropped_count = [], 0, 0
        return found

    def close(self) -> None:
        """Take no more."""
        if not self._closed:
            self._closed = True
            self._room.used_bytes -= self._bytes
            self._batches, self._bytes = [], 0
            self._group.remove(self)

    def offer(self, batch: EntryBatch, size_bytes: int) -> None:
        """Queue a batch, or drop it where there is no room; one always has room."""
        has_room = (
            self._bytes + size_bytes <= QUEUE_BYTES_MAX
            and self._room.used_bytes + size_bytes <= QUEUES_BYTES_MAX
        )
        if has_room or not self._batches:
            self._batches.append(batch)
            self._bytes += size_bytes
            self._room.used_bytes += size_bytes
        else:
            self._drop(batch)
        self._news.set()

    def _drop(self, batch: EntryBatch) -> None:
        self._dropped_count += len(batch)
        rows = min(len(batch), DROPPED_ROWS_MAX - self._dropped_rows)
        if rows > 0:
            self._dropped_rows += rows
            kept = EntryBatch(
                batch.streams, batch.stream[:rows], batch.timestamp_ns[:rows], None
            )
            self._dropped.append(kept)


class _Group:
    """The tails of one tenant with the same matchers.

    Attributes:
        streams: label sets of matching streams that had entries; only grows.
        local_of_ref: int32 by ref, position in `streams`, -1 where none.
    """

    def __init__(self, tenant: "_TenantTails", matchers: Sequence[Matcher]) -> None:
        self.matchers = tuple(matchers)
        self.tails: list[Tail] = []
        self._tenant = tenant
        self.forget_streams()

    def forget_streams(self) -> None:
        """Start anew with streams, which may have other refs now."""
        self.streams: list[LabelSet] = []
        self.local_of_ref = np.full(0, -1, np.int32)

    def remove(self, tail: Tail) -> None:
        """Forget a tail, and with the last one the group."""
        self.tails.remove(tail)
        if not self.tails:
            self._tenant.drop(self)

    def follow(self, ref: int, labels: LabelSet, capacity: int) -> None:
        """Take the entries of a stream from now on."""
        self._make_room(capacity)
        self.local_of_ref[ref] = len(self.streams)
        self.streams.append(labels)

    def publish(self, piece: EntryBatch, capacity: int) -> None:
        """Hand the rows of followed streams to every tail."""
        self._make_room(capacity)
        local = self.local_of_ref[piece.stream]
        rows = np.flatnonzero(local >= 0)
        found = piece if len(rows) == len(piece) else piece.take(rows)
        batch = EntryBatch(
            self.streams,
            local[rows].astype(np.uint32),
            found.timestamp_ns,
            found.line,
            found.metadata,
            found.metadata_rest,
        )
        size_bytes = (
            batch.total_line_bytes()
            + batch.total_metadata_bytes()
            + _ROW_OVERHEAD_BYTES * len(batch)
        )
        for tail in self.tails:
            tail.offer(batch, size_bytes)

    def _make_room(self, capacity: int) -> None:
        if capacity > len(self.local_of_ref):
            more = np.full(2 * capacity - len(self.local_of_ref), -1, np.int32)
            self.local_of_ref = np.concatenate((self.local_of_ref, more))


@dataclass(slots=True)
class _TenantTails:
    """The tails of one tenant.

    Attributes:
        state: uint8 by ref, whether somebody follows the stream, if known.
        groups_of: the groups that follow a stream, by ref.
        groups_by_pair: the groups that only streams with this label can match;
            under None those that others can.
        removals: of the stream table; when it changes, refs may mean others.
    """

    groups: dict[tuple[Matcher, ...], _Group] = field(default_factory=dict)
    state: npt.NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))
    groups_of: dict[int, list[_Group]] = field(default_factory=dict)
    groups_by_pair: dict[tuple[str, str] | None, list[_Group]] = field(
        default_factory=dict
    )
    removals: int = 0

    def follow(
        self, matchers: Sequence[Matcher], table: StreamTable | None, room: _Room
    ) -> Tail:
        group = self.groups.get(tuple(matchers))
        if group is None:
            group = self.groups[tuple(matchers)] = _Group(self, matchers)
            self.groups_by_pair.setdefault(_pair_of(matchers), []).append(group)
            if table is not None:
                self._settle(table)
                refs = table.index.select(matchers)
                known = refs[self.state[refs] != _UNKNOWN]
                for ref in known.tolist():
                    self._add(group, ref, table)
        tail = Tail(group, room)
        group.tails.append(tail)
        return tail

    def drop(self, group: _Group) -> None:
        """Forget a group and what it followed."""
        del self.groups[group.matchers]
        pair = _pair_of(group.matchers)
        self.groups_by_pair[pair].remove(group)
        if not self.groups_by_pair[pair]:
            del self.groups_by_pair[pair]
        for ref in np.flatnonzero(group.local_of_ref >= 0).tolist():
            self.groups_of[ref].remove(group)
            if not self.groups_of[ref]:
                del self.groups_of[ref]
                self.state[ref] = _UNFOLLOWED

    def publish(self, table: StreamTable, piece: EntryBatch, refs: Refs) -> None:
        self._settle(table)
        states = self.state[refs]
        if not states.any():
            return
        if states.max() == _UNKNOWN:
            for ref in np.unique(refs[states == _UNKNOWN]).tolist():
                self._look_at(ref, table)
            states = self.state[refs]
        touched = {
            id(group): group
            for ref in refs[states == _FOLLOWED].tolist()
            for group in self.groups_of[ref]
        }
        for group in touched.values():
            group.publish(piece, table.capacity)

    def _settle(self, table: StreamTable) -> None:
        if table.removals != self.removals:
            self.removals = table.removals
            self.state = np.zeros(0, np.uint8)
            self.groups_of.clear()
            for group in self.groups.values():
                group.forget_streams()
        if table.capacity > len(self.state):
            more = np.full(2 * table.capacity - len(self.state), _UNKNOWN, np.uint8)
            self.state = np.concatenate((self.state, more))

    def _look_at(self, ref: int, table: StreamTable) -> None:
        """Find out who follows a stream that had no entries since the start."""
        labels = table.labels[ref]
        assert labels is not None
        self.state[ref] = _UNFOLLOWED
        for pair in (None, *labels.pairs):
            for group in self.groups_by_pair.get(pair, ()):
                if selects(group.matchers, labels):
                    self._add(group, ref, table)

    def _add(self, group: _Group, ref: int, table: StreamTable) -> None:
        labels = table.labels[ref]
        assert labels is not None
        group.follow(ref, labels, table.capacity)
        self.groups_of.setdefault(ref, []).append(group)
        self.state[ref] = _FOLLOWED


def _pair_of(matchers: Sequence[Matcher]) -> tuple[str, str] | None:
    """Return a label that every matching stream has; None where none is known."""
    for matcher in matchers:
        if matcher.type is MatchType.EQUAL and matcher.value:
            return matcher.name, matcher.value
    return None


class Tails:
    """All tails of one ingester; for its event loop only."""

    def __init__(self) -> None:
        self._tenants: dict[str, _TenantTails] = {}
        self._room = _Room()

    def follow(
        self, tenant: str, matchers: Sequence[Matcher], table: StreamTable | None
    ) -> Tail:
        """Return the queue of what comes from now on.

        Args:
            table: the tenant's streams; None where it has none yet.
        """
        self._tenants = {t: found for t, found in self._tenants.items() if found.groups}
        tails = self._tenants.setdefault(tenant, _TenantTails())
        return tails.follow(matchers, table, self._room)

    def publish(
        self, tenant: str, table: StreamTable, piece: EntryBatch, refs: Refs
    ) -> None:
        """Hand out a piece that has become durable, `stream` holding refs.

        Args:
            refs: the refs in the piece; they may repeat.
        """
        tails = self._tenants.get(tenant)
        if tails is not None and tails.groups:
            tails.publish(table, piece, refs)
