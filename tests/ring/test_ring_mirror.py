"""The mirror of a ring: who is in it, and how old, when the store comes and goes."""

from dataclasses import replace

from fakes.rings import NS_PER_S, instance

from loki_py.kv.abc import KvChange, KvEntry
from loki_py.ring.desc import encode_instance
from loki_py.ring.mirror import RingMirror
from loki_py.ring.settings import RingSettings

SETTINGS = RingSettings("ingester", heartbeat_timeout_ns=60 * NS_PER_S)
PREFIX = SETTINGS.instances_prefix


def entry(name, revision):
    return KvEntry(encode_instance(instance(name, tokens=[revision])), revision)


def entries(**revisions):
    return {f"{PREFIX}{name}": entry(name, rev) for name, rev in revisions.items()}


def mirror_of(*, now_s=0, **revisions):
    mirror = RingMirror(SETTINGS)
    mirror.load(entries(**revisions), now_ns=now_s * NS_PER_S)
    return mirror


def writable(mirror):
    timeout_ns = SETTINGS.heartbeat_timeout_ns
    return [i.instance_id for i in mirror.ring().writable(heartbeat_ns_max=timeout_ns)]


def beat(mirror, name, revision, *, now_s):
    change = KvChange(f"{PREFIX}{name}", entry(name, revision))
    mirror.apply([change], now_ns=now_s * NS_PER_S)


def keep_beating(mirror, name, *, until_s, since_s=0):
    for second in range(since_s + 5, until_s + 1, 5):
        beat(mirror, name, 100 + second, now_s=second)


def test_ring_holds_what_was_read():
    mirror = mirror_of(a=1, b=2)

    assert mirror.is_loaded
    assert writable(mirror) == ["a", "b"]


def test_changes_of_a_watch_are_taken_over():
    mirror = mirror_of(a=1, b=2)

    beat(mirror, "c", 3, now_s=1)
    mirror.apply([KvChange(f"{PREFIX}a", None)], now_ns=NS_PER_S)

    assert writable(mirror) == ["b", "c"]


def test_silent_instance_becomes_unhealthy_and_is_forgotten_later():
    mirror = mirror_of(a=1, b=2)

    keep_beating(mirror, "a", until_s=70)
    assert writable(mirror) == ["a"]
    assert set(mirror.ring().instances) == {"a", "b"}
    keep_beating(mirror, "a", until_s=130, since_s=70)
    assert set(mirror.ring().instances) == {"a"}


def test_full_read_makes_nobody_younger():
    """The same revision is the same heartbeat."""
    mirror = mirror_of(a=1, b=2)

    for second in range(10, 71, 10):
        mirror.load(entries(a=second, b=2), now_ns=second * NS_PER_S)

    assert writable(mirror) == ["a"]


def test_one_long_silence_makes_nobody_unhealthy():
    """A store that hung, or we: those who beat meanwhile are heard in a moment."""
    mirror = mirror_of(a=1, b=2)
    keep_beating(mirror, "a", until_s=30)

    beat(mirror, "a", 99, now_s=3_600)

    assert writable(mirror) == ["a", "b"]


def test_full_read_drops_who_is_gone():
    mirror = mirror_of(a=1, b=2)

    mirror.load(entries(a=1), now_ns=NS_PER_S)

    assert writable(mirror) == ["a"]


def test_nobody_ages_while_the_store_is_away():
    mirror = mirror_of(a=1, b=2)

    mirror.away()
    assert writable(mirror) == ["a", "b"]
    mirror.load(entries(a=1, b=2), now_ns=3_600 * NS_PER_S)

    assert writable(mirror) == ["a", "b"]


def test_instances_missing_after_an_outage_get_time_to_come_back():
    """A store that lost its keys is no sign that instances died."""
    mirror = mirror_of(a=1, b=2)
    mirror.away()

    mirror.load({}, now_ns=3_600 * NS_PER_S)
    assert writable(mirror) == ["a", "b"]
    beat(mirror, "a", 9, now_s=3_605)
    mirror.load(entries(a=9), now_ns=3_630 * NS_PER_S)
    assert writable(mirror) == ["a", "b"]


def test_instances_that_do_not_come_back_after_an_outage_are_forgotten():
    mirror = mirror_of(a=1, b=2)
    mirror.away()
    mirror.load({}, now_ns=3_600 * NS_PER_S)

    for second in range(3_610, 3_740, 10):
        mirror.load(entries(a=second), now_ns=second * NS_PER_S)

    assert set(mirror.ring().instances) == {"a"}


def test_entry_of_a_newer_program_keeps_the_last_known_and_is_told():
    mirror = mirror_of(a=1)
    newer = KvEntry(encode_instance(instance("a")).replace(b":1,", b":7,", 1), 2)

    mirror.apply([KvChange(f"{PREFIX}a", newer)], now_ns=NS_PER_S)

    assert "version 7" in mirror.refused["a"]
    assert writable(mirror) == ["a"]


def test_refusal_ends_when_the_entry_can_be_read_again():
    mirror = mirror_of(a=1)
    mirror.apply([KvChange(f"{PREFIX}a", KvEntry(b"{", 2))], now_ns=NS_PER_S)

    beat(mirror, "a", 3, now_s=2)

    assert not mirror.refused


def test_snapshots_do_not_change_afterwards():
    mirror = mirror_of(a=1)
    before = mirror.ring()

    beat(mirror, "b", 2, now_s=1)

    assert set(before.instances) == {"a"}


def test_clock_that_stands_still_is_fine():
    mirror = mirror_of(a=1, now_s=5)

    beat(mirror, "a", 2, now_s=5)

    assert replace(mirror.ring().instances["a"]).seen_ns == 0
