"""Replication: which instance gets what, and when a push is decided."""

from itertools import product

import numpy as np
import pyarrow as pa
import pytest
from fakes.rings import instance, joined

from loki_py.distributor.replication import (
    Outcome,
    QuorumTracker,
    check_enough_replicas,
    route,
)
from loki_py.errors import (
    LimitExceeded,
    QuorumNotReached,
    Unavailable,
    ValidationFailed,
)
from loki_py.model.batch import EntryBatch
from loki_py.model.labels import LabelSet
from loki_py.ring.lookup import build_table
from loki_py.transport.abc import InstanceLost

DOWN = Unavailable("down")
REFUSED = ValidationFailed("too old")


def batch_of(streams_count, rows):
    """Return a batch whose rows belong to the given streams."""
    return EntryBatch(
        [LabelSet.of({"n": str(n)}) for n in range(streams_count)],
        np.array(rows, np.uint32),
        np.arange(len(rows)),
        pa.array([f"line {n}" for n in range(len(rows))], pa.large_string()),
    )


def table_of(count, *, rf=3):
    return build_table(
        [instance(f"i{n}", tokens=[(n + 1) * 100]) for n in range(count)],
        replication_factor=rf,
        zone_aware=False,
    )


def routed(tokens, rows, *, count=3, rf=3):
    batch = batch_of(len(tokens), rows)
    return route(batch, np.array(tokens, np.uint32), table_of(count, rf=rf))


def tracked(routes, *, rf=3):
    return QuorumTracker(routes, rf), routes.parts


def test_part_has_the_rows_of_the_streams_that_its_instance_owns():
    routes = routed([0, 150, 250], [0, 1, 2, 1], count=4, rf=1)

    found = {p.instance.instance_id: p.batch.line.to_pylist() for p in routes.parts}
    assert found == {"i0": ["line 0"], "i1": ["line 1", "line 3"], "i2": ["line 2"]}


def test_parts_keep_positions_of_streams():
    """So that an answer about a part is an answer about the push."""
    batch = batch_of(2, [1, 1])
    [part] = route(batch, np.array([0, 0], np.uint32), table_of(1, rf=1)).parts

    assert part.batch.streams is batch.streams
    assert part.streams.tolist() == [False, True]


def test_whole_push_is_not_copied_where_everyone_gets_it_all():
    batch = batch_of(2, [0, 1])
    routes = route(batch, np.array([0, 150], np.uint32), table_of(3))

    assert all(part.batch is batch for part in routes.parts)


def test_every_row_goes_to_as_many_instances_as_the_factor_says():
    instances = joined(7, tokens_count=16)
    table = build_table(instances, replication_factor=3, zone_aware=False)
    tokens = np.random.default_rng(1).integers(0, 2**32, 500, dtype=np.uint32)
    rows = np.random.default_rng(2).integers(0, 500, 2_000)

    routes = route(batch_of(500, rows), tokens, table)

    times = np.concatenate([part.batch.timestamp_ns for part in routes.parts])
    assert (np.bincount(times, minlength=2_000) == 3).all()


def test_one_failure_of_three_still_reaches_quorum():
    tracker, (a, b, c) = tracked(routed([0], [0]))

    assert tracker.fail(a, DOWN) is Outcome.PENDING
    assert tracker.answer(b, {}) is Outcome.PENDING
    assert tracker.answer(c, {}) is Outcome.REACHED


def test_quorum_does_not_wait_for_the_slowest():
    tracker, (a, b, c) = tracked(routed([0], [0]))

    tracker.answer(a, {})
    assert tracker.answer(b, {}) is Outcome.REACHED
    assert tracker.fail(c, DOWN) is Outcome.REACHED


def test_two_failures_of_three_lose_the_push():
    tracker, (a, b, c) = tracked(routed([0], [0]))

    tracker.fail(a, DOWN)
    assert tracker.fail(b, DOWN) is Outcome.LOST
    assert tracker.answer(c, {}) is Outcome.LOST
    assert "i0: down, i1: down" in str(tracker.error())


def test_error_names_each_instance_once_and_says_who_is_not_there():
    """Of three replicas the ring has two; one of these was lost."""
    tracker, (a, _) = tracked(routed([0, 50], [0, 1], count=2))

    assert tracker.fail(a, InstanceLost("i0", "no answer in time")) is Outcome.LOST
    assert str(tracker.error()) == (
        "2 of 2 streams were not stored by a quorum of 3 replicas, 1 of which the "
        "ring does not have: i0: no answer in time"
    )


