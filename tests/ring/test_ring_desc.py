"""Ring entries: what is written comes back, what is damaged or newer is refused."""

import json

import pytest
from fakes.format_pages import FORMATS
from fakes.rings import NS_PER_S, instance, ring_of
from hypothesis import given
from hypothesis import strategies as st

from loki_py.errors import CorruptData, UnknownVersion
from loki_py.ring.desc import (
    InstanceDesc,
    InstanceState,
    decode_instance,
    encode_instance,
    live_count,
)

ONE = InstanceDesc(
    "ingester-0",
    "10.0.0.1:9095",
    InstanceState.ACTIVE,
    tokens=(1, 2**32 - 1),
    zone="a",
    registered_ns=1,
    started_ns=2,
    heartbeat_ns=3,
)


def changed(**fields):
    return json.dumps({**json.loads(encode_instance(ONE)), **fields}).encode()


@given(
    st.builds(
        InstanceDesc,
        instance_id=st.text(),
        address=st.text(),
        state=st.sampled_from(InstanceState),
        tokens=st.sets(st.integers(0, 2**32 - 1)).map(lambda t: tuple(sorted(t))),
        zone=st.text(),
        heartbeat_ns=st.integers(0, 2**62),
    )
)
def test_entry_comes_back_as_it_was_written(desc):
    assert decode_instance(encode_instance(desc)) == desc


def test_written_text_is_the_documented_one():
    """Other versions of this program read exactly what docs/formats/ring.md shows."""
    page = (FORMATS / "ring.md").read_text()
    example = page.partition("```json ring-entry\n")[2].partition("\n```")[0]

    assert encode_instance(ONE) == example.encode()
    assert decode_instance(example.encode()) == ONE


def test_unknown_fields_are_ignored():
    assert decode_instance(changed(color="blue")) == ONE


def test_unknown_version_is_refused_by_its_number():
    with pytest.raises(UnknownVersion, match="version 2; this program knows 1"):
        decode_instance(changed(version=2, tokens="of another shape"))


@pytest.mark.parametrize(
    "fields",
    [
        {"state": "ASLEEP"},
        {"tokens": [2, 1]},
        {"tokens": [1, 1]},
        {"tokens": [-1]},
        {"tokens": [2**32]},
        {"tokens": list(range(5_000))},
        {"version": "1"},
        {"id": 7},
    ],
)
def test_damaged_entry_is_refused(fields):
    with pytest.raises(CorruptData):
        decode_instance(changed(**fields))


@pytest.mark.parametrize("cut", range(len(encode_instance(ONE))))
def test_cut_entry_is_refused(cut):
    with pytest.raises(CorruptData):
        decode_instance(encode_instance(ONE)[:cut])


def test_only_active_and_healthy_instances_are_writable():
    ring = ring_of(
        instance("a", seen_s=100),
        instance("b", seen_s=39),
        instance("c", seen_s=100, state=InstanceState.LEAVING),
        instance("d", seen_s=100, state=InstanceState.JOINING),
        as_of_s=100,
    )

    writable = ring.writable(heartbeat_ns_max=60 * NS_PER_S)
    assert [i.instance_id for i in writable] == ["a"]
    unhealthy = ring.unhealthy(heartbeat_ns_max=60 * NS_PER_S)
    assert [i.instance_id for i in unhealthy] == ["b"]


def test_without_a_timeout_everyone_is_healthy():
    ring = ring_of(instance("a"), as_of_s=10**9)

    assert ring.writable(heartbeat_ns_max=0)


@pytest.mark.parametrize(("live", "expected"), [(0, 1), (1, 1), (3, 3)])
def test_limits_are_shared_by_the_live_and_by_one_at_least(live, expected):
    dead = instance("dead", seen_s=0)
    ring = ring_of(
        dead, *(instance(f"d-{n}", seen_s=99) for n in range(live)), as_of_s=100
    )

    assert live_count(ring, heartbeat_ns_max=60 * NS_PER_S) == expected
