"""Next owners: who gets the streams of an instance that leaves, and no one else."""

import numpy as np
import pytest
from fakes.ingesters import FakeIngester, batch_of
from fakes.rings import joined

from loki_py.distributor.next_owners import NextOwners, parcels_of
from loki_py.errors import LimitExceeded, QuorumNotReached, Unavailable
from loki_py.model.labels import token_of
from loki_py.ring.lookup import build_table
from loki_py.ring.settings import RingSettings
from loki_py.transport.abc import PushAnswer

ROWS = [({"app": str(n)}, n, f"line {n}") for n in range(40)]


def table_of(instances):
    return build_table(instances, replication_factor=3, zone_aware=False)


class Leaving:
    """Instances of which the first one leaves."""

    settings = RingSettings("ingester")

    def __init__(self, count):
        self.own, *self.others = joined(count)
        self.ingesters = {i.instance_id: FakeIngester() for i in self.others}
        self.owners = NextOwners(
            self,
            lambda i: self.ingesters[i.instance_id],
            leaving=lambda: self.own,
            line_bytes_max=1,
        )

    def writable(self):
        return self.others


def test_each_stream_goes_to_the_owner_that_it_did_not_have():
    """With it, as many different instances own the stream as before."""
    own, *others = joined(5)
    batch = batch_of(ROWS)
    tokens = np.array([token_of("t", s) for s in batch.streams], np.uint32)
    before, after = table_of([own, *others]), table_of(others)

    parcels = parcels_of(
        batch, tokens, leaving=own.instance_id, before=before, after=after
    )
    got = {number: set() for number in range(len(tokens))}
    for parcel in parcels:
        for stream in np.unique(parcel.batch.stream).tolist():
            got[stream].add(parcel.instance)

    sizes = set()
    for number, token in enumerate(tokens.tolist()):
        former, owners = before.owners_of(token), after.owners_of(token)
        # What it does not own any more, it can not know who has.
        wanted = set(owners) - set(former) if own in former else set(owners)
        assert got[number] == wanted
        sizes.add(len(wanted))
    assert sizes == {1, 3}


def test_stream_without_a_next_owner_is_refused():
    """Three of three held it; the two that stay are no more than before."""
    own, *others = joined(3)
    batch = batch_of(ROWS)
    tokens = np.array([token_of("t", s) for s in batch.streams], np.uint32)

    with pytest.raises(QuorumNotReached, match="40 of 40 streams have no next owner"):
        parcels_of(
            batch,
            tokens,
            leaving=own.instance_id,
            before=table_of([own, *others]),
            after=table_of(others),
        )


async def test_entries_arrive_once_each():
    """Four instances: every stream of the first has exactly one next owner."""
    leaving = Leaving(4)
    batch = batch_of(ROWS)
    tokens = np.array([token_of("t", s) for s in batch.streams], np.uint32)
    table = table_of([leaving.own, *leaving.others])
    mine = [leaving.own in table.owners_of(token) for token in tokens.tolist()]
    held = batch.filter(np.array(mine)[batch.stream])

    await leaving.owners.store("t", held)

    arrived = [row for i in leaving.ingesters.values() for row in i.held("t")]
    assert len(arrived) == len(set(arrived)) == len(held) > 0


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (Unavailable("down"), PushAnswer()),
        (None, PushAnswer({0: LimitExceeded("too many streams")})),
    ],
)
async def test_what_one_owner_does_not_take_is_told(error, answer):
    """The caller keeps it then."""
    leaving = Leaving(4)
    for ingester in leaving.ingesters.values():
        ingester.error, ingester.answer = error, answer
    batch = batch_of(ROWS)
    tokens = np.array([token_of("t", s) for s in batch.streams], np.uint32)
    table = table_of([leaving.own, *leaving.others])
    mine = [leaving.own in table.owners_of(token) for token in tokens.tolist()]

    with pytest.raises((Unavailable, LimitExceeded)):
        await leaving.owners.store("t", batch.filter(np.array(mine)[batch.stream]))
