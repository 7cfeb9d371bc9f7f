"""Instances of a ring, and the text that says so in the key-value store.

Format (version 1): one key an instance, `<ring>/instances/<instance id>`, its
value JSON with the fields of `_Wire`. A reader ignores fields that it does not
know and refuses versions that it does not know.

Invariants:
- Two processes that hold the same entries build the same ring from them.
- A heartbeat is judged by when *we* saw it change (`seen_ns`), never by the
  clock of the machine that wrote it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

import msgspec

from loki_py.errors import CorruptData, UnknownVersion

VERSION = 1
TOKENS_MAX = 4_096
TOKEN_END = 1 << 32


class InstanceState(Enum):
    """Where an instance is in its life; a gone one has no entry."""

    PENDING = "PENDING"
    """Started; reads its disk. May hold data where it already has tokens."""
    JOINING = "JOINING"
    """Has its tokens and answers reads; takes no pushes yet."""
    ACTIVE = "ACTIVE"
    """Takes pushes and answers reads."""
    LEAVING = "LEAVING"
    """Answers reads, and takes no pushes any more."""


@dataclass(frozen=True, slots=True)
class InstanceDesc:
    """One process in a ring.

    Attributes:
        address: `host:port` where other instances reach it.
        tokens: ascending, unique.
        registered_ns: when the instance first came, by its own clock.
        started_ns: when this process of it started; tells two processes with
            one id apart.
        heartbeat_ns: when it last said that it lives, by its own clock.
        seen_ns: when we saw that, in contact time (`RingDesc`); not written.
    """

    instance_id: str
    address: str
    state: InstanceState
    tokens: tuple[int, ...] = ()
    zone: str = ""
    registered_ns: int = 0
    started_ns: int = 0
    heartbeat_ns: int = 0
    seen_ns: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class RingDesc:
    """A ring at one moment.

    Attributes:
        instances: by id.
        as_of_ns: *contact time*, nanoseconds that pass only while the store is
            in reach: nobody grows old because we could not look.
    """

    instances: Mapping[str, InstanceDesc] = field(default_factory=dict)
    as_of_ns: int = 0

    def is_healthy(self, instance_id: str, *, heartbeat_ns_max: int) -> bool:
        """Whether the instance's heartbeat is young enough; 0 asks for none."""
        if not heartbeat_ns_max:
            return True
        age_ns = self.as_of_ns - self.instances[instance_id].seen_ns
        return age_ns <= heartbeat_ns_max

    def writable(self, *, heartbeat_ns_max: int) -> tuple[InstanceDesc, ...]:
        """Return the instances that take pushes: ACTIVE and healthy, by id."""
        return tuple(
            self.instances[name]
            for name in sorted(self.instances)
            if self.instances[name].state is InstanceState.ACTIVE
            and self.is_healthy(name, heartbeat_ns_max=heartbeat_ns_max)
        )

    def unhealthy(self, *, heartbeat_ns_max: int) -> tuple[InstanceDesc, ...]:
        """Return the instances whose heartbeat is too old, by id."""
        return tuple(
            self.instances[name]
            for name in sorted(self.instances)
            if not self.is_healthy(name, heartbeat_ns_max=heartbeat_ns_max)
        )

    def without_forgotten(self, *, forget_ns: int) -> "RingDesc":
        """Return the ring without those whose heartbeat is older than that."""
        kept = {
            name: instance
            for name, instance in self.instances.items()
            if self.is_healthy(name, heartbeat_ns_max=forget_ns)
        }
        return (
            self if len(kept) == len(self.instances) else RingDesc(kept, self.as_of_ns)
        )


def live_count(ring: RingDesc, *, heartbeat_ns_max: int) -> int:
    """Return how many instances share a cluster-wide limit, at least 1.

    A distributor that can not see itself in the ring still grants its part.
    """
    return max(len(ring.writable(heartbeat_ns_max=heartbeat_ns_max)), 1)


class _Wire(msgspec.Struct):
    """An instance as JSON; names are the format."""

    version: int
    id: str
    address: str
    state: str
    tokens: list[int]
    zone: str = ""
    registered_ns: int = 0
    started_ns: int = 0
    heartbeat_ns: int = 0


class _WireVersion(msgspec.Struct):
    version: int


_WIRE = msgspec.json.Decoder(_Wire)
_WIRE_VERSION = msgspec.json.Decoder(_WireVersion)
_ENCODER = msgspec.json.Encoder()


def encode_instance(instance: InstanceDesc) -> bytes:
    """Return the value of the instance's key."""
    return _ENCODER.encode(
        _Wire(
            version=VERSION,
            id=instance.instance_id,
            address=instance.address,
            state=instance.state.value,
            tokens=list(instance.tokens),
            zone=instance.zone,
            registered_ns=instance.registered_ns,
            started_ns=instance.started_ns,
            heartbeat_ns=instance.heartbeat_ns,
        )
    )


def decode_instance(value: bytes) -> InstanceDesc:
    """Return the instance that a value describes.

    Raises: UnknownVersion where a newer program wrote it, CorruptData where
    nobody of us did.
    """
    try:
        version = _WIRE_VERSION.decode(value).version
        if version != VERSION:
            raise UnknownVersion(
                f"ring entry has version {version}; this program knows {VERSION}"
            )
        wire = _WIRE.decode(value)
        state = InstanceState(wire.state)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise CorruptData(f"ring entry does not parse: {error}") from error
    _check_tokens(wire.tokens)
    return InstanceDesc(
        instance_id=wire.id,
        address=wire.address,
        state=state,
        tokens=tuple(wire.tokens),
        zone=wire.zone,
        registered_ns=wire.registered_ns,
        started_ns=wire.started_ns,
        heartbeat_ns=wire.heartbeat_ns,
    )


def taken_tokens(instances: Iterable[InstanceDesc]) -> frozenset[int]:
    """Return every token that somebody has."""
    return frozenset(token for instance in instances for token in instance.tokens)


def _check_tokens(tokens: list[int]) -> None:
    if len(tokens) > TOKENS_MAX:
        raise CorruptData(f"ring entry has {len(tokens)} tokens; limit is {TOKENS_MAX}")
    previous = -1
    for token in tokens:
        if not previous < token < TOKEN_END:
            raise CorruptData(f"ring entry has token {token} after {previous}")
        previous = token
