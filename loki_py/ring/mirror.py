"""A ring as it was last heard of, and how old everything in it is.

Time is *contact time*: what passes between two messages from the store while
it is in reach. While it is away nobody grows old, and who is missing right
after it came back gets the time to register again: a store that lost its keys
is no reason to think that all instances died. A long silence between two messages
counts only in part: it tells of the store, or of us, and who beat meanwhile is
about to be heard.

Pure: the watcher brings entries and the time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from loki_py.errors import CorruptData
from loki_py.kv.abc import KvChange, KvEntry
from loki_py.ring.desc import InstanceDesc, RingDesc, decode_instance
from loki_py.ring.settings import RingSettings


class RingMirror:
    """Keeps the ring of one prefix. Not thread-safe."""

    def __init__(self, settings: RingSettings) -> None:
        self._settings = settings
        self._instances: dict[str, InstanceDesc] = {}
        self._revisions: dict[str, int] = {}
        self._refused: dict[str, str] = {}
        self._contact_ns = 0
        self._heard_ns: int | None = None
        self._is_away = True

    @property
    def is_loaded(self) -> bool:
        """Whether the ring was read at least once."""
        return self._heard_ns is not None

    @property
    def is_away(self) -> bool:
        """Whether the store is out of reach."""
        return self._is_away

    @property
    def refused(self) -> Mapping[str, str]:
        """Instances whose entries this program can not read, and why."""
        return self._refused

    def ring(self) -> RingDesc:
        """Return the ring; instances silent for too long are not in it."""
        ring = RingDesc(self._instances, self._contact_ns)
        return ring.without_forgotten(forget_ns=self._settings.forget_ns)

    def heard(self, *, now_ns: int) -> None:
        """Note that the store answered at this moment of a monotonic clock."""
        if self._heard_ns is not None and not self._is_away:
            silence_ns = max(now_ns - self._heard_ns, 0)
            counted_ns_max = self._settings.heartbeat_timeout_ns // 2
            self._contact_ns += min(silence_ns, counted_ns_max or silence_ns)
        self._heard_ns = now_ns
        self._is_away = False

    def away(self) -> None:
        """Note that the store does not answer."""
        self._is_away = True

    def load(self, entries: Mapping[str, KvEntry], *, now_ns: int) -> None:
        """Take over all entries of the ring, by key."""
        was_away = self._is_away and self.is_loaded
        self.heard(now_ns=now_ns)
        found = {self._id_of(key): entry for key, entry in entries.items()}
        kept = dict(self._instances)
        doubtful = self._doubtful()
        for name in kept.keys() - found.keys():
            # Gone while we looked means gone. Gone while we could not look may
            # mean that the store forgot; its age decides.
            self._revisions.pop(name, None)
            if not was_away and name not in doubtful:
                del kept[name]
        self._refused = {n: why for n, why in self._refused.items() if n in found}
        self._instances = kept
        for name, entry in found.items():
            self._put(name, entry)
        self._drop_forgotten()

    def apply(self, changes: Sequence[KvChange], *, now_ns: int) -> None:
        """Take over what a watch brought."""
        self.heard(now_ns=now_ns)
        self._instances = dict(self._instances)
        for change in changes:
            name = self._id_of(change.key)
            if change.entry is not None:
                self._put(name, change.entry)
                continue
            self._instances.pop(name, None)
            self._revisions.pop(name, None)
            self._refused.pop(name, None)

    def _doubtful(self) -> frozenset[str]:
        """Return the instances that the store does not have any more."""
        return frozenset(self._instances.keys() - self._revisions.keys())

    def _put(self, name: str, entry: KvEntry) -> None:
        if self._revisions.get(name) == entry.revision:
            return
        try:
            instance = decode_instance(entry.value)
        except CorruptData as error:
            self._refused[name] = str(error)
            return
        self._refused.pop(name, None)
        self._revisions[name] = entry.revision
        self._instances[name] = replace(instance, seen_ns=self._contact_ns)

    def _drop_forgotten(self) -> None:
        forget_ns = self._settings.lease_s * 1_000_000_000
        ring = RingDesc(self._instances, self._contact_ns)
        doubtful = self._doubtful()
        self._instances = {
            name: instance
            for name, instance in self._instances.items()
            if name not in doubtful or ring.is_healthy(name, heartbeat_ns_max=forget_ns)
        }

    def _id_of(self, key: str) -> str:
        return key.removeprefix(self._settings.instances_prefix)
