"""What is remembered of replicas is bounded, and forgotten in time."""

from loki_py.querier.remembered import (
    SUSPECT_NS,
    TENANTS_MAX,
    FlushedTenants,
    Suspects,
)


def test_flushed_tenant_is_new_once():
    """Until nothing of it is flushed and kept any more."""
    flushed = FlushedTenants()

    found = [flushed.note("a", is_flushed=is_it) for is_it in (True, True, False, True)]

    assert found == [True, False, False, True]
    assert "a" in flushed


def test_flushed_tenants_beyond_the_bound_are_forgotten_oldest_first():
    flushed = FlushedTenants()

    for number in range(TENANTS_MAX + 1):
        flushed.note(str(number), is_flushed=True)

    assert len(flushed) == TENANTS_MAX
    assert "0" not in flushed
    assert "1" in flushed


def test_suspects_are_forgotten_in_time():
    """Whether anybody asks for them, or further ones come."""
    suspects = Suspects()
    suspects.add("a", 0)
    suspects.add("b", SUSPECT_NS - 1)

    assert set(suspects.at(SUSPECT_NS - 1)) == {"a", "b"}
    assert set(suspects.at(SUSPECT_NS)) == {"b"}
    suspects.add("c", 3 * SUSPECT_NS)
    assert list(suspects._until_ns) == ["c"]
