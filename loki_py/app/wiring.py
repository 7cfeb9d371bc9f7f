"""The only place that constructs services and tells them of each other."""

import asyncio
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version as version_of
from pathlib import Path

from prometheus_client import CollectorRegistry

from loki_py.api.admin import AdminRoutes, Process
from loki_py.api.context import ApiContext, Tenancy
from loki_py.api.index import IndexRoutes
from loki_py.api.otlp import OTLP_ROUTES, OtlpAcceptor, OtlpRoute
from loki_py.api.push import PUSH_ROUTES, PushRoute
from loki_py.api.query import QueryRoutes
from loki_py.api.ring_routes import RingRoutes, ShutdownRoutes
from loki_py.api.routes import (
    Route,
    admin_routes,
    apart,
    index_routes,
    ingester_routes,
    query_routes,
    ring_routes,
)
from loki_py.api.server import AsgiApp, new_server
from loki_py.api.tail import TAIL_ROUTES, TailRoute
from loki_py.app.cluster import AloneView, Cluster, clustered, terminate
from loki_py.app.data_lock import DataLock
from loki_py.app.machine import memory_bytes, with_bounded_heads
from loki_py.app.membership import Shutdown
from loki_py.app.otlp import exports_of, otlp_grpc_of
from loki_py.app.patterns import PatternParts, pattern_parts_of, pattern_routes_of
from loki_py.app.ring_metrics import count_members
from loki_py.app.security import security_of
from loki_py.app.stores import WiredStore, store_of
from loki_py.app.targets import Role, is_clustered, roles_of
from loki_py.config.schema import Config
from loki_py.distributor.metrics import DistributorMetrics
from loki_py.distributor.service import Distributor
from loki_py.ingester.metrics import IngesterMetrics
from loki_py.ingester.service import Ingester, IngesterSettings
from loki_py.logql.parser import parse_form
from loki_py.logql.pretty import pretty
from loki_py.patterns.followed import FollowedIngester
from loki_py.querier.executor import QueryExecutor
from loki_py.querier.federation import FederatedOverrides, FederatedSources
from loki_py.querier.index_service import IndexQuerier
from loki_py.querier.service import Querier
from loki_py.querier.sources import Sources
from loki_py.querier.store_reader import StoreReader
from loki_py.querier.tail import TailMetrics, TailQuerier
from loki_py.ring.desc import InstanceDesc, InstanceState
from loki_py.runtime.certificates import ServerCertificates
from loki_py.runtime.clock import Clock, SystemClock
from loki_py.runtime.lifecycle import Lifecycle, ReadinessCheck, Service
from loki_py.runtime.logs import LogLevel
from loki_py.runtime.metrics import RequestMetrics, log_events_counter, new_registry
from loki_py.runtime.overrides import FileOverrides
from loki_py.storage.abc import ObjectStore
from loki_py.transport.abc import EntrySink
from loki_py.wire.push import PushDecoder

_WHOLE_RING = (0,)
"""The token of a process alone: it owns everything."""

_NOT_IN_IDS = re.compile(r"[^a-z0-9-]+")


@dataclass(frozen=True, slots=True)
class Wired:
    """A process that is ready to be started.

    Attributes:
        certificates: of the HTTP side, None without TLS.
        admin_app: what a second listener serves, None without one.
    """

    app: AsgiApp
    lifecycle: Lifecycle
    certificates: ServerCertificates | None = None
    admin_app: AsgiApp | None = None


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
class _Common:
    """What every service is given."""

    config: Config
    clock: Clock
    registry: CollectorRegistry
    overrides: FileOverrides


def wire(config: Config, log_level: LogLevel) -> Wired:
    """Return the services of the configured target, none of them started.

    Raises: ConfigInvalid where the target is unknown, or a setting does not fit
    it.
    """
    roles = roles_of(config)
    if is_clustered(config):
        config = clustered(config, instance_id_of(config.common.instance_id))
    version = version_of("loki-py")
    registry = new_registry(version)
    log_level.count = log_events_counter(registry)
    clock = SystemClock()
    overrides = FileOverrides(
        [Path(path) for path in config.runtime.file.split(",") if path],
        config.limits,
        period_ns=config.runtime.period_ns,
        registry=registry,
    )
    common = _Common(config, clock, registry, overrides)
    parts = _parts_of(common, roles)
    several = config.querier.takes_several_tenants
    tenancy = Tenancy(config.auth_enabled, config.no_auth_tenant, several)
    security = security_of(config, tenancy, clock, registry)
    context = ApiContext(
        tenancy,
        clock,
        RequestMetrics(registry),
        lambda: lifecycle.is_running,
        config.frontend.compress_responses,
        security.guard,
        security.audit,
        security.headers,
    )
    services = {**security.services, **_services_of(common, parts)}
    checks = _checks_of(parts)
    exports = None
    if parts.distributor is not None:
        exports = exports_of(config, parts.distributor, overrides, context)
        otlp_grpc = otlp_grpc_of(config, exports, security.certificates)
        if otlp_grpc is not None:
            services["otlp-grpc"] = otlp_grpc
            checks.append(otlp_grpc.reason_not_ready)
    lifecycle = Lifecycle(services, checks)
    process = Process(
        config, version, registry, lifecycle, log_level, overrides, parts.flush
    )
    app, admin_app = _http(common, process, parts, context, exports)
    return Wired(app, lifecycle, security.certificates, admin_app)


