"""The commands about what there is, and about LogQL itself.

What a command needs is imported when it runs, so that each starts quickly.
"""

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from loki_py.app.connection_options import Connection
from loki_py.app.options import Quiet, Span, Told, expanded, has_colours
from loki_py.app.query_commands import DEFAULT, JSONL, Output, check_output

if TYPE_CHECKING:
    from loki_py.app.ask_index import IndexAsker

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


@dataclass(frozen=True, slots=True)
class Volumes:
    """What volumes are asked for."""

    limit: Limit = 30
    target_labels: TargetLabels = None
    by_label: ByLabel = False


def add_to(app: typer.Typer) -> None:
    """Register every command."""
    app.command("stats")(expanded(stats))
    app.command("volume")(expanded(volume))
    app.command("volume_range")(expanded(volume_range))
    app.command("detected-fields")(expanded(detected_fields))
    app.command("fmt")(fmt)


def stats(
    query: Query, *, span: Span, quiet: Quiet = False, connection: Connection
) -> None:
    """Tell how much a stream selector selects."""
    start_ns, end_ns = span.bounds()
    asker = _asker_of(connection, Told(quiet))
    asker.stats(query, start_ns=start_ns, end_ns=end_ns)


def volume(
    query: Query, *, span: Span, volumes: Volumes, told: Told, connection: Connection
) -> None:
    """Tell the bytes of streams, added up."""
    _ask_volume(query, span, volumes, _asker_of(connection, told))


def volume_range(
    query: Query,
    *,
    span: Span,
    step: Step = "1h",
    volumes: Volumes,
    told: Told,
    connection: Connection,
) -> None:
    """Tell the bytes of streams, added up, span by span."""
    _ask_volume(query, span, volumes, _asker_of(connection, told), step)


def _ask_volume(
    query: str, span: Span, volumes: Volumes, asker: "IndexAsker", step: str = ""
) -> None:
    from loki_py.app.ask_index import VolumeAsk  # noqa: PLC0415

    asker.volume(
        VolumeAsk(
            query,
            *span.bounds(),
            volumes.limit,
            volumes.target_labels or (),
            volumes.by_label,
            is_range=bool(step),
            step=step,
        )
    )


def _asker_of(connection: Connection, told: Told) -> "IndexAsker":
    from loki_py.app.ask_index import IndexAsker  # noqa: PLC0415
    from loki_py.app.printing import Look  # noqa: PLC0415

    look = Look(has_colours=has_colours())
    return IndexAsker(connection.client(), look, told.quiet, told.stats)


def detected_fields(
    logql: Annotated[str, typer.Argument(metavar="QUERY", help="A log query.")],
    field: Annotated[str, typer.Argument(help="List this one's values.")] = "",
    *,
    span: Span,
    limit: FieldLimit = 100,
    line_limit: LineLimit = 1000,
    step: Step = "",
    output: Output = DEFAULT,
    quiet: Quiet = False,
    connection: Connection,
) -> None:
    """List the fields of a query's newest lines, or the values of one field."""
    from loki_py.app.ask_index import FieldsAsk  # noqa: PLC0415

    asked = FieldsAsk(logql, *span.bounds(), limit, line_limit, step, field)
    check_output(output)
    asker = _asker_of(connection, Told(quiet))
    asker.fields(asked, is_json=output == JSONL)


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
