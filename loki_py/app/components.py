"""The components of one process: constructed, told of each other, not started.

Nowhere else are distributor, ingester and querier constructed.
"""

import asyncio
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry

from loki_py.app.cluster import Cluster
from loki_py.app.data_lock import DataLock
from loki_py.app.machine import memory_bytes, with_bounded_heads
from loki_py.app.patterns import PatternParts, pattern_parts_of
from loki_py.app.stores import WiredStore, store_of
from loki_py.app.targets import Role, is_clustered
from loki_py.config.schema import Config
from loki_py.distributor.metrics import DistributorMetrics
from loki_py.distributor.service import Distributor
from loki_py.ingester.metrics import IngesterMetrics
from loki_py.ingester.service import Ingester, IngesterSettings
from loki_py.patterns.followed import FollowedIngester
from loki_py.querier.executor import QueryExecutor
from loki_py.querier.federation import FederatedSources
from loki_py.querier.sources import Sources
from loki_py.querier.store_reader import StoreReader
from loki_py.runtime.clock import Clock
from loki_py.runtime.lifecycle import ReadinessCheck, Service
from loki_py.runtime.overrides import FileOverrides
from loki_py.storage.abc import ObjectStore
from loki_py.transport.abc import EntrySink

_NOT_IN_IDS = re.compile(r"[^a-z0-9-]+")


@dataclass(slots=True)
class Closing:
    """What needs no start, and is closed at the end in the order given."""

    close: tuple[Callable[[], None], ...]

    async def start(self) -> None:
        """Do nothing: construction was the start."""

    async def stop(self) -> None:
        """Close everything; what is closed may wait for the event loop."""
        for close in self.close:
            await asyncio.to_thread(close)


@dataclass(frozen=True, slots=True)
class Common:
    """What every service is given."""

    config: Config
    clock: Clock
    registry: CollectorRegistry
    overrides: FileOverrides


@dataclass(frozen=True, slots=True)
class Parts:
    """The components of this process; None for those that it does not run."""

    roles: frozenset[Role]
    store: WiredStore
    ingester: Ingester | None
    served: FollowedIngester | None
    cluster: Cluster | None
    patterns: PatternParts | None
    distributor: Distributor | None
    reader: StoreReader | None
    executor: QueryExecutor | None

    async def flush(self) -> None:
        """Flush the ingester, and store its patterns."""
        assert self.served is not None
        await self.served.flush()


def parts_of(common: Common, roles: frozenset[Role]) -> Parts:
    """Return the components that the roles want."""
    config, clock = common.config, common.clock
    store = store_of(config, clock, common.registry)
    has_ingester, has_querier = Role.INGESTER in roles, Role.QUERIER in roles
    ingester = _ingester(common, store.store) if has_ingester else None
    instance_id = instance_id_of(config.common.instance_id)
    patterns = pattern_parts_of(
        config,
        clock,
        store.reads,
        instance_id,
        common.registry,
        has_ingester=has_ingester,
    )
    served = None
    if ingester is not None:
        served = FollowedIngester(ingester, patterns.service if patterns else None)
    cluster = None
    if is_clustered(config):
        cluster = Cluster(config, instance_id, clock, common.registry, ingester, served)
    reader = StoreReader(store.reads, clock) if has_querier else None
    if ingester is not None and reader is not None:
        ingester.on_flushed(reader.index_added)
    executor = None
    if has_querier:
        executor = QueryExecutor(
            threads_count=config.querier.threads_count,
            concurrent_max=config.querier.concurrent_max,
            outstanding_max=config.frontend.outstanding_max,
        )
    return Parts(
        roles,
        store,
        ingester,
        served,
        cluster,
        patterns,
        _distributor(common, roles, served if patterns else ingester, cluster),
        reader,
        executor,
    )


def services_of(common: Common, parts: Parts) -> dict[str, Service]:
    """Return what is started, in this order, and stopped in reverse."""
    services: dict[str, Service] = {}
    if parts.ingester is not None:
        services["data-directory"] = DataLock(Path(common.config.common.path_prefix))
    services["runtime-config"] = common.overrides
    services["store"] = parts.store
    if parts.patterns is not None:
        services["patterns"] = parts.patterns
    if parts.cluster is not None:
        services |= parts.cluster.services_before()
    if parts.ingester is not None:
        services["ingester"] = parts.ingester
    if parts.cluster is not None:
        limiter = parts.distributor.rate_limiter if parts.distributor else None
        services |= parts.cluster.services_after(parts.roles, limiter)
    if parts.executor is not None and parts.reader is not None:
        services["querier"] = Closing((parts.executor.close, parts.reader.close))
    return services


def checks_of(parts: Parts) -> list[ReadinessCheck]:
    """Return what must be well, beside every service running, to be ready."""
    checks: list[ReadinessCheck] = []
    if parts.ingester is not None:
        checks.append(parts.ingester.reason_not_ready)
    if parts.cluster is not None:
        checks += parts.cluster.checks
    return checks


def sources_of(parts: Parts, reader: StoreReader) -> Sources:
    """Return where queries find entries: the cluster's ingesters, or our own."""
    if parts.cluster is not None:
        source = parts.cluster.source
        return FederatedSources([source], reader, source.suspect)
    assert parts.ingester is not None
    return FederatedSources([parts.ingester], reader)


def instance_id_of(configured: str) -> str:
    """Return the configured id, or one made from the name of the machine."""
    name = configured or socket.gethostname()
    return _NOT_IN_IDS.sub("-", name.lower()).strip("-") or "ingester"


def _distributor(
    common: Common,
    roles: frozenset[Role],
    ingester: EntrySink | None,
    cluster: Cluster | None,
) -> Distributor | None:
    """Return the distributor; alone with its ingester it calls it directly."""
    if Role.DISTRIBUTOR not in roles:
        return None
    sink = ingester if cluster is None else cluster.sink
    assert sink is not None
    return Distributor(
        sink,
        overrides=common.overrides,
        clock=common.clock,
        metrics=DistributorMetrics(common.registry),
    )


def _ingester(common: Common, store: ObjectStore) -> Ingester:
    config = common.config
    wal_folder = Path(config.wal_directory)
    settings = IngesterSettings(
        instance_id=instance_id_of(config.common.instance_id),
        config=with_bounded_heads(config.ingester, memory_bytes()),
        wal_folder=wal_folder,
        block_folder=Path(config.block_directory),
        flush_folder=Path(config.common.path_prefix) / "flush",
    )
    return Ingester(
        settings,
        store=store,
        overrides=common.overrides,
        clock=common.clock,
        metrics=IngesterMetrics(common.registry),
    )