@dataclass(frozen=True, slots=True)
class _Parts:
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


def _parts_of(common: _Common, roles: frozenset[Role]) -> _Parts:
    config, clock = common.config, common.clock
    store = store_of(config, clock, common.registry)
    has_ingester, has_querier = Role.INGESTER in roles, Role.QUERIER in roles
    ingester = _ingester(common, store.store) if has_ingester else None
    instance_id = instance_id_of(config.common.instance_id)
    patterns = pattern_parts_of(
        config, clock, store.reads, instance_id, has_ingester=has_ingester
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
    return _Parts(
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


def _distributor(
    common: _Common,
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


def _services_of(common: _Common, parts: _Parts) -> dict[str, Service]:
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


def _checks_of(parts: _Parts) -> list[ReadinessCheck]:
    checks: list[ReadinessCheck] = []
    if parts.ingester is not None:
        checks.append(parts.ingester.reason_not_ready)
    if parts.cluster is not None:
        checks += parts.cluster.checks
    return checks


def _routes(common: _Common, process: Process, parts: _Parts) -> list[Route]:
    admin = AdminRoutes(process)
    config = common.config
    own = InstanceDesc(
        instance_id_of(config.common.instance_id),
        f"{config.server.http_listen_address}:{config.server.http_listen_port}",
        InstanceState.ACTIVE,
        tokens=_WHOLE_RING,
        registered_ns=common.clock.now_ns(),
    )
    alone = dict.fromkeys(("ingester", "distributor"), AloneView(own))
    views = parts.cluster.rings if parts.cluster else alone
    heartbeat_ns = config.common.ring.heartbeat_timeout_ns
    count_members(common.registry, views, heartbeat_ns_max=heartbeat_ns)
    rings = RingRoutes(views, common.clock, heartbeat_ns)
    routes = [*admin_routes(admin), *ring_routes(rings)]
    if parts.ingester is not None:
        membership = parts.cluster.membership if parts.cluster else None
        shutdown = Shutdown(membership, parts.ingester, terminate)
        routes += ingester_routes(admin, ShutdownRoutes(shutdown))
    return [*routes, *_query_routes(common, process, parts)]


def _query_routes(common: _Common, process: Process, parts: _Parts) -> list[Route]:
    if parts.reader is None or parts.executor is None:
        return []
    clock, overrides = common.clock, FederatedOverrides(common.overrides)
    sources = _sources_of(parts, parts.reader)
    querier = Querier(sources, parts.executor, overrides, clock)
    index = IndexQuerier(querier, sources, parts.executor, overrides, clock)
    has_patterns = parts.patterns is not None
    return [
        *query_routes(
            QueryRoutes(querier, clock, lambda text: pretty(parse_form(text)))
        ),
        *index_routes(
            IndexRoutes(index, overrides, clock, process.version, has_patterns),
            pattern_routes_of(parts.patterns, parts.cluster, parts.served, clock),
        ),
    ]


def _sources_of(parts: _Parts, reader: StoreReader) -> Sources:
    if parts.cluster is not None:
        source = parts.cluster.source
        return FederatedSources([source], reader, source.suspect)
    assert parts.ingester is not None
    return FederatedSources([parts.ingester], reader)


def _tail_route(
    common: _Common, parts: _Parts, context: ApiContext
) -> TailRoute | None:
    feed = parts.cluster.feed if parts.cluster else parts.ingester
    if parts.reader is None or parts.executor is None or feed is None:
        return None
    sources = _sources_of(parts, parts.reader)
    tails = TailQuerier(
        feed,
        Querier(sources, parts.executor, common.overrides, common.clock),
        parts.executor,
        common.overrides,
        common.clock,
        TailMetrics(common.registry),
        common.config.querier.tail_ns_max,
    )
    return TailRoute(tails, context)


def _http(
    common: _Common,
    process: Process,
    parts: _Parts,
    context: ApiContext,
    exports: OtlpAcceptor | None,
) -> tuple[AsgiApp, AsgiApp | None]:
    """Return the HTTP side over the services, and what a second listener serves."""
    config = common.config
    routes = _routes(common, process, parts)
    tail = _tail_route(common, parts, context)
    if tail is not None:
        routes += tail.routes()
    pushes: dict[str, AsgiApp] = {}
    if parts.distributor is not None and exports is not None:
        push = PushRoute(PushDecoder(), exports.pusher, context, exports.caps)
        otlp = OtlpRoute(exports)
        pushes = {
            **dict.fromkeys(PUSH_ROUTES, push),
            **dict.fromkeys(OTLP_ROUTES, otlp),
        }
    admin_app = None
    if config.server.admin_listen_address:
        routes, of_process = apart(routes)
        admin_app = new_server(of_process, {}, context, version=process.version)
    app = new_server(
        routes,
        pushes,
        context,
        version=process.version,
        sockets={} if tail is None else dict.fromkeys(TAIL_ROUTES, tail),
    )
    return app, admin_app


def _ingester(common: _Common, store: ObjectStore) -> Ingester:
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


def instance_id_of(configured: str) -> str:
    """Return the configured id, or one made from the name of the machine."""
    name = configured or socket.gethostname()
    return _NOT_IN_IDS.sub("-", name.lower()).strip("-") or "ingester"
