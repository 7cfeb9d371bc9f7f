"""Which components a process runs, by the name of its target."""

from enum import Enum

from loki_py.config.schema import Config
from loki_py.errors import ConfigInvalid
from loki_py.runtime.logs import logger_of

_log = logger_of("targets")


class Role(Enum):
    """A component of the process."""

    DISTRIBUTOR = "distributor"
    INGESTER = "ingester"
    QUERIER = "querier"


_EVERYTHING = frozenset(Role)

TARGETS = {
    "all": _EVERYTHING,
    "write": frozenset({Role.DISTRIBUTOR, Role.INGESTER}),
    "read": frozenset({Role.QUERIER}),
    # Takes part in no ring and runs no component: nothing here works on flushed data
    # alone. It starts, so that deployments which have such processes do.
    "backend": frozenset(),
    **{role.value: frozenset({role}) for role in Role},
}


def is_clustered(config: Config) -> bool:
    """Return whether other processes take part."""
    return config.common.ring.kvstore.store != "inmemory"


def roles_of(config: Config) -> frozenset[Role]:
    """Return what this process runs.

    Raises: ConfigInvalid where the target is unknown, or the settings can not
    be those of a working process.
    """
    roles = TARGETS.get(config.target)
    if roles is None:
        raise ConfigInvalid(
            f"unknown target {config.target!r}; it is one of {', '.join(TARGETS)}"
        )
    if is_clustered(config):
        _check_cluster(config)
        if not roles:
            _log.warning("this target runs no component", target=config.target)
        return roles
    if config.target != "all":
        raise ConfigInvalid(
            f"target {config.target!r} is a part of a cluster; set "
            "common.ring.kvstore.store to etcd"
        )
    if config.common.replication_factor > 1:
        raise ConfigInvalid(
            f"common.replication_factor is {config.common.replication_factor}; one "
            "process without common.ring.kvstore.store: etcd has one replica"
        )
    return roles


def _check_cluster(config: Config) -> None:
    storage = config.common.storage
    if not storage.s3.bucket and not storage.filesystem.chunks_directory:
        raise ConfigInvalid(
            "a cluster needs an object store that all its processes share: set "
            "common.storage.s3, or common.storage.filesystem.chunks_directory to a "
            "directory that all of them have"
        )
    if not config.server.grpc_listen_port:
        raise ConfigInvalid("a cluster needs a server.grpc_listen_port")
