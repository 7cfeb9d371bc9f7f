"""The client commands: their options, and what they call.

What a command needs is imported when it runs, so that each starts quickly.
"""

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from loki_py.app.http_client import LokiClient
from loki_py.app.options import (
    Coloured,
    From,
    Quiet,
    Since,
    Stats,
    Timezone,
    To,
    bounds_of,
    connected,
    has_colours,
    moment_of,
)
from loki_py.app.query_commands import query, tail

PUSH_RETRIES = 10


def add_to(app: typer.Typer) -> None:
    """Register every client command."""
    app.command("query")(connected(query))
    app.command("tail")(connected(tail))
    app.command("instant-query")(connected(instant_query))
    app.command("labels")(connected(labels))
    app.command("series")(connected(series))
    app.command("push")(connected(push, retries_max=PUSH_RETRIES))


def instant_query(
    logql: Annotated[str, typer.Argument(metavar="QUERY", help="A metric query.")],
    *,
    client: LokiClient,
    limit: Annotated[int, typer.Option(min=1)] = 30,
    now: Annotated[str, typer.Option("--now", help="RFC 3339 or unix time.")] = "",
    timezone: Timezone = "Local",
    coloured: Coloured = False,
    quiet: Quiet = False,
    stats: Stats = False,
) -> None:
    """Ask a LogQL metric query at one moment."""
    from loki_py.app.ask import Asker  # noqa: PLC0415
    from loki_py.app.printing import Look  # noqa: PLC0415

    time_ns = moment_of(now, "--now", timezone) if now else None
    look = Look(has_colours=coloured or has_colours())
    asker = Asker(client, look, quiet=quiet, has_stats=stats)
    asker.instant_query(logql, limit=limit, time_ns=time_ns)


def labels(
    name: Annotated[str | None, typer.Argument(help="List this one's values.")] = None,
    *,
    client: LokiClient,
    since: Since = "1h",
    start: From = "",
    end: To = "",
    timezone: Timezone = "Local",
    quiet: Quiet = False,
) -> None:
    """List label names, or the values of one label."""
    from loki_py.app.ask import Asker  # noqa: PLC0415
    from loki_py.app.printing import Look  # noqa: PLC0415

    start_ns, end_ns = bounds_of(since, start, end, timezone)
    asker = Asker(client, Look(), quiet=quiet)
    asker.labels(name, start_ns=start_ns, end_ns=end_ns)


def series(
    matchers: Annotated[
        list[str] | None, typer.Argument(metavar="MATCHER…", help="None means all.")
    ] = None,
    *,
    client: LokiClient,
    since: Since = "1h",
    start: From = "",
    end: To = "",
    timezone: Timezone = "Local",
    analyze_labels: Annotated[bool, typer.Option("--analyze-labels")] = False,
    quiet: Quiet = False,
) -> None:
    """List the label sets of streams."""
    from loki_py.app.ask import Asker  # noqa: PLC0415
    from loki_py.app.printing import Look  # noqa: PLC0415

    start_ns, end_ns = bounds_of(since, start, end, timezone)
    asker = Asker(client, Look(), quiet=quiet)
    asker.series(
        matchers or (), start_ns=start_ns, end_ns=end_ns, analyze=analyze_labels
    )


def push(
    files: Annotated[
        list[Path] | None, typer.Argument(help="None, or -, for standard input.")
    ] = None,
    *,
    client: LokiClient,
    label: Annotated[
        list[str] | None, typer.Option("--label", "-l", help="name=value, repeatable.")
    ] = None,
    timestamp_regex: Annotated[
        str, typer.Option(help="Finds a line's time; its first group, or all of it.")
    ] = "",
    timestamp_format: Annotated[
        str, typer.Option(help="Of strptime; RFC 3339 or unix time if not given.")
    ] = "",
    batch_lines: Annotated[int, typer.Option(min=1)] = 5_000,
    batch_bytes: Annotated[int, typer.Option(min=1)] = 1 << 20,
    quiet: Quiet = False,
) -> None:
    """Push files, or standard input, line by line, one stream each."""
    from loki_py.app.push import inputs_of, push_all  # noqa: PLC0415
    from loki_py.app.stamps import BatchSize  # noqa: PLC0415

    try:
        pattern = re.compile(timestamp_regex) if timestamp_regex else None
    except re.error as error:
        raise typer.BadParameter(f"--timestamp-regex: {error}") from None
    inputs = inputs_of(files or (), _labels_of(label or ()))
    refused = push_all(
        inputs,
        client,
        BatchSize(batch_bytes, batch_lines),
        pattern=pattern,
        time_format=timestamp_format,
        has_progress=not quiet and sys.stderr.isatty(),
    )
    raise typer.Exit(1 if refused else 0)


def _labels_of(pairs: "tuple[str, ...] | list[str]") -> dict[str, str]:
    labels = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"--label {pair!r} is not name=value")
        labels[name] = value
    return labels
