"""The client commands: their options, and what they call.

What a command needs is imported when it runs, so that each starts quickly.
"""

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loki_py.app.connection_options import Connection
from loki_py.app.options import (
    Coloured,
    Quiet,
    Span,
    Timezone,
    Told,
    expanded,
    has_colours,
    moment_of,
)
from loki_py.app.query_commands import query, tail

if TYPE_CHECKING:
    from loki_py.app.ask import Asker

PUSH_RETRIES = 10


def add_to(app: typer.Typer) -> None:
    """Register every client command."""
    app.command("query")(expanded(query))
    app.command("tail")(expanded(tail))
    app.command("instant-query")(expanded(instant_query))
    app.command("labels")(expanded(labels))
    app.command("series")(expanded(series))
    app.command("push")(expanded(push))


def instant_query(
    logql: Annotated[str, typer.Argument(metavar="QUERY", help="A metric query.")],
    *,
    limit: Annotated[
        int, typer.Option(min=1, help="Sent along; samples are not limited by it.")
    ] = 30,
    now: Annotated[str, typer.Option("--now", help="RFC 3339 or unix time.")] = "",
    timezone: Timezone = "Local",
    coloured: Coloured = False,
    told: Told,
    connection: Connection,
) -> None:
    """Ask a LogQL metric query at one moment."""
    from loki_py.app.ask import Asker  # noqa: PLC0415
    from loki_py.app.printing import Look  # noqa: PLC0415

    time_ns = moment_of(now, "--now", timezone) if now else None
    look = Look(has_colours=coloured or has_colours())
    asker = Asker(connection.answering(), look, quiet=told.quiet, has_stats=told.stats)
    asker.instant_query(logql, limit=limit, time_ns=time_ns)


def labels(
    name: Annotated[str | None, typer.Argument(help="List this one's values.")] = None,
    *,
    span: Span,
    quiet: Quiet = False,
    connection: Connection,
) -> None:
    """List label names, or the values of one label."""
    start_ns, end_ns = span.bounds()
    asker = _asker_of(connection, quiet=quiet)
    asker.labels(name, start_ns=start_ns, end_ns=end_ns)


def series(
    matchers: Annotated[
        list[str] | None, typer.Argument(metavar="MATCHER…", help="None means all.")
    ] = None,
    *,
    span: Span,
    analyze_labels: Annotated[
        bool,
        typer.Option("--analyze-labels", help="Count each label's values instead."),
    ] = False,
    quiet: Quiet = False,
    connection: Connection,
) -> None:
    """List the label sets of streams."""
    start_ns, end_ns = span.bounds()
    asker = _asker_of(connection, quiet=quiet)
    asker.series(
        matchers or (), start_ns=start_ns, end_ns=end_ns, analyze=analyze_labels
    )


def _asker_of(connection: Connection, *, quiet: bool) -> "Asker":
    from loki_py.app.ask import Asker  # noqa: PLC0415
    from loki_py.app.printing import Look  # noqa: PLC0415

    return Asker(connection.client(), Look(), quiet=quiet)


def push(
    files: Annotated[
        list[Path] | None, typer.Argument(help="None, or -, for standard input.")
    ] = None,
    *,
    label: Annotated[
        list[str] | None, typer.Option("--label", "-l", help="name=value, repeatable.")
    ] = None,
    timestamp_regex: Annotated[
        str, typer.Option(help="Finds a line's time; its first group, or all of it.")
    ] = "",
    timestamp_format: Annotated[
        str, typer.Option(help="Of strptime; RFC 3339 or unix time if not given.")
    ] = "",
    batch_lines: Annotated[
        int, typer.Option(min=1, help="Lines of one request at most.")
    ] = 5_000,
    batch_bytes: Annotated[
        int, typer.Option(min=1, help="Bytes of them; a longer line goes alone.")
    ] = 1 << 20,
    quiet: Quiet = False,
    connection: Connection,
) -> None:
    """Push files, or standard input, line by line, one stream each."""
    from loki_py.app.push import inputs_of, push_all  # noqa: PLC0415
    from loki_py.app.stamps import BatchSize  # noqa: PLC0415

    try:
        pattern = re.compile(timestamp_regex) if timestamp_regex else None
    except re.error as error:
        raise typer.BadParameter(f"--timestamp-regex: {error}") from None
    if timestamp_format and pattern is None:
        raise typer.BadParameter(
            "--timestamp-format needs --timestamp-regex, which finds a line's time"
        )
    inputs = inputs_of(files or (), _labels_of(label or ()))
    refused = push_all(
        inputs,
        connection.client(retries_max=PUSH_RETRIES),
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
