"""The client commands: their options, and what they call.

What a command needs is imported when it runs, so that each starts quickly.
"""

import contextlib
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn, cast

import typer

from loki_py.app.http_client import LokiClient, Target
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
    moment_of,
    zone_of,
)

if TYPE_CHECKING:
    from loki_py.app.ask import LogAsk
    from loki_py.app.printing import Look

PUSH_RETRIES = 10
DEFAULT, RAW, JSONL = OUTPUTS = ("default", "raw", "jsonl")
DELAY_S_MAX = 5
LIMIT_MAX = 5_000

Output = Annotated[str, typer.Option("--output", "-o", help="default, raw or jsonl.")]
LabelsLength = Annotated[int, typer.Option(min=0, help="Pad labels.")]
DelayFor = Annotated[
    int,
    typer.Option(
        "--delay-for",
        min=0,
        max=DELAY_S_MAX,
        help="Seconds to hold entries back, to put them in order.",
    ),
]


def add_to(app: typer.Typer) -> None:
    """Register every client command."""
    app.command("query")(connected(query))
    app.command("tail")(connected(tail))
    app.command("instant-query")(connected(instant_query))
    app.command("labels")(connected(labels))
    app.command("series")(connected(series))
    app.command("push")(connected(push, retries_max=PUSH_RETRIES))


def query(
    logql: Annotated[str, typer.Argument(metavar="QUERY", help="A LogQL query.")],
    *,
    target: Target,
    since: Since = "1h",
    start: From = "",
    end: To = "",
    limit: Annotated[int, typer.Option(min=0, help="Entries; 0 for all.")] = 30,
    batch: Annotated[int, typer.Option(min=1, help="Entries a request.")] = 1000,
    forward: Annotated[bool, typer.Option("--forward", help="Oldest first.")] = False,
    step: Annotated[str, typer.Option(help="Between samples, such as 1m.")] = "",
    interval: Annotated[str, typer.Option(help="Least time between entries.")] = "",
    output: Output = DEFAULT,
    no_labels: Annotated[bool, typer.Option("--no-labels")] = False,
    include_label: Annotated[list[str] | None, typer.Option()] = None,
    exclude_label: Annotated[list[str] | None, typer.Option()] = None,
    include_common_labels: Annotated[
        bool, typer.Option("--include-common-labels")
    ] = False,
    labels_length: LabelsLength = 0,
    follow: Annotated[
        bool, typer.Option("--tail", "-t", "--follow", "-f", help="And what comes.")
    ] = False,
    delay_for: DelayFor = 0,
    timezone: Timezone = "Local",
    quiet: Quiet = False,
    stats: Stats = False,
) -> None:
    """Ask a LogQL query over a range of time."""
    from loki_py.app.ask import Asker, LogAsk  # noqa: PLC0415

    start_ns, end_ns = bounds_of(since, start, end)
    asked = LogAsk(logql, start_ns, end_ns, limit, batch, forward, step, interval)
    look = replace(
        _look_of(output, timezone, include_label, exclude_label),
        has_labels=not no_labels,
        has_common_labels=include_common_labels,
        label_width_min=labels_length,
    )
    client = LokiClient(target)
    if follow:
        _follow(asked, delay_for, client, look, quiet=quiet)
    Asker(client, look, quiet=quiet, has_stats=stats).query(asked)


def tail(
    logql: Annotated[str, typer.Argument(metavar="QUERY", help="A log query.")],
    *,
    target: Target,
    since: Since = "1h",
    start: From = "",
    limit: Annotated[int, typer.Option(min=1, help="Entries from before.")] = 30,
    delay_for: DelayFor = 0,
    output: Output = DEFAULT,
    no_labels: Annotated[bool, typer.Option("--no-labels")] = False,
    include_label: Annotated[list[str] | None, typer.Option()] = None,
    exclude_label: Annotated[list[str] | None, typer.Option()] = None,
    labels_length: LabelsLength = 0,
    timezone: Timezone = "Local",
    quiet: Quiet = False,
) -> None:
    """Show the entries of a log query as they come; the same as `query --tail`."""
    from loki_py.app.ask import LogAsk  # noqa: PLC0415

    start_ns, end_ns = bounds_of(since, start, "")
    look = replace(
        _look_of(output, timezone, include_label, exclude_label),
        has_labels=not no_labels,
        label_width_min=labels_length,
    )
    asked = LogAsk(logql, start_ns, end_ns, limit, 1, forward=True)
    _follow(asked, delay_for, LokiClient(target), look, quiet=quiet)


