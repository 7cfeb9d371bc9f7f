"""The commands about what there is, and about LogQL itself.

What a command needs is imported when it runs, so that each starts quickly.
"""

import sys
from typing import Annotated

import typer

from loki_py.app.http_client import LokiClient
from loki_py.app.options import (
    From,
    Quiet,
    Since,
    Stats,
    Timezone,
    To,
    bounds_of,
    connected,
    has_colours,
)
from loki_py.app.query_commands import DEFAULT, JSONL, Output, check_output

Query = Annotated[str, typer.Argument(metavar="QUERY", help="A stream selector.")]
Limit = Annotated[int, typer.Option(min=1, help="Series in the answer.")]
Step = Annotated[str, typer.Option(help="Between the ends of spans, such as 1m.")]
TargetLabels = Annotated[
    list[str] | None,
    typer.Option("--targetLabels", help="Add up by these labels, not the query's."),
]
FieldLimit = Annotated[
    int,
    typer.Option("--field-limit", "--limit", min=1, help="Fields in the answer."),
]
LineLimit = Annotated[int, typer.Option(min=1, help="Lines looked at.")]
ByLabel = Annotated[
    bool, typer.Option("--aggregateByLabels", help="Add up by label name.")
]


def add_to(app: typer.Typer) -> None:
    """Register every command."""
    app.command("stats")(connected(stats))
    app.command("volume")(connected(volume))
    app.command("volume_range")(connected(volume_range))
    app.command("detected-fields")(connected(detected_fields))
    app.command("fmt")(fmt)


def stats(
    query: Query,
    *,
    client: LokiClient,
    since: Since = "1h",
    start: From = "",
    end: To = "",
    timezone: Timezone = "Local",
    quiet: Quiet = False,
) -> None:
    """Tell how much a stream selector selects."""
    from loki_py.app.ask_index import IndexAsker  # noqa: PLC0415
    from loki_py.app.printing import Look  # noqa: PLC0415

    start_ns, end_ns = bounds_of(since, start, end, timezone)
    asker = IndexAsker(client, Look(has_colours=has_colours()), quiet)
    asker.stats(query, start_ns=start_ns, end_ns=end_ns)


def volume(
    query: Query,
    *,
    client: LokiClient,
    since: Since = "1h",
    start: From = "",
    end: To = "",
    timezone: Timezone = "Local",
    limit: Limit = 30,
    target_labels: TargetLabels = None,
    by_label: ByLabel = False,
    quiet: Quiet = False,
    cost: Stats = False,
) -> None:
    """Tell the bytes of streams, added up."""
    from loki_py.app.ask_index import IndexAsker, VolumeAsk  # noqa: PLC0415
    from loki_py.app.printing import Look  # noqa: PLC0415

    start_ns, end_ns = bounds_of(since, start, end, timezone)
    asked = VolumeAsk(query, start_ns, end_ns, limit, target_labels or (), by_label)
    look = Look(has_colours=has_colours())
    IndexAsker(client, look, quiet, cost).volume(asked)


def volume_range(
    query: Query,
    *,
    client: LokiClient,
    since: Since = "1h",
    start: From = "",
    end: To = "",
    timezone: Timezone = "Local",
    limit: Limit = 30,
    step: Step = "1h",
    target_labels: TargetLabels = None,
    by_label: ByLabel = False,
    quiet: Quiet = False,
    cost: Stats = False,
) -> None:
    """Tell the bytes of streams, added up, span by span."""
    from loki_py.app.ask_index import IndexAsker, VolumeAsk  # noqa: PLC0415
    from loki_py.app.printing import Look  # noqa: PLC0415

    start_ns, end_ns = bounds_of(since, start, end, timezone)
    asked = VolumeAsk(
        query,
        start_ns,
        end_ns,
        limit,
        target_labels or (),
        by_label,
        is_range=True,
        step=step,
    )
    look = Look(has_colours=has_colours())
    IndexAsker(client, look, quiet, cost).volume(asked)


def detected_fields(
    logql: Annotated[str, typer.Argument(metavar="QUERY", help="A log query.")],
    field: Annotated[str, typer.Argument(help="List this one's values.")] = "",
    *,
    client: LokiClient,
    since: Since = "1h",
    start: From = "",
    end: To = "",
    timezone: Timezone = "Local",
    limit: FieldLimit = 100,
    line_limit: LineLimit = 1000,
    step: Step = "",
    output: Output = DEFAULT,
    quiet: Quiet = False,
) -> None:
    """List the fields of a query's newest lines, or the values of one field."""
    from loki_py.app.ask_index import FieldsAsk, IndexAsker  # noqa: PLC0415
    from loki_py.app.printing import Look  # noqa: PLC0415

    start_ns, end_ns = bounds_of(since, start, end, timezone)
    asked = FieldsAsk(logql, start_ns, end_ns, limit, line_limit, step, field)
    check_output(output)
    look = Look(has_colours=has_colours())
    IndexAsker(client, look, quiet).fields(asked, is_json=output == JSONL)


def fmt(
    logql: Annotated[
        str, typer.Argument(metavar="QUERY", help="None, or -, for standard input.")
    ] = "-",
) -> None:
    """Print a LogQL query in its pretty form."""
    from loki_py.logql.parser import parse_form  # noqa: PLC0415
    from loki_py.logql.pretty import pretty  # noqa: PLC0415

    text = sys.stdin.read() if logql == "-" else logql
    print(pretty(parse_form(text.strip())))
