"""The only place that constructs services and tells them of each other."""

import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version as version_of
from pathlib import Path

from prometheus_client import CollectorRegistry

from loki_py.api.admin import AdminRoutes, Process
from loki_py.api.bodies import BytesInFlight
from loki_py.api.context import ApiContext, Tenancy
from loki_py.api.index import IndexRoutes
from loki_py.api.otlp import OTLP_ROUTES, OtlpRoute
from loki_py.api.patterns import PatternRoutes
from loki_py.api.push import PUSH_ROUTES, PushCaps, PushRoute
from loki_py.api.query import QueryRoutes
from loki_py.api.routes import Route, index_routes, routes_of
from loki_py.api.server import AsgiApp, new_server
from loki_py.app.data_lock import DataLock
from loki_py.app.stores import store_of
from loki_py.config.schema import Config
from loki_py.distributor.metrics import DistributorMetrics
from loki_py.distributor.service import Distributor
from loki_py.errors import ConfigInvalid
from loki_py.ingester.metrics import IngesterMetrics
from loki_py.ingester.service import Ingester, IngesterSettings
from loki_py.logql.parser import parse_form
from loki_py.logql.pretty import pretty
from loki_py.patterns.service import FollowedIngester, PatternService
from loki_py.querier.executor import QueryExecutor
from loki_py.querier.index_service import IndexQuerier
from loki_py.querier.service import Querier
from loki_py.querier.sources import Sources
from loki_py.querier.store_reader import StoreReader
from loki_py.runtime.clock import Clock, SystemClock
from loki_py.runtime.lifecycle import Lifecycle, Service
from loki_py.runtime.logs import LogLevel
from loki_py.runtime.metrics import RequestMetrics, new_registry
from loki_py.runtime.overrides import FileOverrides
from loki_py.storage.abc import ObjectStore
from loki_py.transport.abc import IngesterClient
from loki_py.wire.otlp import OtlpDecoder
from loki_py.wire.push import PushDecoder

TARGETS = ("all",)
_NOT_IN_IDS = re.compile(r"[^a-z0-9-]+")


@dataclass(frozen=True, slots=True)
class Wired:
    """A process that is ready to be started."""

    app: AsgiApp
    lifecycle: Lifecycle


@dataclass(slots=True)
class Closing:
    """What needs no start, and is closed at the end in the order given."""

    close: tuple[Callable[[], None], ...]

    async def start(self) -> None:
        """Do nothing: construction was the start."""

    async def stop(self) -> None:
        """Close everything."""
        for close in self.close:
            close()


@dataclass(frozen=True, slots=True)
class _Common:
    """What every service is given."""

    config: Config
    clock: Clock
    registry: CollectorRegistry
    overrides: FileOverrides


def wire(config: Config, log_level: LogLevel) -> Wired:
    """Return the services of the configured target, none of them started.

    Raises: ConfigInvalid where the target is unknown.
    """
    if config.target not in TARGETS:
        raise ConfigInvalid(
            f"unknown target {config.target!r}; it is one of {', '.join(TARGETS)}"
        )
    version = version_of("loki-py")
    registry = new_registry(version)
    clock = SystemClock()
    overrides = FileOverrides(
        [Path(path) for path in config.runtime.file.split(",") if path],
        config.limits,
        period_ns=config.runtime.period_ns,
        registry=registry,
    )
    common = _Common(config, clock, registry, overrides)
    wired = store_of(config, clock, registry)
    ingester = _ingester(common, wired.store)
    reader = StoreReader(wired.reads, clock)
    ingester.on_flushed(reader.index_added)
    executor = QueryExecutor(
        threads_count=config.querier.threads_count,
        concurrent_max=config.querier.concurrent_max,
        outstanding_max=config.frontend.outstanding_max,
    )
    services: dict[str, Service] = {
        "data-directory": DataLock(Path(config.common.path_prefix)),
        "runtime-config": overrides,
        "store": wired,
        "ingester": ingester,
        "querier": Closing((executor.close, reader.close)),
    }
    patterns = None
    followed: IngesterClient = ingester
    if config.pattern_ingester.enabled:
        services["patterns"] = patterns = PatternService(clock)
        followed = FollowedIngester(ingester, patterns)
    lifecycle = Lifecycle(services, [ingester.reason_not_ready])
    process = Process(
        config, version, registry, lifecycle, log_level, overrides, ingester.flush
    )
    sources = Sources([ingester], reader)
    routes = _routes(common, process, sources, executor, patterns)
    return Wired(_http(common, process, routes, followed), lifecycle)


def _routes(
    common: _Common,
    process: Process,
    sources: Sources,
    executor: QueryExecutor,
    patterns: PatternService | None,
) -> list[Route]:
    clock, overrides = common.clock, common.overrides
    querier = Querier(sources, executor, overrides, clock)
    index = IndexQuerier(querier, sources, executor, overrides, clock)
    return [
        *routes_of(
            QueryRoutes(querier, clock, lambda text: pretty(parse_form(text))),
            AdminRoutes(process),
        ),
        *index_routes(
            IndexRoutes(index, overrides, clock, process.version, patterns is not None),
            PatternRoutes(patterns, clock),
        ),
    ]


def _http(
    common: _Common, process: Process, routes: Sequence[Route], ingester: IngesterClient
) -> AsgiApp:
    """Return the HTTP side over the services."""
    config = common.config
    context = ApiContext(
        Tenancy(config.auth_enabled, config.no_auth_tenant),
        common.clock,
        RequestMetrics(common.registry),
        lambda: process.lifecycle.is_running,
        config.frontend.compress_responses,
    )
    distributor = Distributor(
        ingester,
        overrides=common.overrides,
        clock=common.clock,
        metrics=DistributorMetrics(common.registry),
    )
    caps = PushCaps(
        config.distributor.body_bytes_max,
        config.distributor.decoded_bytes_max,
        BytesInFlight(config.distributor.inflight_bytes_max),
    )
    push = PushRoute(PushDecoder(), distributor, context, caps)
    otlp = OtlpRoute(OtlpDecoder(), distributor, common.overrides, context, caps)
    pushes: dict[str, AsgiApp] = {
        **dict.fromkeys(PUSH_ROUTES, push),
        **dict.fromkeys(OTLP_ROUTES, otlp),
    }
    return new_server(routes, pushes, context, version=process.version)


def _ingester(common: _Common, store: ObjectStore) -> Ingester:
    config = common.config
    wal_folder = Path(config.wal_directory)
    settings = IngesterSettings(
        instance_id=instance_id_of(config.common.instance_id),
        config=config.ingester,
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
