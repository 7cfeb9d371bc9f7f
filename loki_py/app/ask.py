"""The asking commands: query, instant-query, labels, series."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec

from loki_py.app.http_client import LokiClient
from loki_py.app.moments import NS_PER_S
from loki_py.app.paging import Ask, Stream, pages
from loki_py.app.printing import (
    Look,
    common_labels,
    lines_of,
    notes_of,
    print_labels,
    print_samples,
    stats_lines,
)

Params: TypeAlias = list[tuple[str, str]]

QUERY_RANGE = "/loki/api/v1/query_range"
QUERY = "/loki/api/v1/query"


class _Data(msgspec.Struct):
    resultType: str  # noqa: N815  # the name on the wire
    result: msgspec.Raw
    stats: dict[str, Any] = {}


class _Answer(msgspec.Struct):
    data: _Data
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

    def params(self, ask: Ask) -> Params:
        """Return the parameters of one page."""
        params = [
            ("direction", "FORWARD" if self.forward else "BACKWARD"),
            ("end", str(ask.end_ns)),
            ("limit", str(ask.limit)),
            ("query", self.query),
            ("start", str(ask.start_ns)),
        ]
        extra = [("step", self.step), ("interval", self.interval)]
        return params + [(name, text) for name, text in extra if text]


class _Samples(Exception):  # not an error: the query is a metric query
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

    client: LokiClient
    look: Look
    quiet: bool = False
    has_stats: bool = False
    _noted: bool = False

    def query(self, asked: LogAsk) -> None:
        """Print the entries or samples of a range query.

        Raises: RequestFailed.
        """

        def fetch(ask: Ask) -> list[Stream]:
            params = asked.params(ask)
            self._note(self.client.url_of(QUERY_RANGE, params))
            answer = self._answer(QUERY_RANGE, params)
            if answer.data.resultType != "streams":
                raise _Samples(answer)
            return msgspec.json.decode(answer.data.result, type=list[Stream])

        try:
            found = pages(
                fetch,
                start_ns=asked.start_ns,
                end_ns=asked.end_ns,
                limit=asked.limit,
                batch=asked.batch,
                forward=asked.forward,
            )
            for rows in found:
                common = common_labels(rows)
                if not self._noted:
                    self._noted = True
                    for note in notes_of(self.look, common):
                        self._note(note)
                _print_lines(lines_of(rows, self.look, common))
        except _Samples as samples:
            _print_samples(samples.answer)

    def instant_query(self, query: str, *, limit: int, time_ns: int | None) -> None:
        """Print the samples of an instant query.

        Raises: RequestFailed.
        """
        params = [("limit", str(limit)), ("query", query)]
        if time_ns is not None:
            params.append(("time", str(time_ns)))
        self._note(self.client.url_of(QUERY, params))
        _print_samples(self._answer(QUERY, params))

    def labels(self, name: str | None, *, start_ns: int, end_ns: int) -> None:
        """Print label names, or the values of one label.

        Raises: RequestFailed.
        """
        path = f"/loki/api/v1/label/{name}/values" if name else "/loki/api/v1/labels"
        told = self._list(path, [("start", str(start_ns)), ("end", str(end_ns))])
        _print_lines(told)

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
            _print_lines(sorted(map(print_labels, sets)))
            return
        _print_lines(_analysis_of(found))

    def _list(self, path: str, params: Params) -> list[Any]:
        self._note(self.client.url_of(path, params))
        told: list[Any] = msgspec.json.decode(self.client.get(path, params)).get(
            "data", []
        )
        return told

    def _answer(self, path: str, params: Params) -> _Answer:
        answer = msgspec.json.decode(self.client.get(path, params), type=_Answer)
        for warning in answer.warnings:
            self._say(f"warning: {warning}")
        if self.has_stats:
            for line in stats_lines(answer.data.stats, self.look):
                self._say(line)
        return answer

    def _note(self, text: str) -> None:
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


def _print_lines(lines: Any) -> None:
    text = "\n".join(lines)
    if text:
        sys.stdout.write(f"{text}\n")
