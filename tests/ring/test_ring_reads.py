"""Reads: how many may be missing before an acknowledged entry could be."""

import pytest
from fakes.rings import NS_PER_S, instance, ring_of

from loki_py.ring.desc import InstanceState
from loki_py.ring.quorum import acks_needed, lost_domains_max, quorum_of
from loki_py.ring.replication import ReadOutcome, ReadSet, ReadTracker, read_set

TIMEOUT_NS = 60 * NS_PER_S


def five(zones=("",)):
    return [instance(f"i{n}", tokens=[n], zone=zones[n % len(zones)]) for n in range(5)]


def tracker_of(asked, *, missing=(), rf=3, zone_aware=False):
    return ReadTracker(ReadSet(tuple(asked), tuple(missing)), rf, zone_aware)


@pytest.mark.parametrize(("count", "quorum"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)])
def test_quorum_is_the_smallest_majority(count, quorum):
    assert quorum_of(count) == quorum


def test_missing_replicas_still_count_in_a_quorum():
    assert acks_needed(chosen_count=2, replication_factor=3) == 2
    assert acks_needed(chosen_count=1, replication_factor=3) == 2


@pytest.mark.parametrize("replication_factor", range(1, 8))
def test_losing_as_many_as_tolerated_leaves_one_of_a_quorum(replication_factor):
    assert lost_domains_max(replication_factor) < quorum_of(replication_factor)


def test_read_without_one_of_three_is_whole():
    tracker = tracker_of(five()[:3])

    assert tracker.answer("i0") is ReadOutcome.PENDING
    assert tracker.fail("i1", OSError()) is ReadOutcome.PENDING
    assert tracker.answer("i2") is ReadOutcome.WHOLE


def test_read_does_not_wait_for_the_slowest():
    tracker = tracker_of(five())

    for name in ("i0", "i1", "i2"):
        assert tracker.answer(name) is ReadOutcome.PENDING
    assert tracker.answer("i3") is ReadOutcome.WHOLE


def test_read_without_two_is_lost_and_says_which():
    tracker = tracker_of(five()[:2], missing=five()[2:3])

    assert tracker.fail("i0", OSError("refused")) is ReadOutcome.LOST
    assert "i0 (refused), i2 (not in reach)" in tracker.reason_lost()
    assert tracker.answer("i1") is ReadOutcome.LOST


def test_single_replica_tolerates_no_loss():
    tracker = tracker_of(five()[:2], rf=1)

    assert tracker.answer("i0") is ReadOutcome.PENDING
    assert tracker.fail("i1", OSError()) is ReadOutcome.LOST


def test_whole_zone_may_be_lost_where_zones_count():
    tracker = tracker_of(five(zones="xyz"), zone_aware=True)

    tracker.fail("i0", OSError())
    tracker.fail("i3", OSError())
    tracker.answer("i1")
    tracker.answer("i4")
    assert tracker.answer("i2") is ReadOutcome.WHOLE


def test_instances_of_two_zones_may_not_be_lost():
    tracker = tracker_of(five(zones="xyz"), zone_aware=True)

    tracker.fail("i0", OSError())
    assert tracker.fail("i1", OSError()) is ReadOutcome.LOST


def test_one_instance_alone_must_answer():
    """With factor 3 and one instance, the tolerated loss is not all there is."""
    tracker = tracker_of(five()[:1])

    assert tracker.outcome is ReadOutcome.PENDING
    assert tracker.answer("i0") is ReadOutcome.WHOLE


def test_readers_ask_all_that_may_hold_entries():
    ring = ring_of(
        instance("active", tokens=[1], seen_s=90),
        instance("leaving", tokens=[2], seen_s=90, state=InstanceState.LEAVING),
        instance("joining", tokens=[3], seen_s=90, state=InstanceState.JOINING),
        instance("silent", tokens=[4], seen_s=1),
        instance("back", tokens=[5], seen_s=90, state=InstanceState.PENDING),
        instance("new", seen_s=90, state=InstanceState.PENDING),
        as_of_s=90,
    )

    found = read_set(ring, heartbeat_ns_max=TIMEOUT_NS)

    assert [i.instance_id for i in found.asked] == ["active", "joining", "leaving"]
    assert [i.instance_id for i in found.missing] == ["back", "silent"]


def test_nobody_to_ask_is_never_an_empty_answer():
    empty = tracker_of([])
    assert empty.outcome is ReadOutcome.LOST
    assert empty.reason_lost() == "empty ring"
    assert tracker_of([], missing=five()[:1]).outcome is ReadOutcome.LOST
