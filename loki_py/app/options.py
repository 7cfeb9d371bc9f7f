"""Options that several commands share, under logcli's names, and how they are joined.

A command takes options one by one, or several as one argument: a dataclass whose
fields are options. `expanded` makes of such a command one that Typer understands.
"""

import inspect
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, tzinfo
from typing import Annotated, Any, get_type_hints
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer
from typer.models import OptionInfo

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
Coloured = Annotated[
    bool, typer.Option("--colored-output", help="Colours, though not on a terminal.")
]


@dataclass(frozen=True, slots=True)
class Beginning:
    """From when on."""

    since: Since = "1h"
    start: From = ""
    timezone: Timezone = "Local"

    def bounds(self) -> tuple[int, int]:
        """Return the interval up to now, in nanoseconds."""
        return bounds_of(self.since, self.start, "", self.timezone)


@dataclass(frozen=True, slots=True)
class Span(Beginning):
    """From when on, and until when."""

    end: To = ""

    def bounds(self) -> tuple[int, int]:
        """Return the interval, in nanoseconds."""
        return bounds_of(self.since, self.start, self.end, self.timezone)


@dataclass(frozen=True, slots=True)
class Told:
    """What is said beside the result."""

    quiet: Quiet = False
    stats: Stats = False


_TAKEN_EVERYWHERE: dict[str, tuple[Any, Any, Any]] = {
    "quiet": (bool, False, typer.Option("--quiet", "-q", hidden=True)),
    "stats": (bool, False, typer.Option("--stats", hidden=True)),
    "output": (str, "", typer.Option("--output", "-o", hidden=True)),
    "timezone": (str, "", typer.Option("--timezone", "-z", hidden=True)),
}
"""Options that logcli takes with every command, though few heed them."""


def expanded(command: Callable[..., None]) -> Callable[..., None]:
    """Return the command with the options of its dataclasses in place of these.

    It also takes, and ignores, what logcli takes everywhere.
    """
    own = inspect.signature(command, eval_str=True)
    groups: dict[str, Any] = {
        parameter.name: parameter.annotation
        for parameter in own.parameters.values()
        if is_dataclass(parameter.annotation)
    }
    parameters: list[inspect.Parameter] = []
    for parameter in own.parameters.values():
        group = groups.get(parameter.name)
        parameters += [parameter] if group is None else _parameters_of(group)
    known = _names_of(parameter.annotation for parameter in parameters)
    ignored = {
        name: taken
        for name, taken in _TAKEN_EVERYWHERE.items()
        if not known.intersection(_declared(taken[2]))
    }
    parameters += [
        _parameter(name, Annotated[kind, option], default)
        for name, (kind, default, option) in ignored.items()
    ]

    def run(**given: Any) -> None:
        heeded = {name: value for name, value in given.items() if name not in ignored}
        for name, group in groups.items():
            values = {each.name: heeded.pop(each.name) for each in fields(group)}
            heeded[name] = group(**values)
        command(**heeded)

    run.__doc__ = command.__doc__
    run.__name__ = command.__name__
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    run.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    return run


def _parameters_of(group: Any) -> list[inspect.Parameter]:
    kinds = get_type_hints(group, include_extras=True)
    return [
        _parameter(each.name, kinds[each.name], each.default) for each in fields(group)
    ]


def _parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=annotation,
    )


def _names_of(annotations: Iterable[Any]) -> set[str]:
    return {
        name
        for annotation in annotations
        for option in getattr(annotation, "__metadata__", ())
        if isinstance(option, OptionInfo)
        for name in _declared(option)
    }


def _declared(option: Any) -> set[str]:
    """Return the names of an option, which Typer keeps in two places."""
    return {option.default, *option.param_decls}


def in_front_moved(arguments: Sequence[str], group: Any) -> list[str]:
    """Return the arguments with options before the command put behind it.

    logcli takes them at either place: `logcli --addr=… query …`.

    Args:
        group: the options that may stand there, beside those taken everywhere.
    """
    takes_value = {
        name: kind is not bool
        for kind, _, option in _TAKEN_EVERYWHERE.values()
        for name in _declared(option)
    }
    for annotation in get_type_hints(group, include_extras=True).values():
        is_value = annotation.__origin__ is not bool
        takes_value |= dict.fromkeys(_names_of([annotation]), is_value)
    moved: list[str] = []
    rest = list(arguments)
    while rest:
        name, equals, _ = rest[0].partition("=")
        if name not in takes_value:
            break
        count = 1 if equals or not takes_value[name] else 2
        moved += rest[:count]
        del rest[:count]
    return [*rest[:1], *moved, *rest[1:]]


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
