"""Queries over lines of standard input, evaluated in this process.

All lines are one stream, `{source="logcli"}`, each a nanosecond after the one before;
the selector of a query chooses nothing and may be left out, as with logcli. Metric
queries are evaluated at one moment, right after the last line.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from loki_py.api.encode import encode_result
from loki_py.api.stats import stats_of
from loki_py.app.http_client import QUERY, QUERY_RANGE
from loki_py.app.push import lines_of_input
from loki_py.errors import RequestRejected
from loki_py.logql.ast import LogQuery
from loki_py.logql.parser import parse
from loki_py.logql.plan import plan_of, run
from loki_py.model.batch import EntryBatch
from loki_py.model.labels import LabelSet
from loki_py.model.scan import BatchUnit, ReadStats, Scan
from loki_py.querier.stats import QueryCost

STREAM = LabelSet.of({"source": "logcli"})
SERIES_MAX = 1024

Lines: TypeAlias = Iterator[list[bytes]]


@dataclass(slots=True)
class StdinClient:
    """Answers queries as a server would that holds these lines.

    Attributes:
        lines: runs of lines, read when first asked.
    """

    lines: Callable[[], Lines] = lambda: lines_of_input(None)
    _units: list[BatchUnit] | None = field(default=None, init=False)

    def get(self, path: str, params: Sequence[tuple[str, str]] = ()) -> bytes:
        """Return the answer to a query.

        Raises: RequestRejected.
        """
        if path not in {QUERY, QUERY_RANGE}:
            raise RequestRejected(f"standard input does not answer {path}")
        asked = dict(params)
        text = asked["query"].strip()
        if text.startswith("|"):
            text = f"{STREAM.text} {text}"
        expr = parse(text)
        units = self._read()
        began_ns = time.monotonic_ns()
        read = ReadStats(
            head_rows=sum(len(unit.batch) for unit in units),
            head_bytes=sum(unit.batch.total_line_bytes() for unit in units),
        )
        end_ns = units[-1].max_ns + 1 if units else time.time_ns()
        plan = plan_of(
            expr,
            start_ns=units[0].min_ns if units else end_ns - 1,
            end_ns=end_ns,
            limit=max(read.head_rows, 1),
            forward=asked.get("direction") == "forward",
            instant=path == QUERY or not isinstance(expr, LogQuery),
            series_max=SERIES_MAX,
        )
        result = run(plan, lambda scan: _ordered(units, scan))
        cost = QueryCost(
            read,
            exec_ns=time.monotonic_ns() - began_ns,
            rows_kept=result.rows_kept,
            streams_matched=1,
        )
        return encode_result(result.data, stats_of(cost), result.warnings)

    def url_of(self, _path: str, _params: Sequence[tuple[str, str]] = ()) -> str:
        """Return where answers come from."""
        return "standard input"

    def _read(self) -> list[BatchUnit]:
        if self._units is None:
            self._units = []
            next_ns = time.time_ns()
            for run_of_lines in self.lines():
                batch = _batch_of(run_of_lines, next_ns)
                if len(batch):
                    self._units.append(BatchUnit(batch))
                    next_ns += len(batch)
        return self._units


def _ordered(units: Sequence[BatchUnit], scan: Scan) -> Sequence[BatchUnit]:
    return units[::-1] if scan.newest_first else units


def _batch_of(lines: Sequence[bytes], start_ns: int) -> EntryBatch:
    texts = [line.decode("utf-8", "replace") for line in lines if line]
    return EntryBatch(
        (STREAM,),
        np.zeros(len(texts), np.uint32),
        np.arange(start_ns, start_ns + len(texts), dtype=np.int64),
        pa.array(texts, pa.large_string()),
    )