def test_majority_that_refuses_makes_a_rejection():
    tracker, (a, b, c) = tracked(routed([0], [0]))

    tracker.answer(a, {0: REFUSED})
    assert tracker.fail(b, DOWN) is Outcome.PENDING
    assert tracker.answer(c, {0: REFUSED}) is Outcome.REJECTED
    assert tracker.refusals == {0: REFUSED}


def test_refusal_by_a_minority_is_no_rejection():
    tracker, (a, b, c) = tracked(routed([0], [0]))

    tracker.answer(a, {0: REFUSED})
    tracker.answer(b, {})
    assert tracker.answer(c, {}) is Outcome.REACHED
    assert not tracker.refusals


def test_neither_majority_is_ours_to_answer_for():
    """One stored, one refused, one down: the client should push again."""
    tracker, (a, b, c) = tracked(routed([0], [0]))

    tracker.answer(a, {})
    tracker.answer(b, {0: REFUSED})
    assert tracker.fail(c, DOWN) is Outcome.LOST
    assert isinstance(tracker.error(), QuorumNotReached)


def test_instance_that_refuses_the_whole_push_refuses_its_streams():
    tracker, (a, b, _) = tracked(routed([0, 150], [0, 1]))
    limited = LimitExceeded("rate")

    tracker.fail(a, limited)
    assert tracker.fail(b, limited) is Outcome.REJECTED
    assert set(tracker.refusals) == {0, 1}


def test_trouble_of_ours_in_an_answer_is_a_failure():
    tracker, (a, b, _) = tracked(routed([0], [0]))

    tracker.answer(a, {0: DOWN})
    assert tracker.answer(b, {0: DOWN}) is Outcome.LOST


def test_each_stream_needs_its_own_quorum():
    """Two instances that are down lose the streams that both own, and so the push."""
    routes = routed([0, 300], [0, 1], count=6)
    tracker, parts = tracked(routes)
    by_id = {part.instance.instance_id: part for part in parts}
    assert set(by_id) == {"i0", "i1", "i2", "i3", "i4", "i5"}

    for name in ("i0", "i1", "i2", "i3"):
        assert tracker.answer(by_id[name], {}) is Outcome.PENDING
    assert tracker.answer(by_id["i4"], {}) is Outcome.REACHED


def test_rejection_waits_until_the_other_streams_are_decided():
    tracker, (a, b, c) = tracked(routed([0, 0], [0, 1]))

    tracker.answer(a, {0: REFUSED})
    assert tracker.answer(b, {0: REFUSED, 1: DOWN}) is Outcome.PENDING
    assert tracker.answer(c, {}) is Outcome.REJECTED
    assert tracker.refusals == {0: REFUSED}


def test_streams_without_rows_need_no_answer():
    routes = routed([0, 150], [0], count=6, rf=1)
    tracker, parts = tracked(routes, rf=1)

    assert len(parts) == 1
    assert tracker.answer(parts[0], {}) is Outcome.REACHED


def test_missing_replicas_count_in_the_quorum():
    tracker, (a, b) = tracked(routed([0], [0], count=2))

    assert tracker.answer(a, {}) is Outcome.PENDING
    assert tracker.answer(b, {}) is Outcome.REACHED
    tracker, (a, _) = tracked(routed([0], [0], count=2))
    assert tracker.fail(a, DOWN) is Outcome.LOST


def test_single_live_replica_of_three_is_refused_before_sending():
    unhealthy = [instance("x"), instance("y")]

    with pytest.raises(QuorumNotReached) as raised:
        check_enough_replicas(
            routed([0], [0], count=1), replication_factor=3, unhealthy=unhealthy
        )
    assert str(raised.value) == (
        "at least 2 live replicas required, could only find 1 - "
        "unhealthy instances: x:9095,y:9095"
    )


def test_two_live_replicas_of_three_are_enough():
    check_enough_replicas(routed([0], [0], count=2), replication_factor=3, unhealthy=[])


@pytest.mark.parametrize("answers", list(product("arf", repeat=3)))
def test_outcome_is_what_the_majority_did(answers):
    """Every way in which three replicas can answer (ack, refuse, fail)."""
    tracker, parts = tracked(routed([0], [0]))
    for part, kind in zip(parts, answers, strict=True):
        if kind == "a":
            tracker.answer(part, {})
        elif kind == "r":
            tracker.answer(part, {0: REFUSED})
        else:
            tracker.fail(part, DOWN)

    if answers.count("a") >= 2:
        assert tracker.outcome is Outcome.REACHED
    elif answers.count("r") >= 2:
        assert tracker.outcome is Outcome.REJECTED
    else:
        assert tracker.outcome is Outcome.LOST
