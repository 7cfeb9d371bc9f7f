"""The commands that show entries, `query` and `tail`: options, and what they call.

What a command needs is imported when it runs, so that each starts quickly.
"""

import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, cast

import typer

from loki_py.app.connection_options import Connection
from loki_py.app.options import (
    Beginning,
    Coloured,
    Quiet,
    Span,
    Told,
    has_colours,
    zone_of,
)
from loki_py.config.units import NS_PER_S

if TYPE_CHECKING:
    from loki_py.app.ask import LogAsk
    from loki_py.app.parts import PartsAsk
    from loki_py.app.printing import Look

DEFAULT, RAW, JSONL = OUTPUTS = ("default", "raw", "jsonl")
DELAY_S_MAX = 5
LIMIT_MAX = 5_000
ALL = sys.maxsize

Query = Annotated[str, typer.Argument(metavar="QUERY", help="A LogQL query.")]
LogQuery = Annotated[str, typer.Argument(metavar="QUERY", help="A log query.")]
Forward = Annotated[bool, typer.Option("--forward", help="Oldest first.")]
Limit = Annotated[int, typer.Option(min=0, help="Entries; 0 for all.")]
Backlog = Annotated[int, typer.Option(min=1, help="Entries from before.")]
Batch = Annotated[int, typer.Option(min=1, help="Entries a request.")]
Step = Annotated[str, typer.Option(help="Between samples, such as 1m.")]
Interval = Annotated[str, typer.Option(help="Least time between entries.")]
Output = Annotated[str, typer.Option("--output", "-o", help="default, raw or jsonl.")]
NoLabels = Annotated[bool, typer.Option("--no-labels", help="Time and line only.")]
Included = Annotated[
    list[str] | None,
    typer.Option("--include-label", help="Show this label only; repeatable."),
]
Excluded = Annotated[
    list[str] | None, typer.Option("--exclude-label", help="Hide this one; repeatable.")
]
Common = Annotated[
    bool, typer.Option("--include-common-labels", help="Those that all share, too.")
]
Length = Annotated[int, typer.Option("--labels-length", min=0, help="Pad labels.")]
Follow = Annotated[
    bool, typer.Option("--tail", "-t", "--follow", "-f", help="And what comes.")
]
DelayFor = Annotated[
    int,
    typer.Option(
        min=0,
        max=DELAY_S_MAX,
        help="Seconds to hold entries back, to put them in order.",
    ),
]
Live = Annotated[
    bool, typer.Option("--live", help="Fill the terminal, coloured by level.")
]
_PARTS = "Many entries, in parts"
PartDuration = Annotated[
    str,
    typer.Option(
        "--parallel-duration", help="Length of a part.", rich_help_panel=_PARTS
    ),
]
Workers = Annotated[
    int,
    typer.Option(
        "--parallel-max-workers",
        min=1,
        help="Parts asked for at once, without limit; 1 does not cut the range.",
        rich_help_panel=_PARTS,
    ),
]
Prefix = Annotated[
    str,
    typer.Option(
        "--part-path-prefix",
        help="Write each part to PREFIX_<start>_<end>.part, times in UTC; else parts"
        " go to standard output as they come, in no order.",
        rich_help_panel=_PARTS,
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite-completed-parts",
        help="Ask again for parts whose files are there.",
        rich_help_panel=_PARTS,
    ),
]
Merge = Annotated[
    bool,
    typer.Option(
        "--merge-parts",
        help="Print the files in order, and remove them.",
        rich_help_panel=_PARTS,
    ),
]
Keep = Annotated[
    bool,
    typer.Option("--keep-parts", help="Do not remove them.", rich_help_panel=_PARTS),
]


@dataclass(frozen=True, slots=True)
class Shown:
    """How entries are shown."""

    output: Output = DEFAULT
    no_labels: NoLabels = False
    include: Included = None
    exclude: Excluded = None
    length: Length = 0
    coloured: Coloured = False

    def look(self, timezone: str) -> "Look":
        """Return the same for the printer."""
        from loki_py.app.printing import Look, Mode  # noqa: PLC0415

        check_output(self.output)
        return Look(
            mode=cast("Mode", self.output),
            zone=zone_of(timezone),
            has_colours=self.coloured or has_colours(),
            has_labels=not self.no_labels,
            label_width_min=self.length,
            labels_shown=self.include or (),
            labels_hidden=self.exclude or (),
            is_inert=sys.stdout.isatty(),
        )


