"""How many of several replicas must answer."""


def quorum_of(replica_count: int) -> int:
    """Return the smallest majority."""
    assert replica_count >= 1
    return replica_count // 2 + 1


def acks_needed(*, chosen_count: int, replication_factor: int) -> int:
    """Return how many of the chosen instances must have stored an entry.

    Instances that should have been chosen but are not there count as if they
    were, so that a write never means less because instances are missing.
    """
    return quorum_of(max(chosen_count, replication_factor))


def lost_domains_max(replication_factor: int) -> int:
    """Return how many instances (or zones) a read may do without.

    An acknowledged entry lies in a quorum of different ones, wherever the ring
    pointed when it was written. One fewer than a quorum lost leaves one.
    """
    return quorum_of(replication_factor) - 1
