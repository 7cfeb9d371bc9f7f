"""Tokens: load is even, little moves, and equal inputs choose equal tokens."""

from functools import cache

import mmh3
import numpy as np
import pytest
from fakes.rings import joined
from hypothesis import given
from hypothesis import strategies as st

from loki_py.ring.lookup import NOBODY, build_table
from loki_py.ring.tokens import choose_tokens, claim_tokens, shares_of

STREAMS_COUNT = 100_000
EVEN_RATIO_MAX = 0.20


@cache
def stream_tokens():
    return np.array(
        [
            mmh3.hash(f"t/{{n={n}}}".encode(), signed=False)
            for n in range(STREAMS_COUNT)
        ],
        np.uint32,
    )


@cache
def ten():
    return tuple(joined(10))


def table(instances, replication_factor=1, *, zone_aware=False):
    return build_table(
        instances, replication_factor=replication_factor, zone_aware=zone_aware
    )


def loads_of(instances, replication_factor, *, zone_aware=False):
    """Return per instance the streams it holds, as a ratio to the mean."""
    found = table(instances, replication_factor, zone_aware=zone_aware)
    replicas = found.replicas_of(stream_tokens())
    counts = np.bincount(replicas[replicas != NOBODY], minlength=len(instances))
    return counts / counts.mean()


def owner_names(instances):
    found = table(instances)
    names = np.array([i.instance_id for i in found.instances])
    return names[found.replicas_of(stream_tokens())[:, 0]]


@pytest.mark.parametrize("replication_factor", [1, 2, 3])
def test_ten_instances_share_streams_evenly(replication_factor):
    loads = loads_of(ten(), replication_factor)

    assert np.abs(loads - 1).max() <= EVEN_RATIO_MAX


@pytest.mark.parametrize("count", range(2, 16))
def test_any_number_of_instances_shares_streams_evenly(count):
    """Growing one by one never leaves the even share, for one copy or three."""
    instances = joined(count)

    assert np.abs(loads_of(instances, 1) - 1).max() <= 0.05
    if count >= 3:
        assert np.abs(loads_of(instances, 3) - 1).max() <= EVEN_RATIO_MAX


def test_nine_instances_in_three_zones_share_streams_evenly():
    instances = joined(9, zones=3)

    loads = loads_of(instances, 3, zone_aware=True)
    assert np.abs(loads - 1).max() <= 0.05


def test_joining_moves_no_more_than_its_share():
    """The new one takes 1/n of the streams, and nothing moves between others."""
    before = owner_names(ten())
    after = owner_names(joined(11, first=ten()))

    moved = before != after
    assert moved.mean() <= 1 / 11 + 0.05
    assert set(after[moved]) == {"ingester-10"}


@pytest.mark.parametrize("leaver", range(10))
def test_leaving_moves_only_what_the_leaver_had(leaver):
    left = [i for n, i in enumerate(ten()) if n != leaver]
    before, after = owner_names(ten()), owner_names(left)

    moved = before != after
    assert moved.mean() <= 1 / 10 + 0.05
    assert set(before[moved]) == {f"ingester-{leaver}"}


@pytest.mark.parametrize("leaver", range(10))
def test_load_of_a_leaver_is_spread_over_all_others(leaver):
    left = [i for n, i in enumerate(ten()) if n != leaver]

    assert np.abs(loads_of(left, 3) - 1).max() <= EVEN_RATIO_MAX + 0.05


def test_copies_that_move_when_one_joins_are_few():
    """Of three copies of each stream, one in n + 1 moves, not all."""
    before, after = table(ten(), 3), table(joined(11, first=ten()), 3)
    old_names = np.array([i.instance_id for i in before.instances])
    new_names = np.array([i.instance_id for i in after.instances])
    olds = old_names[before.replicas_of(stream_tokens())]
    news = new_names[after.replicas_of(stream_tokens())]

    kept = (news[:, :, None] == olds[:, None, :]).any(axis=2)
    assert (~kept).mean() <= 1 / 11 + 0.05


def test_choice_depends_on_its_arguments_only():
    peers = {i.instance_id: i.tokens for i in ten()}
    reordered = dict(reversed(peers.items()))

    assert choose_tokens("new", count=128, peers=peers) == choose_tokens(
        "new", count=128, peers=reordered
    )


@given(
    st.dictionaries(
        st.sampled_from("abcde"),
        st.lists(st.integers(0, 2**32 - 1), max_size=6, unique=True),
    ),
    st.integers(0, 12),
)
def test_tokens_are_new_ascending_and_as_many_as_asked(peers, count):
    used = {t for tokens in peers.values() for t in tokens}

    chosen = choose_tokens("new", count=count, peers=peers)

    assert len(set(chosen)) == count
    assert list(chosen) == sorted(chosen)
    assert not used & set(chosen)
    assert all(0 <= token < 2**32 for token in chosen)


def test_crowded_ring_still_has_tokens_for_a_new_instance():
    """Intervals of one token can not be cut; others are found."""
    peers = {"a": range(300), "b": range(2**32 - 300, 2**32)}

    assert len(choose_tokens("new", count=128, peers=peers)) == 128


def test_old_tokens_come_back():
    old = ten()[3].tokens

    assert claim_tokens(
        "ingester-3", count=128, kept=old, peers={}, taken=frozenset()
    ) == tuple(old)


def test_old_tokens_that_others_took_are_replaced():
    old = ten()[3].tokens
    taken = frozenset(old[:10])

    claimed = claim_tokens("x", count=128, kept=old, peers={"y": old[:10]}, taken=taken)

    assert len(claimed) == 128
    assert set(old[10:]) <= set(claimed)
    assert not taken & set(claimed)


def test_shares_of_the_ring_add_up_to_all_of_it():
    shares = shares_of({i.instance_id: i.tokens for i in ten()})

    assert sum(shares.values()) == pytest.approx(1)
    assert max(shares.values()) <= 0.1 * (1 + EVEN_RATIO_MAX)