@dataclass(frozen=True, slots=True)
class Following:
    """How entries are followed."""

    delay_for: DelayFor = 0
    live: Live = False


@dataclass(frozen=True, slots=True)
class InParts:
    """How many entries are asked for in parts."""

    part: PartDuration = "1h"
    workers: Workers = 1
    prefix: Prefix = ""
    overwrite: Overwrite = False
    merge: Merge = False
    keep: Keep = False

    def ask(self) -> "PartsAsk":
        """Return the same for who does it."""
        from loki_py.app.parts import PartsAsk  # noqa: PLC0415

        return PartsAsk(
            _part_ns_of(self.part),
            self.workers,
            self.prefix,
            overwrite=self.overwrite,
            merge=self.merge,
            keep=self.keep,
        )


def query(
    logql: Query,
    *,
    span: Span,
    limit: Limit = 30,
    batch: Batch = 1000,
    forward: Forward = False,
    step: Step = "",
    interval: Interval = "",
    shown: Shown,
    common: Common = False,
    follow: Follow = False,
    following: Following,
    parts: InParts,
    told: Told,
    connection: Connection,
) -> None:
    """Ask a LogQL query over a range of time."""
    from loki_py.app.ask import LogAsk  # noqa: PLC0415

    asked = LogAsk(logql, *span.bounds(), limit, batch, forward, step, interval)
    look = replace(shown.look(span.timezone), has_common_labels=common)
    in_parts = parts.ask()
    if follow:
        _follow(asked, following, connection, look, quiet=told.quiet)
    else:
        _ask(asked, in_parts, connection, look, told)


def tail(
    logql: LogQuery,
    *,
    beginning: Beginning,
    limit: Backlog = 30,
    following: Following,
    shown: Shown,
    quiet: Quiet = False,
    connection: Connection,
) -> None:
    """Show the entries of a log query as they come; the same as `query --tail`."""
    from loki_py.app.ask import LogAsk  # noqa: PLC0415

    look = shown.look(beginning.timezone)
    asked = LogAsk(logql, *beginning.bounds(), limit, 1, forward=True)
    _follow(asked, following, connection, look, quiet=quiet)


def _ask(
    asked: "LogAsk",
    parts: "PartsAsk",
    connection: Connection,
    look: "Look",
    told: Told,
) -> None:
    from loki_py.app.ask import Asker  # noqa: PLC0415
    from loki_py.app.parts import Parts  # noqa: PLC0415

    asker = Asker(connection.answering(), look, quiet=told.quiet, has_stats=told.stats)
    if connection.stdin:
        if parts.is_asked:
            raise typer.BadParameter("--stdin is not asked in parts")
        asker.query(replace(asked, limit=0, batch=ALL))
    elif parts.is_asked:
        Parts(asker, parts).query(asked)
    else:
        asker.query(asked)


def _follow(
    asked: "LogAsk",
    following: Following,
    connection: Connection,
    look: "Look",
    *,
    quiet: bool,
) -> None:
    """Show what comes until we are stopped."""
    from loki_py.app.follow import FollowAsk, Printer, follow  # noqa: PLC0415

    client = connection.client()
    limit = asked.limit or LIMIT_MAX
    ask = FollowAsk(asked.query, asked.start_ns, limit, following.delay_for)
    if not following.live:
        follow(client, ask, Printer(look, quiet=quiet))
        return
    if not sys.stdout.isatty():
        raise typer.BadParameter("--live needs a terminal")
    from loki_py.app.live import LiveScreen  # noqa: PLC0415

    with LiveScreen(asked.query, look) as screen:
        follow(client, ask, screen)


def check_output(output: str) -> None:
    """Refuse a kind of output that there is not."""
    if output not in OUTPUTS:
        raise typer.BadParameter(
            f"--output {output!r} is not one of {', '.join(OUTPUTS)}"
        )


def _part_ns_of(duration: str) -> int:
    from loki_py.app.moments import parse_since  # noqa: PLC0415

    try:
        duration_ns = parse_since(duration)
    except ValueError as error:
        raise typer.BadParameter(
            f"--parallel-duration: {error}, as 15m or 1h"
        ) from None
    if duration_ns < NS_PER_S:
        # Their files are told apart by seconds.
        raise typer.BadParameter("--parallel-duration is at least 1s")
    return duration_ns
