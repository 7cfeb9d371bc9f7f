"""Lookups: the first different instances clockwise, for any ring."""

import time
from dataclasses import replace

import numpy as np
import pytest
from fakes.rings import instance, joined
from hypothesis import given
from hypothesis import strategies as st

from loki_py.ring.lookup import NOBODY, TableCache, build_table

LOOKUP_S_MAX = 0.001


def table(*instances, rf=3, zone_aware=False):
    return build_table(instances, replication_factor=rf, zone_aware=zone_aware)


def names(found):
    return [owner.instance_id for owner in found]


def slow_owners(instances, token, rf, *, zone_aware):
    """The rule, word by word: walk clockwise and take who is new."""
    ring = sorted((t, i.instance_id, i) for i in instances for t in i.tokens)
    walk = [i for t, _, i in ring if t > token] + [i for t, _, i in ring if t <= token]
    chosen, domains = [], set()
    for i in walk:
        domain = i.zone if zone_aware else i.instance_id
        if domain not in domains and len(chosen) < rf:
            domains.add(domain)
            chosen.append(i.instance_id)
    return chosen


def test_owner_is_the_first_token_strictly_greater():
    found = table(instance("a", tokens=[10]), instance("b", tokens=[20]), rf=1)

    assert names(found.owners_of(9)) == ["a"]
    assert names(found.owners_of(10)) == ["b"]
    assert names(found.owners_of(19)) == ["b"]


def test_ring_wraps_after_its_last_token():
    found = table(instance("a", tokens=[10]), instance("b", tokens=[20]), rf=1)

    assert names(found.owners_of(20)) == ["a"]
    assert names(found.owners_of(2**32 - 1)) == ["a"]


def test_replicas_are_different_instances():
    found = table(
        instance("a", tokens=[10, 11, 12]), instance("b", tokens=[13, 30]), rf=2
    )

    assert names(found.owners_of(9)) == ["a", "b"]


def test_replicas_are_in_different_zones_where_zones_count():
    instances = [
        instance("a", tokens=[10], zone="x"),
        instance("b", tokens=[20], zone="x"),
        instance("c", tokens=[30], zone="y"),
    ]

    assert names(table(*instances, rf=2).owners_of(0)) == ["a", "b"]
    assert names(table(*instances, rf=2, zone_aware=True).owners_of(0)) == ["a", "c"]


def test_too_few_instances_make_smaller_replica_sets():
    found = table(instance("a", tokens=[10]), instance("b", tokens=[20]), rf=3)

    assert names(found.owners_of(0)) == ["a", "b"]
    assert found.replicas_of(np.array([0], np.uint32)).tolist() == [[0, 1, NOBODY]]


def test_empty_ring_owns_nothing():
    found = table(rf=3)

    assert found.owners_of(1) == ()
    assert found.replicas_of(np.zeros(4, np.uint32)).shape == (4, 3)


def test_token_of_two_instances_belongs_to_the_first_id():
    """Two who chose the same token are told apart alike everywhere."""
    a, b = instance("a", tokens=[10]), instance("b", tokens=[10, 20])

    assert names(table(a, b, rf=1).owners_of(0)) == ["a"]
    assert names(table(b, a, rf=1).owners_of(0)) == ["a"]


tokens = st.lists(st.integers(0, 40), max_size=5, unique=True)
rings = st.dictionaries(
    st.sampled_from("abcdefg"), st.tuples(tokens, st.sampled_from("xyz")), max_size=6
)


@given(rings, st.integers(0, 41), st.integers(1, 4), st.booleans())
def test_table_agrees_with_the_rule_word_by_word(ring, token, rf, zone_aware):
    instances = [instance(n, tokens=sorted(t), zone=z) for n, (t, z) in ring.items()]

    found = table(*instances, rf=rf, zone_aware=zone_aware)

    assert names(found.owners_of(token)) == slow_owners(
        instances, token, rf, zone_aware=zone_aware
    )


@given(rings.filter(bool), st.integers(0, 41), st.integers(1, 3))
def test_instance_that_is_left_out_is_replaced_by_the_next(ring, token, rf):
    """All others of a replica set stay when one of them goes."""
    instances = [instance(n, tokens=sorted(t)) for n, (t, _) in ring.items()]
    before = names(table(*instances, rf=rf).owners_of(token))
    gone = before[0] if before else None
    left = [i for i in instances if i.instance_id != gone]

    after = names(table(*left, rf=rf).owners_of(token))

    assert after[: len(before) - 1] == before[1:]


def test_table_is_kept_while_only_heartbeats_move():
    cache = TableCache(replication_factor=3, zone_aware=False)
    first = cache.table_of([instance("a", tokens=[1], seen_s=1)])

    assert cache.table_of([instance("a", tokens=[1], seen_s=2)]) is first
    assert cache.table_of([instance("a", tokens=[2], seen_s=2)]) is not first


def test_table_shows_an_instance_that_started_anew_as_it_is_now():
    """Else pushes would go on calling the process that is gone."""
    cache = TableCache(replication_factor=3, zone_aware=False)
    before = replace(instance("a", tokens=[1]), started_ns=1)
    after = replace(before, started_ns=2)
    cache.table_of([before])

    [found] = cache.table_of([after]).instances
    assert found.started_ns == 2


def test_thousand_streams_are_looked_up_in_a_millisecond():
    found = table(*joined(30))
    wanted = np.arange(0, 2**32, 2**32 // 1_000, dtype=np.uint32)[:1_000]

    def once():
        start_s = time.perf_counter()
        assert found.replicas_of(wanted).shape == (1_000, 3)
        return time.perf_counter() - start_s

    assert min(once() for _ in range(5)) <= LOOKUP_S_MAX


@pytest.mark.parametrize("rf", [1, 3])
def test_every_replica_set_of_a_large_ring_is_full(rf):
    found = table(*joined(20, tokens_count=16), rf=rf)

    assert (found.replicas != NOBODY).all()
    assert all(len(set(row)) == rf for row in found.replicas.tolist())
