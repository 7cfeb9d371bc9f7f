"""`/docs`: the API for people, without a script and without another server."""

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
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:60em;"
    "padding:0 1em}code{background:#f3f3f3;padding:.1em .3em;border-radius:3px}"
    "table{border-collapse:collapse;width:100%}td,th{text-align:left;"
    "vertical-align:top;padding:.3em .8em .3em 0;border-bottom:1px solid #ddd}"
    "summary{cursor:pointer;padding:.4em 0}b{display:inline-block;min-width:4.5em}"
)


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
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(title)}</h1><p>The same for programs: "
        "<a href=openapi.json>openapi.json</a>.</p>"
    )
    parts = (_part_of(path, each) for path, each in description["paths"].items())
    return "".join([head, *parts, "</body></html>"])


def _part_of(path: str, methods: Mapping[str, Any]) -> str:
    first = next(iter(methods.values()))
    names = " ".join(method.upper() for method in methods)
    asked = _asked_by(first)
    table = "<p>It takes no parameters.</p>"
    if asked:
        rows = "".join(
            f"<tr><td><code>{escape(name)}</code></td><td>{escape(meaning)}</td></tr>"
            for name, meaning in asked
        )
        table = f"<table><tr><th>Parameter<th>Meaning</tr>{rows}</table>"
    return (
        f"<details><summary><b>{names}</b> <code>{escape(path)}</code> "
        f"{escape(first['summary'])}</summary>{table}</details>"
    )


def _asked_by(operation: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (each["name"], each.get("description", f"In the {each['in']}."))
        for each in operation["parameters"]
    ]
