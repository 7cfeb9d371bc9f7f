"""Joining and leaving the ring: not before it is true, and nothing given up."""

from dataclasses import replace

import pytest
from fakes.rings import instance, ring_of

from loki_py.app import membership
from loki_py.app.membership import IngesterMembership
from loki_py.errors import Unavailable
from loki_py.ring.desc import InstanceState


class FakeRing:
    def __init__(self):
        self.released = []
        self.ring = ring_of()

    async def release(self, instance_id):
        self.released.append(instance_id)


class FakeLifecycler:
    desc = instance("ingester-0")
    has_left = False

    def reason_not_ready(self):
        return None

    def leave(self):
        self.has_left = True


class FakeIngester:
    error = None
    is_closed = False
    flushes = 0

    def close_to_pushes(self):
        self.is_closed = True

    async def flush(self, successors):
        assert successors is None
        if self.error:
            raise self.error
        self.flushes += 1


@pytest.fixture
def member(monkeypatch):
    monkeypatch.setattr(membership, "LEAVING_S", 0)
    return IngesterMembership(FakeRing(), FakeLifecycler(), FakeIngester(), index_s=0)


@pytest.mark.parametrize(
    "seen",
    [
        {},
        {"state": InstanceState.JOINING},
        {"started_ns": -1},
    ],
)
def test_instance_is_not_ready_before_the_store_says_that_it_is_active(member, seen):
    """Nor where the store still tells of the process before."""
    own = member.lifecycler.desc
    assert "not seen as ACTIVE" in member.reason_not_ready()

    member.ring.ring = ring_of(replace(own, **seen))

    assert bool(member.reason_not_ready()) == bool(seen)


async def test_leaving_for_a_restart_keeps_the_holders_key(member):
    """Who comes back is missed until then."""
    await member.stop()

    assert member.lifecycler.has_left
    assert member.ring.released == []
    assert member.ingester.flushes == 0


async def test_leaving_for_good_releases_once_all_is_flushed(member):
    await member.leave(for_good=True)
    await member.stop()

    assert member.ingester.is_closed
    assert member.ingester.flushes == 1
    assert member.ring.released == ["ingester-0"]


async def test_flush_that_fails_gives_nothing_up_and_may_be_tried_again(member):
    member.ingester.error = Unavailable("no store")
    with pytest.raises(Unavailable):
        await member.leave(for_good=True)
    assert member.ring.released == []
    member.ingester.error = None

    await member.leave(for_good=True)

    assert member.ring.released == ["ingester-0"]
