"""Next owners: who gets the streams of an instance that leaves, and no one else."""

import numpy as np
import pytest
from fakes.ingesters import FakeIngester, batch_of, rows_of
from fakes.rings import joined, ring_of

from loki_py.distributor.next_owners import (
    BUSY_TRIES_MAX,
    NextOwners,
    shipment_of,
)
from loki_py.errors import BodyTooLarge, NotOwner, ReceiverBusy, ReceiverLocked
from loki_py.model.labels import token_of
from loki_py.ring.lookup import build_table
from loki_py.ring.settings import RingSettings
from loki_py.transport.abc import InstanceLost

ROWS = [({"app": str(n)}, n, f"line {n}") for n in range(40)]


def table_of(instances):
    return build_table(instances, replication_factor=3, zone_aware=False)


class Receiver:
    """Keeps what it takes over; `answers` are given or raised before that."""

    def __init__(self):
        self.taken = FakeIngester()
        self.answers = []
        self.senders = []

    async def transfer(self, sender, tenant, batch):
        self.senders.append(sender)
        answer = self.answers.pop(0) if self.answers else {}
        if isinstance(answer, Exception):
            raise answer
        kept = np.array([n not in answer for n in range(len(batch.streams))])
        await self.taken.push(tenant, batch.filter(kept[batch.stream]))
        return answer


class Leaving:
    """Instances of which the first one leaves."""

    settings = RingSettings("ingester")

    def __init__(self, count):
        self.own, *self.others = joined(count)
        self.receivers = {i.instance_id: Receiver() for i in self.others}
        self.owners = NextOwners(
            self,
            lambda i: self.receivers[i.instance_id],
            leaving=lambda: self.own,
            chunk_bytes_max=1,
            pause_s=lambda _: 0,
        )

        self.leaving_too = []

    @property
    def ring(self):
        return ring_of(self.own, *self.others, *self.leaving_too)

    def writable(self):
        return self.others

    def held(self):
        """A batch of streams that the leaving one owns."""
        batch = batch_of(ROWS)
        tokens = np.array([token_of("t", s) for s in batch.streams], np.uint32)
        table = table_of([self.own, *self.others])
        mine = np.array([self.own in table.owners_of(t) for t in tokens.tolist()])
        return batch.filter(mine[batch.stream])

    def arrived(self):
        return sorted(r for i in self.receivers.values() for r in i.taken.held("t"))


def test_each_stream_goes_to_the_owner_that_it_did_not_have():
    """With it, as many different instances own the stream as before."""
    own, *others = joined(5)
    batch = batch_of(ROWS)
    tokens = np.array([token_of("t", s) for s in batch.streams], np.uint32)
    before, after = table_of([own, *others]), table_of(others)

    shipment = shipment_of(
        batch, tokens, leaving=own.instance_id, before=before, after=after
    )
    got = {number: set() for number in range(len(tokens))}
    for parcel in shipment.parcels:
        for stream in np.unique(parcel.batch.stream).tolist():
            got[stream].add(parcel.instance)

    assert not shipment.homeless.any()
    sizes = set()
    for number, token in enumerate(tokens.tolist()):
        former, owners = before.owners_of(token), after.owners_of(token)
        # What it does not own any more, it can not know who has.
        wanted = set(owners) - set(former) if own in former else set(owners)
        assert got[number] == wanted
        sizes.add(len(wanted))
    assert sizes == {1, 3}


async def test_streams_without_a_next_owner_are_not_taken():
    """Three of three held them; the two that stay are no more than before."""
    leaving = Leaving(3)

    stored = await leaving.owners.store("t", batch_of(ROWS))

    assert not stored.any()
    assert leaving.arrived() == []


async def test_entries_arrive_once_each():
    """Four instances: every stream of the first has exactly one next owner."""
    leaving = Leaving(4)
    held = leaving.held()

    stored = await leaving.owners.store("t", held)

    assert stored[held.stream].all()
    assert leaving.arrived() == rows_of(held) != []
    assert len(set(leaving.arrived())) == len(held)
    senders = {s for i in leaving.receivers.values() for s in i.senders}
    assert senders == {leaving.own.instance_id}


async def test_refused_chunks_are_told_and_others_are_taken():
    leaving = Leaving(4)
    held = leaving.held()
    first = int(held.stream[0])
    for receiver in leaving.receivers.values():
        receiver.answers = [{first: NotOwner("not mine")}]

    stored = await leaving.owners.store("t", held)

    assert not stored[first]
    assert set(np.flatnonzero(~stored).tolist()) == {first}
    assert len(leaving.arrived()) == len(held) - 1


async def test_lost_receiver_has_taken_nothing():
    """Nobody knows what it has; the caller keeps it then."""
    leaving = Leaving(4)
    held = leaving.held()
    for receiver in leaving.receivers.values():
        receiver.answers = [InstanceLost("ingester-1", "no answer in time")]

    assert not (await leaving.owners.store("t", held))[held.stream].any()


async def test_busy_receiver_is_asked_again():
    leaving = Leaving(4)
    held = leaving.held()
    for receiver in leaving.receivers.values():
        receiver.answers = [ReceiverBusy("later")] * (BUSY_TRIES_MAX - 1)

    assert (await leaving.owners.store("t", held)).all()
    assert leaving.arrived() == rows_of(held)


@pytest.mark.parametrize(
    ("answers", "asked_count"),
    [
        ([ReceiverLocked("leaving")], 1),
        ([InstanceLost("ingester-1", "no answer in time")], 1),
        ([ReceiverBusy("later")] * BUSY_TRIES_MAX, BUSY_TRIES_MAX),
    ],
    ids=["locked", "lost", "busy"],
)
async def test_receiver_that_is_given_up_is_not_asked_again(answers, asked_count):
    """Leaving does not wait for it once for every block."""
    leaving = Leaving(4)
    held = leaving.held()
    for receiver in leaving.receivers.values():
        receiver.answers = list(answers)

    for _ in range(2):
        assert not (await leaving.owners.store("t", held))[held.stream].any()

    assert leaving.arrived() == []
    assert {len(i.senders) for i in leaving.receivers.values()} == {asked_count}


async def test_receiver_is_asked_again_after_a_chunk_that_is_too_large():
    leaving = Leaving(4)
    held = leaving.held()
    for receiver in leaving.receivers.values():
        receiver.answers = [BodyTooLarge("limit is 100")]

    assert not (await leaving.owners.store("t", held))[held.stream].any()
    assert (await leaving.owners.store("t", held))[held.stream].all()


async def test_two_that_leave_at_once_give_to_all_who_did_not_own_before():
    """A third has it at best: the two may have been the quorum."""
    leaving = Leaving(6)
    held = leaving.held()
    leaving.leaving_too = [leaving.others.pop()]
    everybody = table_of([leaving.own, *leaving.others, *leaving.leaving_too])
    after = table_of(leaving.others)

    stored = await leaving.owners.store("t", held)

    assert stored[held.stream].all()
    got_by = {}
    for name, receiver in leaving.receivers.items():
        for row in receiver.taken.held("t"):
            got_by.setdefault(row[0], set()).add(name)
    sizes = set()
    for number in np.unique(held.stream).tolist():
        labels = held.streams[number]
        token = token_of("t", labels)
        former = {i.instance_id for i in everybody.owners_of(token)}
        owners = {i.instance_id for i in after.owners_of(token)}
        wanted = owners - former
        assert got_by[labels.text] == wanted
        sizes.add(len(wanted))
    assert sizes == {1, 2}
