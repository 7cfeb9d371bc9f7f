"""What every route needs of the process: tenancy, readiness, metrics, clock."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from loki_py.api.access import Access, Guard
from loki_py.api.audit import AuditLog
from loki_py.api.errors import Headers
from loki_py.api.tenants import Tenancy
from loki_py.errors import NotReady
from loki_py.runtime.clock import Clock
from loki_py.runtime.metrics import RequestMetrics

__all__ = ["ApiContext", "Tenancy"]


@dataclass(frozen=True, slots=True)
class ApiContext:
    """Shared by all routes of one server.

    Attributes:
        is_running: whether the components behind the routes serve.
        compress_responses: whether to gzip answers to callers that take it.
        guard: asks who sends a request; None lets everybody do everything.
        audit: is told of every admin call.
        headers: go with every answer of the table.
    """

    tenancy: Tenancy
    clock: Clock
    metrics: RequestMetrics
    is_running: Callable[[], bool]
    compress_responses: bool = True
    guard: Guard | None = None
    audit: AuditLog = field(default_factory=AuditLog)
    headers: Headers = ()

    def tenant_of_push(self, headers: Mapping[bytes, bytes]) -> str:
        """Return the tenant of a request that writes.

        Raises: AccessDenied, TenantInvalid.
        """
        org_id = headers.get(b"x-scope-orgid", b"").decode("latin-1")
        if self.guard is None:
            return self.tenancy.tenant_of(org_id)
        authorization = headers.get(b"authorization", b"").decode("latin-1")
        return self.guard.admit(authorization, org_id, Access.WRITE, has_tenant=True)[1]

    def check_running(self) -> None:
        """Raise NotReady while the process starts or stops."""
        if not self.is_running():
            raise NotReady("the server is starting or stopping")
