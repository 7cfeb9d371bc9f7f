"""The way through to a route: who asks, whether they may, and what is kept of it."""

from collections.abc import Mapping

from starlette.requests import HTTPConnection

from loki_py.api.access import NOBODY, Access, Principal, is_cross_site
from loki_py.api.audit import AdminCall
from loki_py.api.context import ApiContext
from loki_py.api.routes import Route
from loki_py.errors import AccessDenied

REFUSED = {401, 403}


def admit(
    route: Route, method: str, headers: Mapping[str, str], context: ApiContext
) -> tuple[Principal, str]:
    """Return who asks, and the tenant, "" on routes that have none.

    Raises: AccessDenied, TenantInvalid.
    """
    if route.access is Access.ADMIN and is_cross_site(method, headers):
        raise AccessDenied("a page of another site may not ask for this")
    org_id = headers.get("x-scope-orgid", "")
    if context.guard is not None:
        return context.guard.admit(
            headers.get("authorization", ""),
            org_id,
            route.access,
            has_tenant=route.has_tenant,
            several=route.takes_several,
        )
    if not route.has_tenant:
        return NOBODY, ""
    tenant = context.tenancy.tenant_of(org_id, several=route.takes_several)
    return NOBODY, tenant


def tell(
    route: Route,
    asked: HTTPConnection,
    context: ApiContext,
    *,
    caller: tuple[Principal, str],
    status: int,
) -> None:
    """Tell the audit log where it wants to know."""
    is_refused = context.guard is not None and status in REFUSED
    if route.access is not Access.ADMIN and not is_refused:
        return
    principal, tenant = caller
    call = AdminCall(
        who=principal.name,
        client=asked.client.host if asked.client else "",
        method=asked.scope["method"],
        route=route.name,
        query=asked.url.query,
        tenant=tenant,
        status=status,
    )
    if is_refused:
        context.audit.note_refused(call)
    else:
        context.audit.note(call)
