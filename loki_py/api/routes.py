"""The one table of routes."""

from collections.abc import Sequence
from dataclasses import dataclass

from loki_py.api.access import Access, access_of
from loki_py.api.admin import AdminRoutes
from loki_py.api.answers import AnswerRequest
from loki_py.api.index import IndexRoutes
from loki_py.api.legacy import LEGACY_PREFIX
from loki_py.api.patterns import PatternRoutes
from loki_py.api.query import QueryRoutes
from loki_py.api.ring_routes import RingRoutes, ShutdownRoutes

GET = ("GET",)
GET_POST = ("GET", "POST")
_OF_ONE_TENANT = {"drilldown-limits", "patterns"}
_IN_NAMES = str.maketrans({"/": "_", "-": "_", "{": "", "}": ""})


@dataclass(frozen=True, slots=True)
class Route:
    """One path and who answers it.

    Attributes:
        name: the route's name in metrics.
        has_tenant: whether the request is about a tenant.
        takes_several: whether it may be about several, where that is turned on.
        is_cancelled: whether its work ends when the client goes away.
        while_starting: whether it answers before every service runs.
    """

    path: str
    methods: tuple[str, ...]
    answer: AnswerRequest
    name: str
    has_tenant: bool = True
    takes_several: bool = False
    is_cancelled: bool = True
    while_starting: bool = False

    @property
    def access(self) -> Access:
        """What it asks of its caller."""
        return access_of(self.path, has_tenant=self.has_tenant)


def admin_routes(admin: AdminRoutes) -> list[Route]:
    """Return the routes that every process has."""
    return [
        *_admin_routes(admin),
        Route(
            "/config/tenant/v1/limits",
            GET,
            admin.tenant_limits,
            "config_tenant_v1_limits",
        ),
    ]


def ring_routes(rings: RingRoutes) -> list[Route]:
    """Return the routes about who is in the cluster."""
    return _process_routes(
        ("/ring", GET_POST, rings.ingesters),
        ("/distributor/ring", GET_POST, rings.distributors),
        while_starting=True,
    )


def ingester_routes(admin: AdminRoutes, shutdown: ShutdownRoutes) -> list[Route]:
    """Return the routes of a process that keeps entries."""
    return _process_routes(
        ("/flush", GET_POST, admin.flush),
        ("/ingester/shutdown", GET_POST, shutdown.shut_down),
        ("/ingester/prepare_shutdown", (*GET_POST, "DELETE"), shutdown.prepare),
    )


def query_routes(queries: QueryRoutes) -> list[Route]:
    """Return the routes that ask for entries, labels and series."""
    return _log_routes(
        ("query_range", queries.query_range),
        ("query", queries.query),
        ("labels", queries.labels),
        ("label", queries.labels),
        ("label/{name}/values", queries.label_values),
        ("series", queries.series),
        ("format_query", queries.format_query),
    ) + _log_routes(
        ("query", queries.legacy_query),
        ("label", queries.labels),
        ("label/{name}/values", queries.label_values),
        ("series", queries.series),
        prefix=LEGACY_PREFIX,
    )


def index_routes(index: IndexRoutes, patterns: PatternRoutes) -> list[Route]:
    """Return the routes about what there is."""
    return _log_routes(
        ("index/stats", index.stats),
        ("index/volume", index.volume),
        ("index/volume_range", index.volume_range),
        ("index/shards", index.shards),
        ("detected_labels", index.detected_labels),
        ("detected_fields", index.detected_fields),
        ("detected_field/{name}/values", index.detected_field_values),
        ("drilldown-limits", index.drilldown_limits),
        ("patterns", patterns.select),
    )


def _log_routes(
    *table: tuple[str, AnswerRequest], prefix: str = "/loki/api/v1/"
) -> list[Route]:
    return [
        Route(
            prefix + path,
            GET_POST,
            answer,
            _named(f"{prefix}{path}".strip("/")),
            takes_several=path not in _OF_ONE_TENANT,
        )
        for path, answer in table
    ]


def _admin_routes(admin: AdminRoutes) -> list[Route]:
    return _process_routes(
        ("/ready", GET, admin.ready),
        ("/metrics", GET, admin.metrics),
        ("/services", GET, admin.services),
        ("/config", GET, admin.config),
        ("/runtime_config", GET, admin.runtime_config),
        ("/log_level", GET_POST, admin.log_level),
        ("/loki/api/v1/status/buildinfo", GET, admin.build_info),
        while_starting=True,
    )


def _process_routes(
    *table: tuple[str, tuple[str, ...], AnswerRequest], while_starting: bool = False
) -> list[Route]:
    return [
        Route(
            path,
            methods,
            answer,
            _named(path.strip("/")),
            has_tenant=False,
            is_cancelled=False,
            while_starting=while_starting,
        )
        for path, methods, answer in table
    ]


def apart(routes: Sequence[Route]) -> tuple[list[Route], list[Route]]:
    """Return the routes about logs, and those about the process.

    What everybody may ask, as `/ready`, is among both.
    """
    for_all = {Access.OPEN, Access.KNOWN}
    return (
        [each for each in routes if each.has_tenant or each.access in for_all],
        [each for each in routes if not each.has_tenant],
    )


def _named(path: str) -> str:
    return path.translate(_IN_NAMES)