def _follow(
    asked: "LogAsk", delay_s: int, client: LokiClient, look: "Look", *, quiet: bool
) -> NoReturn:
    """Show what comes until we are stopped, which is a good end."""
    from loki_py.app.follow import FollowAsk, Follower  # noqa: PLC0415

    ask = FollowAsk(asked.query, asked.start_ns, asked.limit or LIMIT_MAX, delay_s)
    with contextlib.suppress(KeyboardInterrupt):
        Follower(client, look, quiet=quiet).follow(ask)
    raise typer.Exit


def _look_of(
    output: str, timezone: str, shown: list[str] | None, hidden: list[str] | None
) -> "Look":
    from loki_py.app.printing import Look, Mode  # noqa: PLC0415

    if output not in OUTPUTS:
        raise typer.BadParameter(f"{output!r} is not one of {', '.join(OUTPUTS)}")
    return Look(
        mode=cast("Mode", output),
        zone=zone_of(timezone),
        has_colours=has_colours(),
        labels_shown=shown or (),
        labels_hidden=hidden or (),
    )


def instant_query(
    logql: Annotated[str, typer.Argument(metavar="QUERY", help="A metric query.")],
    *,
    target: Target,
    limit: Annotated[int, typer.Option(min=1)] = 30,
    now: Annotated[str, typer.Option("--now", help="RFC 3339 or unix time.")] = "",
    quiet: Quiet = False,
    stats: Stats = False,
) -> None:
    """Ask a LogQL metric query at one moment."""
    from loki_py.app.ask import Asker  # noqa: PLC0415
    from loki_py.app.printing import Look  # noqa: PLC0415

    time_ns = moment_of(now, "--now") if now else None
    look = Look(has_colours=has_colours())
    asker = Asker(LokiClient(target), look, quiet=quiet, has_stats=stats)
    asker.instant_query(logql, limit=limit, time_ns=time_ns)


def labels(
    name: Annotated[str | None, typer.Argument(help="List this one's values.")] = None,
    *,
    target: Target,
    since: Since = "1h",
    start: From = "",
    end: To = "",
    quiet: Quiet = False,
) -> None:
    """List label names, or the values of one label."""
    from loki_py.app.ask import Asker  # noqa: PLC0415
    from loki_py.app.printing import Look  # noqa: PLC0415

    start_ns, end_ns = bounds_of(since, start, end)
    asker = Asker(LokiClient(target), Look(), quiet=quiet)
    asker.labels(name, start_ns=start_ns, end_ns=end_ns)


def series(
    matchers: Annotated[
        list[str] | None, typer.Argument(metavar="MATCHER…", help="None means all.")
    ] = None,
    *,
    target: Target,
    since: Since = "1h",
    start: From = "",
    end: To = "",
    analyze_labels: Annotated[bool, typer.Option("--analyze-labels")] = False,
    quiet: Quiet = False,
) -> None:
    """List the label sets of streams."""
    from loki_py.app.ask import Asker  # noqa: PLC0415
    from loki_py.app.printing import Look  # noqa: PLC0415

    start_ns, end_ns = bounds_of(since, start, end)
    asker = Asker(LokiClient(target), Look(), quiet=quiet)
    asker.series(
        matchers or (), start_ns=start_ns, end_ns=end_ns, analyze=analyze_labels
    )


def push(
    files: Annotated[
        list[Path] | None, typer.Argument(help="None, or -, for standard input.")
    ] = None,
    *,
    target: Target,
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
        LokiClient(target),
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
