"""Options that several commands share, under logcli's names."""

import inspect
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer
from typer.models import OptionInfo

from loki_py.app.http_client import AGENT, TIMEOUT_S, LokiClient
from loki_py.client.connection import AUTHORIZATION, Server

ADDRESS = "http://localhost:3100"

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only the result.")]
Stats = Annotated[bool, typer.Option("--stats", help="Tell what the query cost.")]
Since = Annotated[str, typer.Option("--since", help="How far back, such as 1h30m.")]
From = Annotated[
    str,
    typer.Option("--from", help="Start: RFC 3339, a date, or unix time."),
]
To = Annotated[str, typer.Option("--to", help="End, excluded; now if not given.")]
Timezone = Annotated[
    str,
    typer.Option("--timezone", "-z", help="Of times: Local, UTC, Europe/Berlin, …"),
]
Forward = Annotated[bool, typer.Option("--forward", help="Oldest first.")]
Coloured = Annotated[
    bool, typer.Option("--colored-output", help="Colours, though not on a terminal.")
]


def _option(name: str, environment: str | None, told: str, **more: Any) -> Any:
    return typer.Option(
        name,
        envvar=environment,
        help=told,
        rich_help_panel="Connection",
        show_default=bool(more.pop("shown", False)),
        **more,
    )


_CONNECTION: dict[str, tuple[Any, Any, Any]] = {
    "address": (
        str,
        ADDRESS,
        _option("--addr", "LOKI_ADDR", "Server address.", shown=True),
    ),
    "org_id": (
        str,
        "",
        _option("--org-id", "LOKI_ORG_ID", "Tenant, sent as X-Scope-OrgID."),
    ),
    "username": (str, "", _option("--username", "LOKI_USERNAME", "For basic auth.")),
    "password": (str, "", _option("--password", "LOKI_PASSWORD", "For basic auth.")),
    "bearer_token": (
        str,
        "",
        _option("--bearer-token", "LOKI_BEARER_TOKEN", "Sent as authorization."),
    ),
    "bearer_token_file": (
        Path | None,
        None,
        _option(
            "--bearer-token-file", "LOKI_BEARER_TOKEN_FILE", "A file with the token."
        ),
    ),
    "auth_header": (
        str,
        AUTHORIZATION,
        _option("--auth-header", "LOKI_AUTH_HEADER", "In which that is sent."),
    ),
    "query_tags": (
        str,
        "",
        _option("--query-tags", "LOKI_QUERY_TAGS", "Sent as X-Query-Tags: a=b,c=d."),
    ),
    "nocache": (
        bool,
        False,
        _option("--nocache", "LOKI_NO_CACHE", "Sent as Cache-Control: no-cache."),
    ),
    "ca_file": (
        str,
        "",
        _option("--ca-cert", "LOKI_CA_CERT_PATH", "Certificate authority."),
    ),
    "certificate": (
        str,
        "",
        _option("--cert", "LOKI_CLIENT_CERT_PATH", "Our own certificate."),
    ),
    "key": (str, "", _option("--key", "LOKI_CLIENT_KEY_PATH", "And its key.")),
    "skip_verify": (
        bool,
        False,
        _option("--tls-skip-verify", "LOKI_TLS_SKIP_VERIFY", "Trust any certificate."),
    ),
    "retries": (
        int,
        -1,
        _option("--retries", "LOKI_CLIENT_RETRIES", "Repeat on 429, 5xx, no answer."),
    ),
}


_TAKEN_EVERYWHERE: dict[str, tuple[Any, Any, Any]] = {
    "quiet": (bool, False, typer.Option("--quiet", "-q", hidden=True)),
    "stats": (bool, False, typer.Option("--stats", hidden=True)),
    "output": (str, "", typer.Option("--output", "-o", hidden=True)),
    "timezone": (str, "", typer.Option("--timezone", "-z", hidden=True)),
}
"""Options that logcli takes with every command, though few heed them."""


def _declared(option: Any) -> set[str]:
    """Return the names of an option, which Typer keeps in two places."""
    return {option.default, *option.param_decls}


_TAKES_VALUE = {
    name: kind is not bool
    for kind, _, option in (*_CONNECTION.values(), *_TAKEN_EVERYWHERE.values())
    for name in _declared(option)
}


