"""Rings made for tests."""

from loki_py.ring.desc import InstanceDesc, InstanceState, RingDesc
from loki_py.ring.tokens import choose_tokens, peers_of

NS_PER_S = 1_000_000_000


def instance(name, *, tokens=(), state=InstanceState.ACTIVE, zone="", seen_s=0):
    """Return an instance that was seen at `seen_s` of contact time."""
    return InstanceDesc(
        name,
        f"{name}:9095",
        state,
        tokens=tuple(tokens),
        zone=zone,
        seen_ns=seen_s * NS_PER_S,
    )


def ring_of(*instances, as_of_s=0):
    return RingDesc({i.instance_id: i for i in instances}, as_of_s * NS_PER_S)


def joined(count, *, tokens_count=128, zones=1, first=()):
    """Return instances that came one after the other and chose their tokens."""
    found = list(first)
    for number in range(len(found), count):
        zone = f"zone-{number % zones}" if zones > 1 else ""
        new = instance(f"ingester-{number}", zone=zone)
        tokens = choose_tokens(
            new.instance_id,
            count=tokens_count,
            peers=peers_of(new, found, zone_aware=zones > 1),
            taken=frozenset(t for i in found for t in i.tokens),
        )
        found.append(instance(new.instance_id, tokens=tokens, zone=zone))
    return found
