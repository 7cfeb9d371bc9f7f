"""Asking what there is: statistics, volumes, detected fields."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import msgspec

from loki_py.app.ask import Params, print_lines
from loki_py.app.http_client import LokiClient
from loki_py.app.printing import Look, print_samples, stats_lines
from loki_py.querier.texts import decimal_size_text

_STATS = ("bytes", "chunks", "streams", "entries")


@dataclass(frozen=True, slots=True)
class VolumeAsk:
    """What volumes are asked for.

    Attributes:
        targets: the labels to add up by; none for those of the query.
        by_label: whether to add up by label name.
        step: between the ends of spans; "" for one span.
    """

    query: str
    start_ns: int
    end_ns: int
    limit: int
    targets: Sequence[str] = ()
    by_label: bool = False
    is_range: bool = False
    step: str = ""


@dataclass(frozen=True, slots=True)
class FieldsAsk:
    """What fields are asked for; with a name, the values of that one."""

    query: str
    start_ns: int
    end_ns: int
    limit: int
    line_limit: int
    step: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class IndexAsker:
    """Asks a server and prints what it says.

    Attributes:
        quiet: say nothing beside the result.
        has_stats: say what the request cost.
    """

    client: LokiClient
    look: Look
    quiet: bool = False
    has_stats: bool = False

    def stats(self, query: str, *, start_ns: int, end_ns: int) -> None:
        """Print how much a selector selects.

        Raises: RequestFailed.
        """
        found = self._asked(
            "/loki/api/v1/index/stats", _params(query, start_ns, end_ns)
        )
        print("{")
        for name in _STATS:
            value = int(found.get(name) or 0)
            shown = print_size(value) if name == "bytes" else str(value)
            print(f"  {self.look.blue(name)}: {shown}")
        print("}")

    def volume(self, asked: VolumeAsk) -> None:
        """Print bytes by series.

        Raises: RequestFailed.
        """
        params = _params(asked.query, asked.start_ns, asked.end_ns)
        params.append(("limit", str(asked.limit)))
        if asked.targets:
            params.append(("targetLabels", ",".join(asked.targets)))
        if asked.by_label:
            params.append(("aggregateBy", "labels"))
        if asked.step:
            params.append(("step", asked.step))
        name = "volume_range" if asked.is_range else "volume"
        data = self._asked(f"/loki/api/v1/index/{name}", params)["data"]
        if self.has_stats:
            for line in stats_lines(data.get("stats", {}), self.look):
                print(line, file=sys.stderr)
        print(print_samples(data["result"]))

    def fields(self, asked: FieldsAsk, *, is_json: bool = False) -> None:
        """Print fields with their types, or the values of one.

        Args:
            is_json: a JSON object a line, with all that is known of the field.

        Raises: RequestFailed.
        """
        params = _params(asked.query, asked.start_ns, asked.end_ns)
        params.append(("limit", str(asked.limit)))
        params.append(("line_limit", str(asked.line_limit)))
        if asked.step:
            params.append(("step", asked.step))
        if asked.name:
            name = quote(asked.name, safe="")
            path = f"/loki/api/v1/detected_field/{name}/values"
            print_lines(self._asked(path, params).get("values") or ())
            return
        found = self._asked("/loki/api/v1/detected_fields", params).get("fields") or ()
        if is_json:
            print_lines([msgspec.json.encode(each).decode() for each in found])
            return
        print_lines(
            sorted(
                f"label: {self.look.bold(each['label'])}\t\t"
                f"type: {self.look.bold(each['type'])}\t\t"
                f"cardinality: {self.look.bold(str(each['cardinality']))}"
                for each in found
            )
        )

    def _asked(self, path: str, params: Params) -> Any:
        if not self.quiet:
            print(self.client.url_of(path, params), file=sys.stderr)
        return msgspec.json.decode(self.client.get(path, params))


def print_size(size_bytes: int) -> str:
    """Return a size as logcli prints it: `1.5kB`."""
    return decimal_size_text(size_bytes).replace(" ", "")


def _params(query: str, start_ns: int, end_ns: int) -> Params:
    return [("query", query), ("start", str(start_ns)), ("end", str(end_ns))]
