"""The settings of one of several instances: what follows from there being others."""

import socket
import zlib

from loki_py.config.schema import Config
from loki_py.querier.store_reader import INDEX_REFRESH_NS
from loki_py.transport.grpc_names import host_port

INDEX_MARGIN_NS = 5_000_000_000
"""Between the moment at which every querier must know of a flush, and the one
at which the ingester counts on it."""

HEAD_STAGGER_MAX = 0.3
"""By which part at most the heads of an instance are smaller than configured."""

_WILDCARDS = {"", "0.0.0.0", "::"}  # noqa: S104  # compared with, not bound to


def address_of(config: Config) -> str:
    """Return where other processes reach our gRPC."""
    host = config.common.instance_addr
    if not host:
        host = config.server.grpc_listen_address
        if host in _WILDCARDS:
            host = socket.gethostbyname(socket.gethostname())
    return host_port(host, config.server.grpc_listen_port)


def clustered(config: Config, instance_id: str) -> Config:
    """Return the settings of one of several instances."""
    return staggered(retained(config), instance_id)


def retained(config: Config) -> Config:
    """Return settings under which no querier misses what was just flushed.

    An ingester of a cluster keeps what it flushed until every querier must have
    listed the index again.
    """
    least_ns = INDEX_REFRESH_NS + INDEX_MARGIN_NS
    if config.ingester.chunk_retain_ns >= least_ns:
        return config
    ingester = config.ingester.model_copy(update={"chunk_retain_ns": least_ns})
    return config.model_copy(update={"ingester": ingester})


def staggered(config: Config, instance_id: str) -> Config:
    """Return settings under which replicas do not seal their heads all at once.

    They get the same pushes, so heads of one size would be full at one moment,
    and no quorum would be without a busy disk. An instance's heads are smaller, and
    sealed sooner, by a part that its name decides.
    """
    share = 1 - HEAD_STAGGER_MAX * (zlib.crc32(instance_id.encode()) % 1_000) / 1_000
    settings = config.ingester
    changes = {
        "head_bytes_max": int(settings.head_bytes_max * share),
        "head_age_ns_max": int(settings.head_age_ns_max * share),
    }
    ingester = settings.model_copy(update=changes)
    return config.model_copy(update={"ingester": ingester})
