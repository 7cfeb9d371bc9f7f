"""The OpenAPI description, made from the routes that are served.

Pure: routes in, a document out. What a route does is the first line of its
handler's docstring, what it takes is in `api.parameters`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from loki_py.api.access import Access
from loki_py.api.otlp import OTLP_ROUTES
from loki_py.api.parameters import PARAMETERS, Parameter
from loki_py.api.push import PUSH_ROUTES
from loki_py.api.routes import Route

JSON, TEXT, HTML = "application/json", "text/plain", "text/html"
OCTETS = "application/octet-stream"
FORM = "application/x-www-form-urlencoded"

_TEXTS = {
    "/ready", "/metrics", "/services", "/config", "/runtime_config",
    "/config/tenant/v1/limits", "/ingester/prepare_shutdown",
}  # fmt: skip
_QUERIES = {"/loki/api/v1/query", "/loki/api/v1/query_range"}
_PAGES = {"/ring", "/distributor/ring"}
_NO_CONTENT = {"/flush", "/ingester/shutdown"}
_SOCKETS = {"/loki/api/v1/tail", "/api/prom/tail"}
_SAID_OF_ALL = "Answer with "
_PATH_PART = re.compile(r"\{(\w+)\}")

REFUSALS: Mapping[str, str] = {
    "400": "The request is wrong; the text says how.",
    "401": "No tenant, or no token.",
    "403": "A token, but not for this.",
    "404": "There is no such route here.",
    "413": "The body is too large.",
    "422": "There is nothing in the push.",
    "429": "A limit is reached; `Retry-After` says when to come again.",
    "499": "The client went away.",
    "500": "Our fault; the server's log says more.",
    "503": "Starting, stopping or too busy; try again.",
    "504": "The query ran out of its time.",
}


def description_of(
    routes: Sequence[Route], pushes: Iterable[str], *, version: str
) -> dict[str, Any]:
    """Return the OpenAPI document of one listener.

    Args:
        routes: its table.
        pushes: paths that take pushes.
        version: of this program.
    """
    paths: dict[str, dict[str, Any]] = {}
    for path in pushes:
        paths[path] = {"post": _push_of(path)}
    for route in routes:
        paths[route.path] = {
            method.lower(): _operation_of(route, method) for method in route.methods
        }
    return {
        "openapi": "3.1.0",
        "info": {"title": "loki_py", "version": version},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"securitySchemes": _schemes()},
    }


def summary_of(route: Route) -> str:
    """Return what a route does, in one line."""
    lines = (route.answer.__doc__ or "").strip().splitlines()
    if not lines:
        return route.name
    told = lines[0].removeprefix(_SAID_OF_ALL)
    return told[0].upper() + told[1:]


def _security_of(access: Access) -> list[dict[str, list[str]]]:
    """Return who is let in: everybody with security off, else who has the scope."""
    scopes = [] if access is Access.KNOWN else [access.value]
    return [{}, {"token": scopes}, {"password": scopes}]


def _operation_of(route: Route, method: str) -> dict[str, Any]:
    asked = PARAMETERS.get(route.path, ())
    operation: dict[str, Any] = {
        "operationId": f"{method.lower()}_{route.name}",
        "summary": summary_of(route),
        "tags": ["logs" if route.has_tenant else "process"],
        "parameters": [*_path_parts(route.path), *_headers_of(route)],
        "responses": {**_successes_of(route), **_refusals_of(route.path)},
    }
    if route.access is not Access.OPEN:
        operation["security"] = _security_of(route.access)
    if method == "GET":
        operation["parameters"] += [_in_query(each) for each in asked]
    elif asked:
        operation["requestBody"] = {"content": {FORM: {"schema": _form_of(asked)}}}
    return operation


def _path_parts(path: str) -> list[dict[str, Any]]:
    schema = {"type": "string", "minLength": 1, "pattern": r"^[a-zA-Z0-9_]+$"}
    return [
        {"name": name, "in": "path", "required": True, "schema": schema}
        for name in _PATH_PART.findall(path)
    ]


def _headers_of(route: Route) -> list[dict[str, Any]]:
    return [_tenant_header()] if route.has_tenant else []


def _tenant_header() -> dict[str, Any]:
    pattern = r"^[a-zA-Z0-9!_*'()-]{1,150}$"
    return {
        "name": "X-Scope-OrgID",
        "in": "header",
        "description": "The tenant; ignored where `auth_enabled` is false.",
        "schema": {"type": "string", "pattern": pattern},
    }


def _schema_of(each: Parameter) -> dict[str, Any]:
    schema = dict(each.schema)
    return {"type": "array", "items": schema} if each.is_repeated else schema


def _in_query(each: Parameter) -> dict[str, Any]:
    return {
        "name": each.name,
        "in": "query",
        "description": each.meaning,
        "required": each.is_required,
        "schema": _schema_of(each),
    }


def _form_of(asked: Sequence[Parameter]) -> dict[str, Any]:
    properties = {
        each.name: {**_schema_of(each), "description": each.meaning} for each in asked
    }
    required = [each.name for each in asked if each.is_required]
    return {"type": "object", "properties": properties, "required": required}


def _content_of(path: str) -> dict[str, Any]:
    if path in _TEXTS:
        kinds: tuple[str, ...] = (TEXT,)
    elif path in _PAGES:
        kinds = (HTML, JSON)
    elif path == "/docs":
        kinds = (HTML,)
    else:
        kinds = (JSON,)
    schema = {"schema": _ANSWER_SCHEMA} if path in _QUERIES else {}
    return dict.fromkeys(kinds, schema)


def _successes_of(route: Route) -> dict[str, Any]:
    done: dict[str, Any] = {"description": "Done."}
    if route.path in _NO_CONTENT:
        return {"204": done}
    if route.path in _SOCKETS:
        return {"101": {"description": "A websocket; its frames are JSON."}}
    successes: dict[str, Any] = {
        "200": {"description": "Done.", "content": _content_of(route.path)}
    }
    if route.path in _PAGES:
        successes["302"] = {"description": "Taken out; see the page."}
    if "DELETE" in route.methods:
        successes["204"] = done
    return successes


def _refusals_of(path: str) -> dict[str, Any]:
    kinds: dict[str, Any] = {TEXT: {}, JSON: {}}
    if path in OTLP_ROUTES:
        kinds[OCTETS] = {}
    return {
        status: {"description": text, "content": kinds}
        for status, text in REFUSALS.items()
    }


def _push_of(path: str) -> dict[str, Any]:
    is_otlp = path in OTLP_ROUTES
    name = OTLP_ROUTES[path] if is_otlp else PUSH_ROUTES[path]
    return {
        "operationId": f"post_{name}",
        "summary": "Store OTLP logs." if is_otlp else "Store entries.",
        "tags": ["logs"],
        "security": _security_of(Access.WRITE),
        "parameters": [_tenant_header()],
        "requestBody": {
            "required": True,
            "content": {
                JSON: {"schema": _OTLP_SCHEMA if is_otlp else _PUSH_SCHEMA},
                "application/x-protobuf": {"schema": {"format": "binary"}},
            },
        },
        "responses": {
            "204": {"description": "Every entry is on disk."},
            **_refusals_of(path),
        },
    }


_PUSH_SCHEMA = {
    "type": "object",
    "required": ["streams"],
    "properties": {
        "streams": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["stream", "values"],
                "properties": {
                    "stream": {
                        "type": "object",
                        "additionalProperties": {"type": "string"},
                    },
                    "values": {
                        "type": "array",
                        "description": "[nanoseconds, line, structured metadata]",
                        "items": {"type": "array", "minItems": 2, "maxItems": 3},
                    },
                },
            },
        }
    },
}
_SKIPPED = {
    "chunks": {
        "outsideTime": "Of another time.",
        "otherStreams": "Of streams that the selector does not select.",
        "heldLocally": "Of packs whose entries an ingester has at hand.",
        "otherReplicas": "Of replicas, because another has the same entries.",
    },
    "units": {
        "read": "Units that were read.",
        "timesOnly": "Units answered from times alone: no line was read.",
        "repeated": "Not read: all their entries were read elsewhere.",
        "limitReached": "Not read: those before had as many lines as asked for.",
    },
    "blocks": {
        "searched": "Blocks searched as a whole before any line was looked at.",
        "withoutText": "Those of them in which no line has what is sought.",
    },
}


def _object_of(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, **more}


_SKIPPED_SCHEMA = _object_of(
    {
        kind: _object_of(
            {
                reason: {"type": "integer", "minimum": 0, "description": text}
                for reason, text in reasons.items()
            }
        )
        for kind, reasons in _SKIPPED.items()
    },
    description="What was not read, and why; beside what Loki tells.",
)
_ANSWER_SCHEMA = _object_of(
    {
        "status": {"type": "string"},
        "data": _object_of(
            {
                "resultType": {"enum": ["streams", "matrix", "vector", "scalar"]},
                "result": {"type": "array"},
                "stats": _object_of({"skipped": _SKIPPED_SCHEMA}),
            }
        ),
        "warnings": {"type": "array", "items": {"type": "string"}},
    }
)
_OTLP_SCHEMA = {
    "type": "object",
    "properties": {"resourceLogs": {"type": "array", "items": {"type": "object"}}},
}


def _schemes() -> dict[str, Any]:
    return {
        "token": {"type": "http", "scheme": "bearer"},
        "password": {
            "type": "http",
            "scheme": "basic",
            "description": "The token is the password.",
        },
    }
