"""A view that fills the terminal: the newest entries, coloured by level."""

import sys
import threading
from collections import Counter, deque
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from loki_py.app.inert import inert_row
from loki_py.app.moments import print_clock
from loki_py.app.printing import Labels, Look, Row, print_labels, shown_labels
from loki_py.client.answers import DroppedEntry

ROWS_KEPT = 1_000
REFRESHES_PER_S = 8
LABELS_WIDTH_SHARE = 3
"""Labels take at most one part in so many of the width."""

WIDE_COLUMNS = 100
"""Narrower terminals show no labels."""

MEDIUM_COLUMNS = 48
"""Narrower ones show the line alone."""

_STYLES = {
    "critical": "bold white on red",
    "fatal": "bold white on red",
    "error": "bold red",
    "warn": "yellow",
    "info": "green",
    "debug": "cyan",
    "trace": "dim",
    "unknown": "",
}
_LEVEL_LABELS = ("detected_level", "level")
_OTHER_NAMES = {"warning": "warn", "err": "error", "crit": "critical", "panic": "fatal"}
_LEVEL_WIDTH = max(map(len, _STYLES))


class LiveScreen:
    """Shows what comes until it is left; then says how much it was."""

    def __init__(self, query: str, look: Look, console: Console | None = None) -> None:
        self._query = query
        self._look = look
        self._console = console or Console(highlight=False)
        self._rows: deque[Row] = deque(maxlen=ROWS_KEPT)
        self._levels: Counter[str] = Counter()
        self._dropped_count = 0
        self._told = ""
        self._changing = threading.Lock()
        self._live = Live(
            get_renderable=self.view,
            console=self._console,
            screen=True,
            refresh_per_second=REFRESHES_PER_S,
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._live.stop()
        print(self._summary(), file=sys.stderr)

    def show(self, rows: list[Row]) -> None:
        """Show entries below the ones before."""
        with self._changing:
            self._rows.extend(rows)
            self._levels.update(level_of(row.labels) for row in rows)
            self._told = ""

    def note(self, text: str) -> None:
        """Show what happened to the tail, until an entry comes."""
        with self._changing:
            self._told = text

    def drop(self, dropped: list[DroppedEntry]) -> None:
        """Count what the server left out."""
        with self._changing:
            self._dropped_count += len(dropped)

    def view(self) -> RenderableType:
        """Return the whole screen as it should be now."""
        size = self._console.size
        with self._changing:
            rows = list(self._rows)[-max(size.height - 2, 0) :]
            head, told = self._head(), self._told
        lines = [self._line(row, size.width) for row in rows]
        blank = [Text()] * max(size.height - 2 - len(lines), 0)
        foot = Text(inert_row(told) or "Ctrl-C ends it", style="dim")
        all_lines = [head, *lines, *blank, foot][: size.height]
        for line in all_lines:
            line.truncate(size.width, overflow="ellipsis")
            line.no_wrap = True
        return Group(*all_lines)

    def _head(self) -> Text:
        parts = [Text(f"{self._levels.total():,} entries", style="bold")]
        if self._dropped_count:
            parts.append(Text(f"{self._dropped_count:,} dropped", style="bold red"))
        for level, style in _STYLES.items():
            if self._levels[level]:
                parts.append(Text(f"{level} {self._levels[level]:,}", style=style))
        parts.append(Text(inert_row(self._query), style="dim"))
        return Text("  ").join(parts)

    def _line(self, row: Row, width: int) -> Text:
        level = level_of(row.labels)
        style = _STYLES[level]
        line = Text()
        if width >= MEDIUM_COLUMNS:
            line.append(print_clock(row.timestamp_ns, self._look.zone), style="dim")
            line.append(f" {level.ljust(_LEVEL_WIDTH)} ", style=style)
        if width >= WIDE_COLUMNS and self._look.has_labels:
            shown = shown_labels(row.labels, self._look, _levels_in(row.labels))
            labels = Text(inert_row(print_labels(shown)), style="magenta")
            labels.truncate(width // LABELS_WIDTH_SHARE, overflow="ellipsis")
            line.append_text(labels).append(" ")
        return line.append(inert_row(row.line.strip()), style=style)

    def _summary(self) -> str:
        counted = f"{self._levels.total():,} entries"
        if not self._dropped_count:
            return counted
        return f"{counted}; {self._dropped_count:,} dropped by the server, we are slow"


def level_of(labels: Labels) -> str:
    """Return the level of an entry, `unknown` where it has none that is known."""
    found = dict(labels)
    for name in _LEVEL_LABELS:
        if name in found:
            level = found[name].lower()
            level = _OTHER_NAMES.get(level, level)
            return level if level in _STYLES else "unknown"
    return "unknown"


def _levels_in(labels: Labels) -> Labels:
    """Return the labels that the column of levels shows already."""
    return tuple(pair for pair in labels if pair[0] in _LEVEL_LABELS)
