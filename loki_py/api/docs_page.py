"""`/docs`: the API for people, without a script and without another server."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from loki_py.api.answers import Answer, Asked
from loki_py.api.encode import encode_json
from loki_py.api.openapi import description_of
from loki_py.api.routes import GET, Route

_HTML_HEADERS = (
    ("content-type", "text/html; charset=utf-8"),
    ("content-security-policy", "default-src 'none'; style-src 'unsafe-inline';"),
)
_STYLE = """
:root{color-scheme:light dark;--line:#8884;--shade:#8882}
body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:64em;padding:0 1em}
code,pre{background:var(--shade);border-radius:3px;overflow-wrap:anywhere}
code{padding:.1em .3em}pre{padding:.6em .8em;overflow-x:auto}
h2{margin:1.6em 0 .4em;font-size:1.2em}
summary{cursor:pointer;padding:.35em 0;border-top:1px solid var(--line)}
summary:hover{background:var(--shade)}
summary b{display:inline-block;min-width:9em;font-size:.85em}
details>:not(summary){margin-left:1.2em}
table{border-collapse:collapse;width:calc(100% - 1.2em);margin-bottom:1em}
td,th{text-align:left;vertical-align:top;padding:.3em .8em .3em 0;
border-bottom:1px solid var(--line)}td:first-child{white-space:nowrap}
@media(max-width:40em){summary b{min-width:0}td:first-child{white-space:normal}}
"""
_EXAMPLES = """\
curl -H 'Content-Type: application/json' localhost:3100/loki/api/v1/push --data-raw \\
  '{"streams":[{"stream":{"app":"web"},"values":[["'$(date +%s%N)'","a line"]]}]}'

curl -G localhost:3100/loki/api/v1/query_range --data-urlencode 'query={app="web"}'
"""
_OLD = "/api/prom/"
_CODE = re.compile(r"`([^`]+)`")


@dataclass(frozen=True, slots=True)
class DocsRoutes:
    """Handlers over a description."""

    description: Mapping[str, Any]

    async def openapi(self, _asked: Asked) -> Answer:
        """Answer with the description of the API, as OpenAPI."""
        return Answer(encode_json(dict(self.description)))

    async def page(self, _asked: Asked) -> Answer:
        """Answer with the description of the API, as a page."""
        return Answer(page_of(self.description).encode(), _HTML_HEADERS)


def docs_routes(
    routes: Sequence[Route], pushes: Sequence[str], *, version: str
) -> list[Route]:
    """Return the routes that describe these and themselves."""

    def made(description: Mapping[str, Any]) -> list[Route]:
        docs = DocsRoutes(description)
        table = [("/openapi.json", docs.openapi), ("/docs", docs.page)]
        return [
            Route(
                path,
                GET,
                answer,
                path.strip("/").replace(".", "_"),
                has_tenant=False,
                is_cancelled=False,
                while_starting=True,
            )
            for path, answer in table
        ]

    return made(description_of([*routes, *made({})], pushes, version=version))


def page_of(description: Mapping[str, Any]) -> str:
    """Return the page."""
    title = f"{description['info']['title']} {description['info']['version']}"
    head = (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(title)}</h1><p>Store lines, and ask for them:</p>"
        f"<pre>{escape(_EXAMPLES)}</pre><p>Times are unix seconds, nanoseconds or "
        "RFC 3339. What a POST takes may stand in a form body. The same for programs: "
        "<a href=openapi.json>openapi.json</a>.</p>"
    )
    sections: dict[str, list[str]] = {}
    for path, methods in description["paths"].items():
        section = sections.setdefault(_section_of(path, methods), [])
        section.append(_part_of(path, methods))
    parts = [
        f"<h2>{name}</h2>{''.join(sections[name])}"
        for name in _SECTIONS
        if name in sections
    ]
    return "".join([head, *parts, "</body></html>"])


_WRITING, _ASKING, _OLD_ONES, _PROCESS = _SECTIONS = (
    "Writing",
    "Asking",
    "The same by old names",
    "The process",
)


def _section_of(path: str, methods: Mapping[str, Any]) -> str:
    if "logs" not in next(iter(methods.values())).get("tags", ()):
        return _PROCESS
    if path.startswith(_OLD):
        return _OLD_ONES
    return _ASKING if "get" in methods else _WRITING


def _part_of(path: str, methods: Mapping[str, Any]) -> str:
    first = next(iter(methods.values()))
    names = " ".join(method.upper() for method in methods)
    asked = _asked_by(first)
    table = "<p>It takes no parameters.</p>"
    if asked:
        rows = "".join(
            f"<tr><td><code>{escape(name)}</code></td><td>{_text(meaning)}</td></tr>"
            for name, meaning in asked
        )
        table = f"<table><tr><th>Parameter<th>Meaning</tr>{rows}</table>"
    return (
        f"<details><summary><b>{names}</b> <code>{escape(path)}</code> "
        f"{_text(first['summary'])}</summary><p>{_needs(first)}</p>{table}</details>"
    )


def _needs(operation: Mapping[str, Any]) -> str:
    """Return what a request must show where security is on."""
    told = operation.get("security")
    if not told:
        return "Needs no token."
    scopes = told[-1]["password"]
    if not scopes:
        return "Needs a token, where security is on."
    return (
        f"Needs a token with the scope <code>{scopes[0]}</code>, where security is on."
    )


def _text(told: str) -> str:
    """Return text with names between backticks as code."""
    return _CODE.sub(r"<code>\1</code>", escape(told))


def _asked_by(operation: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (
            each["name"],
            each.get("description", f"In the {each['in']}.")
            + (" Required." if each.get("required") else ""),
        )
        for each in operation["parameters"]
    ]
