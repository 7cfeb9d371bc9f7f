"""What a ring's lifecycler and watcher need to know, as values."""

from dataclasses import dataclass

from loki_py.config.ring_schema import RingConfig
from loki_py.ring.tokens import TOKENS_PER_INSTANCE

_NS_PER_S = 1_000_000_000
FORGET_TIMEOUTS = 2
"""An instance is forgotten after so many heartbeat timeouts of silence."""


@dataclass(frozen=True, slots=True)
class RingSettings:
    """One ring, as all its members and readers must know it alike.

    Attributes:
        name: `ingester`, `distributor`, `compactor`.
        prefix: of the keys of all rings, with its slash at the end.
        heartbeat_period_ns: between two heartbeats of an instance.
        heartbeat_timeout_ns: age of a heartbeat at which its instance counts
            as unhealthy; 0 never.
        full_read_period_ns: a watcher reads everything anew so often.
    """

    name: str
    prefix: str = "collectors/"
    replication_factor: int = 3
    zone_aware: bool = False
    heartbeat_period_ns: int = 5 * _NS_PER_S
    heartbeat_timeout_ns: int = 60 * _NS_PER_S
    full_read_period_ns: int = 30 * _NS_PER_S

    @classmethod
    def of(
        cls, config: RingConfig, *, name: str, replication_factor: int
    ) -> "RingSettings":
        """Return the settings of one ring, as the configuration has them."""
        return cls(
            name,
            prefix=config.kvstore.prefix,
            replication_factor=replication_factor,
            zone_aware=config.zone_awareness_enabled,
            heartbeat_period_ns=config.heartbeat_period_ns,
            heartbeat_timeout_ns=config.heartbeat_timeout_ns,
        )

    @property
    def keys_prefix(self) -> str:
        """What all keys of the ring start with."""
        return f"{self.prefix}{self.name}/"

    @property
    def instances_prefix(self) -> str:
        """What the keys of instances start with."""
        return f"{self.keys_prefix}instances/"

    @property
    def epoch_key(self) -> str:
        """The key that changes whenever somebody takes tokens.

        Who takes tokens writes it too, on the condition that it did not change
        since he read the ring: so no two choose from the same state.
        """
        return f"{self.keys_prefix}epoch"

    def instance_key(self, instance_id: str) -> str:
        """Return the key of an instance."""
        return f"{self.instances_prefix}{instance_id}"

    @property
    def forget_ns(self) -> int:
        """Silence after which an instance is forgotten; 0 never."""
        return FORGET_TIMEOUTS * self.heartbeat_timeout_ns

    @property
    def lease_s(self) -> int:
        """How long an entry outlives its instance."""
        silence_ns = self.forget_ns or 100 * self.heartbeat_period_ns
        return max(-(-silence_ns // _NS_PER_S), 1)


@dataclass(frozen=True, slots=True)
class OwnInstance:
    """Who we are in a ring.

    Attributes:
        tokens_count: 0 for rings in which nobody owns anything.
    """

    instance_id: str
    address: str
    zone: str = ""
    tokens_count: int = TOKENS_PER_INSTANCE
