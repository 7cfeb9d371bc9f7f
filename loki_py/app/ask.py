"""The asking commands: query, instant-query, labels, series."""

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TextIO, TypeAlias
from urllib.parse import quote

import msgspec

from loki_py.app.http_client import QUERY, QUERY_RANGE, Answering
from loki_py.app.printing import (
    Labels,
    Look,
    common_labels,
    lines_of,
    notes_of,
    print_labels,
    print_samples,
    rows_of,
    stats_lines,
)
from loki_py.client.answers import Rows, decode_rows
from loki_py.client.paging import Page, pages
from loki_py.config.units import NS_PER_S

Params: TypeAlias = list[tuple[str, str]]


class _Result(msgspec.Struct):
    kind: str = msgspec.field(name="resultType")
    result: msgspec.Raw
    stats: dict[str, Any] = {}


class _Answer(msgspec.Struct):
    data: _Result
    warnings: list[str] = []


@dataclass(frozen=True, slots=True)
class LogAsk:
    """A range query.

    Attributes:
        limit: entries at most; 0 means every one.
        batch: entries that one request asks for.
    """

    query: str
    start_ns: int
    end_ns: int
    limit: int
    batch: int
    forward: bool
    step: str = ""
    interval: str = ""

    def params(self, page: Page) -> Params:
        """Return the parameters of one page."""
        extra = [("step", self.step), ("interval", self.interval)]
        return page.params(self.query) + [(name, text) for name, text in extra if text]


class IsMetric(Exception):  # not an error
    """Ends the paging of what turned out not to be entries."""

    def __init__(self, answer: _Answer) -> None:
        super().__init__()
        self.answer = answer


@dataclass(slots=True)
class Asker:
    """Asks a server and prints what it says.

    Attributes:
        quiet: say nothing beside the result.
        has_stats: say what each request cost.
    """

    client: Answering
    look: Look
    quiet: bool = False
    has_stats: bool = False
    _noted: Labels | None = None

    def query(self, asked: LogAsk) -> None:
        """Print the entries or samples of a range query.

        Raises: RequestFailed.
        """
        try:
            for found in self.pages(asked):
                rows = rows_of(found)
                common = common_labels(rows)
                if common != self._noted:
                    self._noted = common
                    for note in notes_of(self.look, common):
                        self.note(note)
                print_lines(lines_of(rows, self.look, common))
        except IsMetric as samples:
            _print_samples(samples.answer)

    def pages(self, asked: LogAsk) -> Iterator[Rows]:
        """Yield the entries of a range query, page by page.

        Raises: RequestFailed, IsMetric.
        """

        def fetch(page: Page) -> Rows:
            params = asked.params(page)
            self.note(self.client.url_of(QUERY_RANGE, params))
            body = self.client.get(QUERY_RANGE, params)
            answer = self._told(body)
            if answer.data.kind != "streams":
                raise IsMetric(answer)
            return decode_rows(body, forward=asked.forward)

        whole = Page(asked.start_ns, asked.end_ns, asked.batch, asked.forward)
        return pages(fetch, whole, entries_max=asked.limit or None)

    def instant_query(self, query: str, *, limit: int, time_ns: int | None) -> None:
        """Print the samples of an instant query.

        Raises: RequestFailed.
        """
        params = [("limit", str(limit)), ("query", query)]
        if time_ns is not None:
            params.append(("time", str(time_ns)))
        self.note(self.client.url_of(QUERY, params))
        _print_samples(self._told(self.client.get(QUERY, params)))

    def labels(self, name: str | None, *, start_ns: int, end_ns: int) -> None:
        """Print label names, or the values of one label.

        Raises: RequestFailed.
        """
        path = "/loki/api/v1/labels"
        if name:
            path = f"/loki/api/v1/label/{quote(name, safe='')}/values"
        told = self._list(path, [("start", str(start_ns)), ("end", str(end_ns))])
        print_lines(told)

    def series(
        self, matchers: Sequence[str], *, start_ns: int, end_ns: int, analyze: bool
    ) -> None:
        """Print label sets, or how many values each label has.

        Raises: RequestFailed.
        """
        params = [("start", str(start_ns)), ("end", str(end_ns))]
        params += [("match[]", matcher) for matcher in matchers]
        found = self._list("/loki/api/v1/series", params)
        if not analyze:
            sets = (tuple(sorted(labels.items())) for labels in found)
            print_lines(sorted(map(print_labels, sets)))
            return
        print_lines(_analysis_of(found))

    def _list(self, path: str, params: Params) -> list[Any]:
        self.note(self.client.url_of(path, params))
        told: list[Any] = msgspec.json.decode(self.client.get(path, params)).get(
            "data", []
        )
        return told

    def _told(self, body: bytes) -> _Answer:
        """Return an answer, after what is to be said beside it."""
        answer = msgspec.json.decode(body, type=_Answer)
        for warning in answer.warnings:
            self._say(f"warning: {warning}")
        if self.has_stats:
            for line in stats_lines(answer.data.stats, self.look):
                self._say(line)
        return answer

    def note(self, text: str) -> None:
        """Say something beside the result, unless quiet."""
        if not self.quiet:
            self._say(text)

    @staticmethod
    def _say(text: str) -> None:
        print(text, file=sys.stderr)


def now_ns() -> int:
    """Return the time, rounded up to a whole second: what was just pushed is in."""
    return (time.time_ns() // NS_PER_S + 1) * NS_PER_S


def _analysis_of(found: Sequence[dict[str, str]]) -> list[str]:
    """Return a table: for each label in how many streams it is, and its values."""
    values: dict[str, list[str]] = {}
    for labels in found:
        for name, value in labels.items():
            values.setdefault(name, []).append(value)
    ranked = sorted(values.items(), key=lambda item: -len(set(item[1])))
    width = max([len("Label Name"), *map(len, values)]) + 2
    lines = [
        f"Total Streams:  {len(found)}",
        f"Unique Labels:  {len(values)}",
        "",
        f"{'Label Name'.ljust(width)}Unique Values  Found In Streams",
    ]
    return lines + [
        f"{name.ljust(width)}{len(set(held)):<15}{len(held)}" for name, held in ranked
    ]


def _print_samples(answer: _Answer) -> None:
    print(print_samples(msgspec.json.decode(answer.data.result)))


def print_lines(lines: Iterable[str], out: TextIO | None = None) -> None:
    """Print lines, at once: on standard output where nothing else is said."""
    text = "\n".join(lines)
    if text:
        (out or sys.stdout).write(f"{text}\n")
