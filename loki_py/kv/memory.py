"""Keys in the memory of one process: for one process, and for tests."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass

from loki_py.config.units import NS_PER_S
from loki_py.kv.abc import (
    KvChange,
    KvEntry,
    KvListing,
    KvUnavailable,
    LeaseGone,
    RevisionCompacted,
    RevisionConflict,
)
from loki_py.runtime.clock import Clock

HISTORY_MAX = 10_000
"""Changes kept for watches that start in the past."""


@dataclass(slots=True)
class _Lease:
    ttl_ns: int
    ends_ns: int


class MemoryKv:
    """A `KvStore` that lives as long as the process.

    Leases run out when the clock says so and the next verb, or
    `expire_leases`, looks. Setting `is_reachable` to False makes every verb and
    every watch raise KvUnavailable until it is set again: the store is away,
    and keeps what it has.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._revision = 1
        self._compacted = 0
        self._entries: dict[str, KvEntry] = {}
        self._lease_of: dict[str, int] = {}
        self._leases: dict[int, _Lease] = {}
        self._lease_last = 0
        self._history: list[tuple[int, KvChange]] = []
        self._wakeups: set[asyncio.Event] = set()
        self._is_reachable = True

    @property
    def is_reachable(self) -> bool:
        """Whether the store answers."""
        return self._is_reachable

    @is_reachable.setter
    def is_reachable(self, value: bool) -> None:
        self._is_reachable = value
        self._wake()

    async def read(self, prefix: str) -> KvListing:
        """Return the entries of this moment."""
        await self._answer()
        found = {k: e for k, e in self._entries.items() if k.startswith(prefix)}
        return KvListing(self._revision, found)

    async def write(
        self,
        puts: Mapping[str, bytes],
        *,
        lease: int = 0,
        expected: Mapping[str, int] | None = None,
    ) -> int:
        """Put all or none."""
        await self._answer()
        for key, revision in (expected or {}).items():
            entry = self._entries.get(key)
            found = 0 if entry is None else entry.revision
            if found != revision:
                raise RevisionConflict(
                    f"key {key} has revision {found}; expected {revision}"
                )
        if lease and lease not in self._leases:
            raise LeaseGone(f"lease {lease:x} is gone")
        self._revision += 1
        for key, value in puts.items():
            self._lease_of.pop(key, None)
            if lease:
                self._lease_of[key] = lease
            self._change(key, KvEntry(value, self._revision))
        self._wake()
        return self._revision

    async def delete(self, key: str) -> bool:
        """Forget a key."""
        await self._answer()
        return self._remove([key])

    async def watch(
        self, prefix: str, *, after_revision: int
    ) -> AsyncGenerator[Sequence[KvChange], None]:
        """Yield from the history, then as changes come."""
        wakeup = asyncio.Event()
        self._wakeups.add(wakeup)
        try:
            self._check_reachable()
            yield ()
            while True:
                self._check_reachable()
                if after_revision < self._compacted:
                    raise RevisionCompacted(
                        f"revision {after_revision} is older than {self._compacted}"
                    )
                changes = [
                    change
                    for revision, change in self._history
                    if revision > after_revision and change.key.startswith(prefix)
                ]
                after_revision = self._revision
                if changes:
                    yield changes
                else:
                    await wakeup.wait()
                wakeup.clear()
        finally:
            self._wakeups.discard(wakeup)

    async def grant(self, ttl_s: int) -> int:
        """Return a lease number never used before."""
        await self._answer()
        self._lease_last += 1
        ttl_ns = ttl_s * NS_PER_S
        ends_ns = self._clock.monotonic_ns() + ttl_ns
        self._leases[self._lease_last] = _Lease(ttl_ns, ends_ns)
        return self._lease_last

    async def keep_alive(self, lease: int) -> None:
        """Move the lease's end."""
        await self._answer()
        found = self._leases.get(lease)
        if found is None:
            raise LeaseGone(f"lease {lease:x} is gone")
        found.ends_ns = self._clock.monotonic_ns() + found.ttl_ns

    async def close(self) -> None:
        """End every watch."""
        self.is_reachable = False

    def expire_leases(self) -> None:
        """Remove what belongs to leases that have run out."""
        now_ns = self._clock.monotonic_ns()
        ended = {n for n, lease in self._leases.items() if lease.ends_ns <= now_ns}
        for lease in ended:
            del self._leases[lease]
        self._remove([key for key, n in self._lease_of.items() if n in ended])

    def compact(self) -> None:
        """Forget the history."""
        self._history.clear()
        self._compacted = self._revision

    async def _answer(self) -> None:
        """Let others run, as every call of a real store does."""
        await asyncio.sleep(0)
        self._check_reachable()

    def _check_reachable(self) -> None:
        if not self._is_reachable:
            raise KvUnavailable("the key-value store in memory is away")
        self.expire_leases()

    def _remove(self, keys: Sequence[str]) -> bool:
        there = [key for key in keys if key in self._entries]
        if not there:
            return False
        self._revision += 1
        for key in there:
            self._lease_of.pop(key, None)
            self._change(key, None)
        self._wake()
        return True

    def _change(self, key: str, entry: KvEntry | None) -> None:
        if entry is None:
            del self._entries[key]
        else:
            self._entries[key] = entry
        self._history.append((self._revision, KvChange(key, entry)))
        if len(self._history) > HISTORY_MAX:
            self._compacted = self._history[HISTORY_MAX // 2][0]
            self._history = [c for c in self._history if c[0] > self._compacted]

    def _wake(self) -> None:
        for wakeup in self._wakeups:
            wakeup.set()
