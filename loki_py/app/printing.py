"""Query results as text, the way logcli prints them."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, Literal, TypeAlias

from loki_py.app.inert import inert
from loki_py.app.moments import print_moment
from loki_py.client.answers import Rows
from loki_py.model.labels import quote

Labels: TypeAlias = tuple[tuple[str, str], ...]
Mode: TypeAlias = Literal["default", "raw", "jsonl"]

_BLUE, _RED, _BOLD, _PLAIN = "\x1b[34m", "\x1b[31m", "\x1b[1m", "\x1b[0m"


@dataclass(frozen=True, slots=True)
class Row:
    """One entry as it is shown: metadata is among the labels."""

    timestamp_ns: int
    labels: Labels
    line: str


def rows_of(found: Rows) -> list[Row]:
    """Return the entries in their order."""
    plain = [tuple(sorted(labels.items())) for labels in found.streams]
    labels = [plain[stream] for stream in found.stream]
    if found.extras:
        labels = [
            tuple(sorted({**found.streams[stream], **extra.merged()}.items()))
            for stream, extra in zip(found.stream, found.extras, strict=True)
        ]
    columns = zip(found.timestamp_ns, labels, found.lines, strict=True)
    return [Row(*cells) for cells in columns]


@dataclass(frozen=True, slots=True)
class Look:
    """How entries are shown.

    Attributes:
        zone: of timestamps; None for the local one.
        label_width_min: labels are padded to at least so many characters.
        labels_shown: where not empty, only these.
        labels_hidden: never these.
        is_inert: show control characters as pictures, but in raw output.
    """

    mode: Mode = "default"
    zone: tzinfo | None = None
    has_colours: bool = False
    has_labels: bool = True
    has_common_labels: bool = False
    label_width_min: int = 0
    labels_shown: Sequence[str] = ()
    labels_hidden: Sequence[str] = ()
    is_inert: bool = False

    def blue(self, text: str) -> str:
        """Return `text`, blue on a terminal."""
        return f"{_BLUE}{text}{_PLAIN}" if self.has_colours else text

    def bold(self, text: str) -> str:
        """Return `text`, bold on a terminal."""
        return f"{_BOLD}{text}{_PLAIN}" if self.has_colours else text

    def red(self, text: str) -> str:
        """Return `text`, red on a terminal."""
        return f"{_RED}{text}{_PLAIN}" if self.has_colours else text


def lines_of(rows: Sequence[Row], look: Look, common: Labels) -> Iterator[str]:
    """Yield one text for each row.

    Args:
        common: labels that all rows share; they are left out unless wanted.
    """
    if look.mode == "raw":
        yield from (row.line.removesuffix("\n") for row in rows)
        return
    shown = {labels: shown_labels(labels, look, common) for labels in _distinct(rows)}
    if look.mode == "jsonl":
        yield from (_json_line(row, shown[row.labels], look) for row in rows)
        return
    texts = {labels: print_labels(kept) for labels, kept in shown.items()}
    width = max(look.label_width_min, *map(len, texts.values()), 0)
    for row in rows:
        moment = look.blue(print_moment(row.timestamp_ns, look.zone))
        line = row.line.strip()
        if look.is_inert:
            line = inert(line)
        if look.has_labels:
            labels = look.red(texts[row.labels].ljust(width))
            yield f"{moment} {labels} {line}"
        else:
            yield f"{moment} {line}"


def common_labels(rows: Iterable[Row]) -> Labels:
    """Return the labels that all rows have with the same value."""
    distinct = [set(labels) for labels in _distinct(rows)]
    if not distinct:
        return ()
    return tuple(sorted(set.intersection(*distinct)))


def notes_of(look: Look, common: Labels) -> Iterator[str]:
    """Yield what is said beside the entries: which labels are not shown."""
    common = tuple(pair for pair in common if pair[0] not in look.labels_shown)
    if common:
        yield f"Common labels: {look.red(print_labels(common))}"
    if look.labels_hidden:
        yield f"Ignoring labels key: {look.red(','.join(look.labels_hidden))}"
    if look.labels_shown:
        yield f"Print only labels key: {look.red(','.join(look.labels_shown))}"


def print_labels(labels: Labels) -> str:
    """Return the labels as LogQL writes them, empty values too."""
    return "{" + ", ".join(f"{name}={quote(value)}" for name, value in labels) + "}"


def print_samples(result: Any) -> str:
    """Return a metric result as indented JSON."""
    return json.dumps(result, indent=2, ensure_ascii=False)


def stats_lines(
    stats: Mapping[str, Any], look: Look, prefix: str = ""
) -> Iterator[str]:
    """Yield one text for each figure that is not 0: `Summary.ExecTime  0.0123`."""
    for key, value in stats.items():
        name = f"{prefix}{key[:1].upper()}{key[1:]}"
        if isinstance(value, Mapping):
            yield from stats_lines(value, look, f"{name}.")
        elif value:
            yield f"{look.blue(name)}\t{json.dumps(value)}"


def _distinct(rows: Iterable[Row]) -> Iterable[Labels]:
    return dict.fromkeys(row.labels for row in rows)


def shown_labels(labels: Labels, look: Look, common: Labels) -> Labels:
    """Return the labels of an entry that are shown.

    Args:
        common: left out, unless asked for.
    """
    hidden: set[tuple[str, str]] = set()
    if not look.has_common_labels:
        hidden = {pair for pair in common if pair[0] not in look.labels_shown}
    wanted: Callable[[str], bool] = (
        look.labels_shown.__contains__ if look.labels_shown else lambda _name: True
    )
    return tuple(
        (name, value)
        for name, value in labels
        if (name, value) not in hidden
        and wanted(name)
        and name not in look.labels_hidden
    )


def _json_line(row: Row, labels: Labels, look: Look) -> str:
    told: dict[str, Any] = {}
    if look.has_labels:
        told["labels"] = dict(labels)
    told["line"] = row.line
    told["timestamp"] = print_moment(row.timestamp_ns, look.zone, digits=True)
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))
