"""One process: its components, what it answers over HTTP, what starts when."""

from dataclasses import dataclass
from importlib.metadata import version as version_of
from pathlib import Path

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
from loki_py.app.cluster import terminate
from loki_py.app.components import (
    Common,
    Parts,
    checks_of,
    instance_id_of,
    parts_of,
    services_of,
    sources_of,
)
from loki_py.app.member_settings import clustered
from loki_py.app.membership import Shutdown
from loki_py.app.otlp import exports_of, otlp_grpc_of
from loki_py.app.patterns import pattern_routes_of
from loki_py.app.ring_metrics import count_members
from loki_py.app.ring_views import AloneView
from loki_py.app.security import security_of
from loki_py.app.targets import is_clustered, roles_of
from loki_py.config.schema import Config
from loki_py.logql.parser import parse_form
from loki_py.logql.pretty import pretty
from loki_py.querier.federation import FederatedOverrides
from loki_py.querier.index_service import IndexQuerier
from loki_py.querier.service import Querier
from loki_py.querier.tail import TailMetrics, TailQuerier
from loki_py.ring.desc import InstanceDesc, InstanceState
from loki_py.runtime.certificates import ServerCertificates
from loki_py.runtime.clock import SystemClock
from loki_py.runtime.lifecycle import Lifecycle
from loki_py.runtime.logs import LogLevel
from loki_py.runtime.metrics import RequestMetrics, log_events_counter, new_registry
from loki_py.runtime.overrides import FileOverrides
from loki_py.wire.push import PushDecoder

_WHOLE_RING = (0,)
"""The token of a process alone: it owns everything."""


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
    common = Common(config, clock, registry, overrides)
    parts = parts_of(common, roles)
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
    services = {**security.services, **services_of(common, parts)}
    checks = checks_of(parts)
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


def _routes(common: Common, process: Process, parts: Parts) -> list[Route]:
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


def _query_routes(common: Common, process: Process, parts: Parts) -> list[Route]:
    if parts.reader is None or parts.executor is None:
        return []
    clock, overrides = common.clock, FederatedOverrides(common.overrides)
    sources = sources_of(parts, parts.reader)
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


def _tail_route(common: Common, parts: Parts, context: ApiContext) -> TailRoute | None:
    feed = parts.cluster.feed if parts.cluster else parts.ingester
    if parts.reader is None or parts.executor is None or feed is None:
        return None
    sources = sources_of(parts, parts.reader)
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
    common: Common,
    process: Process,
    parts: Parts,
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
