"""Targets: what each runs, which settings a cluster needs, who we are in it."""

import pytest

from loki_py.app.member_settings import (
    HEAD_STAGGER_MAX,
    address_of,
    clustered,
    retained,
)
from loki_py.app.targets import Role, roles_of
from loki_py.app.wiring import wire
from loki_py.config.loader import parse_config
from loki_py.errors import ConfigInvalid
from loki_py.querier.store_reader import INDEX_REFRESH_NS
from loki_py.runtime.logs import LogLevel

CLUSTER = (
    "common.ring.kvstore.store=etcd",
    "common.ring.kvstore.etcd.endpoints=['127.0.0.1:1']",
    "common.storage.filesystem.chunks_directory=/tmp/chunks",
    "common.replication_factor=3",
)


def config_of(*assignments, target="all"):
    return parse_config(f"target: {target}", assignments=assignments)


@pytest.mark.parametrize(
    ("target", "roles"),
    [
        ("all", set(Role)),
        ("write", {Role.DISTRIBUTOR, Role.INGESTER}),
        ("read", {Role.QUERIER}),
        ("backend", set()),
        ("ingester", {Role.INGESTER}),
    ],
)
def test_target_runs_its_components(target, roles):
    assert roles_of(config_of(*CLUSTER, target=target)) == roles


@pytest.mark.parametrize(
    ("assignments", "target", "why"),
    [
        ((), "read", "part of a cluster"),
        (("common.replication_factor=3",), "all", "has one replica"),
        (CLUSTER[:2], "all", "object store that all its processes share"),
        ((*CLUSTER, "server.grpc_listen_port=0"), "write", "grpc_listen_port"),
    ],
)
def test_settings_that_can_not_work_are_refused(assignments, target, why):
    with pytest.raises(ConfigInvalid, match=why):
        roles_of(config_of(*assignments, target=target))


@pytest.mark.parametrize(
    ("target", "present", "absent"),
    [
        ("write", {"ingester", "grpc", "replication"}, {"querier"}),
        ("read", {"querier", "ring"}, {"ingester", "grpc", "replication"}),
        ("distributor", {"replication", "ring"}, {"ingester", "data-directory"}),
        ("backend", {"ring"}, {"ingester", "querier", "replication"}),
    ],
)
async def test_services_are_those_of_the_target(tmp_path, target, present, absent):
    config = config_of(*CLUSTER, f"common.path_prefix={tmp_path}", target=target)
    services = set(wire(config, LogLevel()).lifecycle.states)

    assert present <= services
    assert not absent & services


@pytest.mark.parametrize(
    ("assignments", "address"),
    [
        (("server.grpc_listen_address=10.0.0.1",), "10.0.0.1:9095"),
        (("common.instance_addr=10.0.0.2",), "10.0.0.2:9095"),
        (("common.instance_addr='fd00::1'",), "[fd00::1]:9095"),
    ],
)
def test_address_is_where_others_reach_us(assignments, address):
    assert address_of(config_of(*CLUSTER, *assignments)) == address


def test_flushed_data_stays_until_every_querier_has_seen_it():
    """An ingester of a cluster drops nothing that a reader may not know of."""
    kept_ns = retained(config_of(*CLUSTER)).ingester.chunk_retain_ns
    longer = config_of(*CLUSTER, "ingester.chunk_retain_period=1h")

    assert kept_ns > INDEX_REFRESH_NS
    assert retained(longer) is longer


def test_replicas_seal_their_heads_apart():
    """Each at another size, none much below what is configured."""
    config = config_of(*CLUSTER)
    sizes = {clustered(config, f"i-{n}").ingester.head_bytes_max for n in range(8)}
    most = config.ingester.head_bytes_max

    assert len(sizes) == 8
    assert all(most * (1 - HEAD_STAGGER_MAX) <= size <= most for size in sizes)
