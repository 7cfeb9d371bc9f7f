"""The commands that show entries, `query` and `tail`: options, and what they call.

What a command needs is imported when it runs, so that each starts quickly.
"""

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, cast

import typer

from loki_py.app.http_client import LokiClient
from loki_py.app.options import (
    Coloured,
    Forward,
    From,
    Quiet,
    Since,
    Stats,
    Timezone,
    To,
    bounds_of,
    has_colours,
    zone_of,
)

if TYPE_CHECKING:
    from loki_py.app.ask import LogAsk
    from loki_py.app.parts import PartsAsk
    from loki_py.app.printing import Look

DEFAULT, RAW, JSONL = OUTPUTS = ("default", "raw", "jsonl")
DELAY_S_MAX = 5
LIMIT_MAX = 5_000
NS_PER_S = 1_000_000_000

Query = Annotated[str, typer.Argument(metavar="QUERY", help="A LogQL query.")]
LogQuery = Annotated[str, typer.Argument(metavar="QUERY", help="A log query.")]
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


def query(
    logql: Query,
    *,
    client: LokiClient,
    since: Since = "1h",
    start: From = "",
    end: To = "",
    limit: Limit = 30,
    batch: Batch = 1000,
    forward: Forward = False,
    step: Step = "",
    interval: Interval = "",
    output: Output = DEFAULT,
    no_labels: NoLabels = False,
    include: Included = None,
    exclude: Excluded = None,
    common: Common = False,
    length: Length = 0,
    coloured: Coloured = False,
    follow: Follow = False,
    delay_for: DelayFor = 0,
    live: Live = False,
    part: PartDuration = "1h",
    workers: Workers = 1,
    prefix: Prefix = "",
    overwrite: Overwrite = False,
    merge: Merge = False,
    keep: Keep = False,
    timezone: Timezone = "Local",
    quiet: Quiet = False,
    stats: Stats = False,
) -> None:
    """Ask a LogQL query over a range of time."""
    from loki_py.app.ask import LogAsk  # noqa: PLC0415
    from loki_py.app.parts import PartsAsk  # noqa: PLC0415

    start_ns, end_ns = bounds_of(since, start, end, timezone)
    asked = LogAsk(logql, start_ns, end_ns, limit, batch, forward, step, interval)
    look = replace(
        _look_of(output, timezone, include, exclude, length, has_labels=not no_labels),
        has_common_labels=common,
        has_colours=coloured or has_colours(),
    )
    parts = PartsAsk(
        _part_ns_of(part), workers, prefix, overwrite=overwrite, merge=merge, keep=keep
    )
    if follow:
        _follow(asked, delay_for, client, look, is_live=live, quiet=quiet)
    else:
        _ask(asked, parts, client, look, quiet=quiet, has_stats=stats)


def tail(
    logql: LogQuery,
    *,
    client: LokiClient,
    since: Since = "1h",
    start: From = "",
    limit: Backlog = 30,
    delay_for: DelayFor = 0,
    live: Live = False,
    output: Output = DEFAULT,
    no_labels: NoLabels = False,
    include: Included = None,
    exclude: Excluded = None,
    length: Length = 0,
    coloured: Coloured = False,
    timezone: Timezone = "Local",
    quiet: Quiet = False,
) -> None:
    """Show the entries of a log query as they come; the same as `query --tail`."""
    from loki_py.app.ask import LogAsk  # noqa: PLC0415

    start_ns, end_ns = bounds_of(since, start, "", timezone)
    look = _look_of(
        output, timezone, include, exclude, length, has_labels=not no_labels
    )
    look = replace(look, has_colours=coloured or has_colours())
    asked = LogAsk(logql, start_ns, end_ns, limit, 1, forward=True)
    _follow(asked, delay_for, client, look, is_live=live, quiet=quiet)


def _ask(
    asked: "LogAsk",
    parts: "PartsAsk",
    client: LokiClient,
    look: "Look",
    *,
    quiet: bool,
    has_stats: bool,
) -> None:
    from loki_py.app.ask import Asker  # noqa: PLC0415
    from loki_py.app.parts import Parts  # noqa: PLC0415

    asker = Asker(client, look, quiet=quiet, has_stats=has_stats)
    if parts.is_asked:
        Parts(asker, parts).query(asked)
    else:
        asker.query(asked)


def _follow(
    asked: "LogAsk",
    delay_s: int,
    client: LokiClient,
    look: "Look",
    *,
    is_live: bool,
    quiet: bool,
) -> None:
    """Show what comes until we are stopped."""
    from loki_py.app.follow import FollowAsk, Printer, follow  # noqa: PLC0415

    ask = FollowAsk(asked.query, asked.start_ns, asked.limit or LIMIT_MAX, delay_s)
    if not is_live:
        follow(client, ask, Printer(look, quiet=quiet))
        return
    if not sys.stdout.isatty():
        raise typer.BadParameter("--live needs a terminal")
    from loki_py.app.live import LiveScreen  # noqa: PLC0415

    with LiveScreen(asked.query, look) as screen:
        follow(client, ask, screen)


def _look_of(
    output: str,
    timezone: str,
    shown: list[str] | None,
    hidden: list[str] | None,
    label_width_min: int,
    *,
    has_labels: bool,
) -> "Look":
    from loki_py.app.printing import Look, Mode  # noqa: PLC0415

    check_output(output)
    return Look(
        mode=cast("Mode", output),
        zone=zone_of(timezone),
        has_labels=has_labels,
        label_width_min=label_width_min,
        labels_shown=shown or (),
        labels_hidden=hidden or (),
        is_inert=sys.stdout.isatty(),
    )


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
