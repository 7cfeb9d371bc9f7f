"""What every route needs of the process: tenancy, readiness, metrics, clock."""

from collections.abc import Callable
from dataclasses import dataclass, field

from loki_py.api.tenants import parse_tenant
from loki_py.errors import NotReady
from loki_py.runtime.clock import Clock
from loki_py.runtime.metrics import RequestMetrics

TENANTS_KEPT_MAX = 10_000
"""Headers whose tenant is remembered; beyond, they are parsed every time."""


@dataclass(slots=True)
class Tenancy:
    """Who a request is for.

    Attributes:
        enabled: with tenancy off, the header is ignored.
    """

    enabled: bool
    no_auth_tenant: str = "fake"
    _known: dict[str, str] = field(default_factory=dict)

    def tenant_of(self, header: str) -> str:
        """Return the tenant; `header` is "" where the request has none.

        Raises: TenantInvalid.
        """
        if not self.enabled:
            return self.no_auth_tenant
        tenant = self._known.get(header)
        if tenant is None:
            tenant = parse_tenant(header)
            if len(self._known) < TENANTS_KEPT_MAX:
                self._known[header] = tenant
        return tenant


@dataclass(frozen=True, slots=True)
class ApiContext:
    """Shared by all routes of one server.

    Attributes:
        is_running: whether the components behind the routes serve.
        compress_responses: whether to gzip answers to callers that take it.
    """

    tenancy: Tenancy
    clock: Clock
    metrics: RequestMetrics
    is_running: Callable[[], bool]
    compress_responses: bool = True

    def check_running(self) -> None:
        """Raise NotReady while the process starts or stops."""
        if not self.is_running():
            raise NotReady("the server is starting or stopping")
