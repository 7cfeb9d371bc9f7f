"""A small, strongly consistent key-value store with leases and watches."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from loki_py.errors import LokiError, Unavailable


class KvUnavailable(Unavailable):
    """The store did not answer in time.

    A write that ends so may have been done or not.
    """


class RevisionConflict(LokiError):
    """A key changed since the caller read it; nothing was written."""


class LeaseGone(LokiError):
    """The lease is not known any more: it ran out, or the store is a new one."""


class RevisionCompacted(LokiError):
    """The changes since a revision are not kept any more; read again."""


@dataclass(frozen=True, slots=True)
class KvEntry:
    """A value and the revision at which it was written last."""

    value: bytes
    revision: int


@dataclass(frozen=True, slots=True)
class KvListing:
    """The keys of a prefix at one moment.

    Attributes:
        revision: of the whole store at that moment; watch from the next one.
        entries: by key.
    """

    revision: int
    entries: Mapping[str, KvEntry] = field(default_factory=dict)

    def revision_of(self, key: str) -> int:
        """Return the revision to expect of a key, 0 where it is not there."""
        entry = self.entries.get(key)
        return 0 if entry is None else entry.revision


@dataclass(frozen=True, slots=True)
class KvChange:
    """One key was written, or deleted (then `entry` is None)."""

    key: str
    entry: KvEntry | None


class KvStore(Protocol):
    """What a ring asks of its store.

    Revisions grow with every write, over all keys. A write is seen by every
    later `read`, from every process. Every verb but `watch` ends within the
    store's call timeout and raises KvUnavailable where the store does not
    answer; `watch` raises it when it stops hearing from the store.

    Used on one event loop.
    """

    async def read(self, prefix: str) -> KvListing:
        """Return all keys that start with `prefix`, at one moment."""
        ...

    async def write(
        self,
        puts: Mapping[str, bytes],
        *,
        lease: int = 0,
        expected: Mapping[str, int] | None = None,
    ) -> int:
        """Put all keys at once if no expected revision changed; return the new one.

        Args:
            puts: values by key; all or none are written.
            lease: the keys go when this lease does, and belong to no lease that
                they belonged to before; 0 means they stay.
            expected: key to the revision it must still have, 0 for "not there".

        Raises: RevisionConflict, LeaseGone.
        """
        ...

    async def delete(self, key: str) -> bool:
        """Remove a key; return whether it was there."""
        ...

    def watch(
        self, prefix: str, *, after_revision: int
    ) -> AsyncGenerator[Sequence[KvChange], None]:
        """Yield the changes of a prefix after a revision, in order, for ever.

        The first yield is empty: it says that the watch is established. The
        caller closes the generator (`aclose`) when it has enough.

        Raises: RevisionCompacted, KvUnavailable.
        """
        ...

    async def grant(self, ttl_s: int) -> int:
        """Return a new lease that ends `ttl_s` after its last `keep_alive`."""
        ...

    async def keep_alive(self, lease: int) -> None:
        """Let the lease live for its full time from now.

        Raises: LeaseGone.
        """
        ...

    async def close(self) -> None:
        """Give up connections; watches end."""
        ...