def connected(
    command: Callable[..., None], *, retries_max: int = 0
) -> Callable[..., None]:
    """Return the command with options for its `client` in place of it.

    Args:
        retries_max: where the command line does not say.
    """
    own = inspect.signature(command, eval_str=True)
    parameters = [p for p in own.parameters.values() if p.name != "client"]
    known = {
        name
        for parameter in parameters
        for option in getattr(parameter.annotation, "__metadata__", ())
        if isinstance(option, OptionInfo)
        for name in _declared(option)
    }
    ignored = {
        name: taken
        for name, taken in _TAKEN_EVERYWHERE.items()
        if not known.intersection(_declared(taken[2]))
    }
    for name, (kind, default, option) in (_CONNECTION | ignored).items():
        parameters.append(
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=default,
                annotation=Annotated[kind, option],
            )
        )

    def run(**given: Any) -> None:
        connection = {name: given.pop(name) for name in _CONNECTION}
        if connection["retries"] < 0:
            connection["retries"] = retries_max
        heeded = {name: value for name, value in given.items() if name not in ignored}
        command(**heeded, client=_client_of(connection))

    run.__doc__ = command.__doc__
    run.__name__ = command.__name__
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    run.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    return run


def in_front_moved(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with options before the command put behind it.

    logcli takes them at either place: `logcli --addr=… query …`.
    """
    moved: list[str] = []
    rest = list(arguments)
    while rest:
        name, equals, _ = rest[0].partition("=")
        if name not in _TAKES_VALUE:
            break
        count = 1 if equals or not _TAKES_VALUE[name] else 2
        moved += rest[:count]
        del rest[:count]
    return [*rest[:1], *moved, *rest[1:]]


def _client_of(given: Mapping[str, Any]) -> LokiClient:
    headers = {"User-Agent": AGENT}
    if given["query_tags"]:
        headers["X-Query-Tags"] = given["query_tags"]
    if given["nocache"]:
        headers["Cache-Control"] = "no-cache"
    token = given["bearer_token"]
    if given["bearer_token_file"] is not None:
        token = given["bearer_token_file"].read_text(encoding="utf-8").strip()
    certificate = (given["certificate"], given["key"] or None)
    try:
        server = Server(
            given["address"],
            tenant=given["org_id"] or None,
            token=token or None,
            auth=(given["username"], given["password"]) if given["username"] else None,
            headers=headers,
            ca_file=given["ca_file"] or None,
            certificate=certificate if given["certificate"] else None,
            verify_tls=not given["skip_verify"],
            auth_header=given["auth_header"],
            timeout_s=TIMEOUT_S,
        )
    except ValueError as error:
        raise typer.BadParameter(f"--addr: {error}") from None
    return LokiClient(server, given["retries"])


def zone_of(name: str) -> tzinfo | None:
    """Return the zone to show times in, None for the local one."""
    zones: dict[str, tzinfo | None] = {"local": None, "utc": UTC}
    if name.lower() in zones:
        return zones[name.lower()]
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise typer.BadParameter(
            f"--timezone {name!r} is not Local, UTC or a name such as Europe/Berlin"
        ) from None


def bounds_of(since: str, start: str, end: str, timezone: str) -> tuple[int, int]:
    """Return the interval that the options say, in nanoseconds.

    Args:
        timezone: of times without an offset.
    """
    from loki_py.app.ask import now_ns  # noqa: PLC0415
    from loki_py.app.moments import parse_since  # noqa: PLC0415

    zone_of(timezone)  # which may be wrong where no time is given, too
    end_ns = moment_of(end, "--to", timezone) if end else now_ns()
    if start:
        start_ns = moment_of(start, "--from", timezone)
    else:
        try:
            start_ns = end_ns - parse_since(since)
        except ValueError as error:
            raise typer.BadParameter(f"--since: {error}, as 5m, 1h30m or 2d") from None
    if start_ns >= end_ns:
        raise typer.BadParameter("--from is not before --to, or before now")
    return start_ns, end_ns


def moment_of(text: str, option: str, timezone: str) -> int:
    """Return the nanoseconds of an option's time."""
    from loki_py.app.moments import parse_moment  # noqa: PLC0415

    try:
        return parse_moment(text, zone=zone_of(timezone))
    except ValueError as error:
        raise typer.BadParameter(
            f"{option}: {error}; write it as 2026-01-31T18:30:00Z or 1769884200"
        ) from None


def has_colours() -> bool:
    """Return whether to show colours: on a terminal, unless told not to."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")
