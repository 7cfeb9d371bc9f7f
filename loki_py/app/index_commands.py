"""The commands about what there is, and about LogQL itself.

What a command needs is imported when it runs, so that each starts quickly.
"""

import sys
from typing import Annotated

import typer

from loki_py.app.http_client import LokiClient, Target
from loki_py.app.options import (
    From,
    Quiet,
    Since,
    Stats,
    To,
    bounds_of,
    connected,
    has_colours,
)

Query = Annotated[str, typer.Argument(metavar="QUERY", help="A stream selector.")]
Limit = Annotated[int, typer.Option(min=1, help="Series in the answer.")]
Step = Annotated[str, typer.Option(help="Between the ends of spans, such as 1m.")]
TargetLabels = Annotated[
    list[str] | None,
    typer.Option("--targetLabels", help="Add up by these labels, not the query's."),
]
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
    target: Target,
    since: Since = "1h",
    start: From = "",
    end: To = "",
    quiet: Quiet = False,
) -> None:
    """Tell how much a stream selector selects."""
    from loki_py.app.ask_index import IndexAsker  # noqa: PLC0415
    from loki_py.app.printing import Look  # noqa: PLC0415

    start_ns, end_ns = bounds_of(since, start, end)
    asker = IndexAsker(LokiClient(target), Look(has_colours=has_colours()), quiet)
    asker.stats(query, start_ns=start_ns, end_ns=end_ns)


def volume(
    query: Query,
    *,
    target: Target,
    since: Since = "1h",
    start: From = "",
    end: To = "",
    limit: Limit = 30,
    target_labels: TargetLabels = None,
    by_label: ByLabel = False,
    quiet: Quiet = False,
    cost: Stats = False,
) -> None:
    """Tell the bytes of streams, added up."""
    from loki_py.app.ask_index import IndexAsker, VolumeAsk  # noqa: PLC0415
    from loki_py.app.printing import Look  # noqa: PLC0415

    start_ns, end_ns = bounds_of(since, start, end)
    asked = VolumeAsk(query, start_ns, end_ns, limit, target_labels or (), by_label)
    look = Look(has_colours=has_colours())
    IndexAsker(LokiClient(target), look, quiet, cost).volume(asked)


def volume_range(
    query: Query,
    *,
    target: Target,
    since: Since = "1h",
    start: From = "",
    end: To = "",
    limit: Limit = 30,
    step: Step = "",
    target_labels: TargetLabels = None,
    by_label: ByLabel = False,
    quiet: Quiet = False,
    cost: Stats = False,
) -> None:
    """Tell the bytes of streams, added up, span by span."""
    from loki_py.app.ask_index import IndexAsker, VolumeAsk  # noqa: PLC0415
    from loki_py.app.printing import Look  # noqa: PLC0415

    start_ns, end_ns = bounds_of(since, start, end)
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
    IndexAsker(LokiClient(target), look, quiet, cost).volume(asked)


def detected_fields(
    logql: Annotated[str, typer.Argument(metavar="QUERY", help="A log query.")],
    field: Annotated[str, typer.Argument(help="List this one's values.")] = "",
    *,
    target: Target,
    since: Since = "1h",
    start: From = "",
    end: To = "",
    limit: Annotated[int, typer.Option(min=1, help="Fields in the answer.")] = 100,
    line_limit: Annotated[int, typer.Option(min=1, help="Lines looked at.")] = 1000,
    step: Step = "",
    quiet: Quiet = False,
) -> None:
    """List the fields of a query's newest lines, or the values of one field."""
    from loki_py.app.ask_index import FieldsAsk, IndexAsker  # noqa: PLC0415
    from loki_py.app.printing import Look  # noqa: PLC0415

    start_ns, end_ns = bounds_of(since, start, end)
    asked = FieldsAsk(logql, start_ns, end_ns, limit, line_limit, step, field)
    look = Look(has_colours=has_colours())
    IndexAsker(LokiClient(target), look, quiet).fields(asked)


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
