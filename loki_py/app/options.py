"""Options that several commands share, under logcli's names."""

import inspect
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Annotated, Any

import typer

from loki_py.app.http_client import Target

ADDRESS = "http://localhost:3100"

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only the result.")]
Stats = Annotated[bool, typer.Option("--stats", help="Tell what the query cost.")]
Since = Annotated[str, typer.Option("--since", help="How far back, such as 1h30m.")]
From = Annotated[str, typer.Option("--from", help="Start, RFC 3339 or unix time.")]
To = Annotated[str, typer.Option("--to", help="End, excluded; now if not given.")]
Timezone = Annotated[
    str, typer.Option("--timezone", "-z", help="Of timestamps, Local or UTC.")
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
    "query_tags": (
        str,
        "",
        _option("--query-tags", "LOKI_QUERY_TAGS", "Sent as X-Query-Tags: a=b,c=d."),
    ),
    "ca_file": (
        str,
        "",
        _option("--ca-cert", "LOKI_CA_CERT_PATH", "Certificate authority."),
    ),
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


def connected(
    command: Callable[..., None], *, retries_max: int = 0
) -> Callable[..., None]:
    """Return the command with options for its `target` in place of it.

    Args:
        retries_max: where the command line does not say.
    """
    own = inspect.signature(command, eval_str=True)
    parameters = [p for p in own.parameters.values() if p.name != "target"]
    for name, (kind, default, option) in _CONNECTION.items():
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
        command(**given, target=_target_of(connection))

    run.__doc__ = command.__doc__
    run.__name__ = command.__name__
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    run.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    return run


def _target_of(given: dict[str, Any]) -> Target:
    target = Target(
        given["address"],
        org_id=given["org_id"],
        username=given["username"],
        password=given["password"],
        bearer_token=given["bearer_token"],
        query_tags=given["query_tags"],
        verify_tls=not given["skip_verify"],
        ca_file=given["ca_file"] or None,
        retries_max=given["retries"],
    )
    if given["bearer_token_file"] is None:
        return target
    token = given["bearer_token_file"].read_text(encoding="utf-8").strip()
    return replace(target, bearer_token=token)


def zone_of(name: str) -> tzinfo | None:
    """Return the zone to show times in, None for the local one."""
    zones: dict[str, tzinfo | None] = {"local": None, "utc": UTC}
    if name.lower() not in zones:
        raise typer.BadParameter(f"{name!r} is not Local or UTC")
    return zones[name.lower()]


def bounds_of(since: str, start: str, end: str) -> tuple[int, int]:
    """Return the interval that the options say, in nanoseconds."""
    from loki_py.app.ask import now_ns  # noqa: PLC0415
    from loki_py.app.moments import parse_since  # noqa: PLC0415

    end_ns = moment_of(end, "--to") if end else now_ns()
    if start:
        return moment_of(start, "--from"), end_ns
    try:
        return end_ns - parse_since(since), end_ns
    except ValueError as error:
        raise typer.BadParameter(f"--since: {error}") from None


def moment_of(text: str, option: str) -> int:
    """Return the nanoseconds of an option's time."""
    from loki_py.app.moments import parse_moment  # noqa: PLC0415

    try:
        return parse_moment(text)
    except ValueError as error:
        raise typer.BadParameter(f"{option}: {error}") from None


def has_colours() -> bool:
    """Return whether to show colours: on a terminal, unless told not to."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")
