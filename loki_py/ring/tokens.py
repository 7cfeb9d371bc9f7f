"""Where on the ring an instance sits, so that load is spread evenly.

Tokens drawn at random leave instances up to 30 % off the mean with 128 tokens.
Here a new instance cuts pieces of equal size out of what its peers own, always
from the peer that owns most, until it owns its even share. Which interval of
that peer is cut is decided by a hash, because regular patterns repeat the same
neighbours, and replicas lie on neighbours.

Pure and deterministic: equal arguments, equal tokens.
"""

from collections.abc import Iterable, Mapping, Sequence

import mmh3
import numpy as np

from loki_py.ring.desc import TOKEN_END, InstanceDesc

TOKENS_PER_INSTANCE = 128


def choose_tokens(
    instance_id: str,
    *,
    count: int,
    peers: Mapping[str, Sequence[int]],
    taken: frozenset[int] = frozenset(),
) -> tuple[int, ...]:
    """Return `count` new tokens for an instance, ascending.

    Args:
        peers: the tokens of those with whom load is shared, without the
            instance itself; with zones, those of its own zone.
        taken: further tokens that must not be chosen.
    """
    owners = {name: sorted(tokens) for name, tokens in peers.items() if tokens}
    used = set(taken).union(*owners.values())
    if not owners:
        return _first_tokens(instance_id, count, used)
    widths_of = _intervals_of(owners)
    owned = {name: sum(intervals.values()) for name, intervals in widths_of.items()}
    missing = TOKEN_END // (len(owners) + 1)
    chosen: list[int] = []
    for left in range(count, 0, -1):
        richest = max(owned, key=lambda name: (owned[name], name))
        intervals = widths_of[richest]
        piece = max(missing // left, 1)
        end = _interval_to_cut(instance_id, intervals, piece)
        piece = min(piece, intervals[end] - 1)
        token = (end - intervals[end] + piece) % TOKEN_END
        if piece < 1 or token in used:
            token, piece = _free_token(instance_id, left, used), 0
        used.add(token)
        chosen.append(token)
        intervals[end] -= piece
        owned[richest] -= piece
        missing -= piece
    return tuple(sorted(chosen))


def peers_of(
    instance: InstanceDesc, others: Iterable[InstanceDesc], *, zone_aware: bool
) -> dict[str, tuple[int, ...]]:
    """Return the tokens of those with whom an instance shares load.

    With zones each zone holds one replica of everything, so load is shared
    inside a zone.
    """
    return {
        other.instance_id: other.tokens
        for other in others
        if other.instance_id != instance.instance_id
        and (not zone_aware or other.zone == instance.zone)
    }


def claim_tokens(
    instance_id: str,
    *,
    count: int,
    kept: Iterable[int],
    peers: Mapping[str, Sequence[int]],
    taken: frozenset[int],
) -> tuple[int, ...]:
    """Return the tokens to join with: the old ones that are free, and new ones.

    Args:
        kept: what the instance had before it went away, if anything.
        taken: every token of any other instance.
    """
    old = sorted(set(kept) - taken)[:count]
    if len(old) == count:
        return tuple(old)
    shared: dict[str, Sequence[int]] = dict(peers)
    if old:
        shared[instance_id] = old
    new = choose_tokens(
        instance_id, count=count - len(old), peers=shared, taken=taken | set(old)
    )
    return tuple(sorted((*old, *new)))


def shares_of(tokens: Mapping[str, Sequence[int]]) -> dict[str, float]:
    """Return which part of all streams each instance owns first."""
    shares = dict.fromkeys(tokens, 0.0)
    pairs = sorted((token, name) for name, own in tokens.items() for token in own)
    if not pairs:
        return shares
    values = np.array([token for token, _ in pairs], np.int64)
    widths = np.diff(values, prepend=values[-1] - TOKEN_END)
    for (_, name), width in zip(pairs, widths.tolist(), strict=True):
        shares[name] += width / TOKEN_END
    return shares


def _first_tokens(instance_id: str, count: int, used: set[int]) -> tuple[int, ...]:
    chosen: list[int] = []
    for number in range(count):
        token = _free_token(instance_id, number, used)
        used.add(token)
        chosen.append(token)
    return tuple(sorted(chosen))


def _free_token(instance_id: str, number: int, used: set[int]) -> int:
    token = mmh3.hash(f"{instance_id}/{number}".encode(), signed=False)
    while token in used:
        token = (token + 1) % TOKEN_END
    return token


def _intervals_of(owners: Mapping[str, Sequence[int]]) -> dict[str, dict[int, int]]:
    """Return per owner: its token to the width of the interval that ends there."""
    pairs = sorted((token, name) for name, own in owners.items() for token in own)
    intervals: dict[str, dict[int, int]] = {name: {} for name in owners}
    previous = pairs[-1][0] - TOKEN_END
    for token, name in pairs:
        intervals[name][token] = token - previous
        previous = token
    return intervals


def _interval_to_cut(instance_id: str, intervals: Mapping[int, int], piece: int) -> int:
    """Return the end of an interval that is wide enough, else of the widest."""
    wide = [end for end, width in intervals.items() if width > piece]
    if not wide:
        return max(intervals, key=lambda end: (intervals[end], end))
    return min(wide, key=lambda end: (mmh3.hash(f"{instance_id}/{end}".encode()), end))
