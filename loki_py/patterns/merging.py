"""Rows of patterns from everywhere to the patterns of an answer.

What one instance counted is in several places, each line in one of them: it is
added up. What several instances counted are replicas of the same lines: of
those, the highest count is the one that missed least.

Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from loki_py.model.pattern_rows import SPAN_NS, PatternRows

PATTERNS_MAX = 5_000
"""Patterns of an answer; those with the fewest lines are left out."""

_KEY = ["stream", "level", "pattern", "time"]


@dataclass(frozen=True, slots=True)
class Pattern:
    """One pattern of the lines of one level.

    Attributes:
        samples: (start of the step in ns, lines), ascending.
    """

    pattern: str
    level: str
    samples: Sequence[tuple[int, int]]


def merged_patterns(
    parts: Sequence[tuple[str, PatternRows]], *, step_ns: int
) -> list[Pattern]:
    """Return the patterns of rows and who counted them, most lines first."""
    filled = [(writer, rows) for writer, rows in parts if len(rows)]
    if not filled:
        return []
    table = pa.concat_tables([_plain(writer, rows) for writer, rows in filled])
    by_writer = table.group_by([*_KEY, "writer"]).aggregate([("lines", "sum")])
    by_stream = by_writer.group_by(_KEY).aggregate([("lines_sum", "max")])
    step_ns = max(step_ns, SPAN_NS)
    times = by_stream["time"].to_numpy()
    steps = pa.table(
        {
            "pattern": by_stream["pattern"],
            "level": by_stream["level"],
            "time": times - times % step_ns,
            "lines": by_stream["lines_sum_max"],
        }
    )
    total = steps.group_by(["pattern", "level", "time"]).aggregate([("lines", "sum")])
    return _patterns_of(total.sort_by("time"))


def _plain(writer: str, rows: PatternRows) -> "pa.Table":
    columns = {name: rows[name].cast(pa.string()) for name in _KEY[:3]}
    columns["time"] = rows["time"].cast(pa.int64())
    columns["lines"] = rows["lines"]
    columns["writer"] = pa.repeat(writer, len(rows)).cast(pa.string())
    return pa.table(columns)


def _patterns_of(total: "pa.Table") -> list[Pattern]:
    found: dict[tuple[str, str], list[tuple[int, int]]] = {}
    lines = np.rint(total["lines_sum"].to_numpy()).astype(np.int64)
    for pattern, level, time_ns, count in zip(
        total["pattern"].to_pylist(),
        total["level"].to_pylist(),
        total["time"].to_pylist(),
        lines.tolist(),
        strict=True,
    ):
        found.setdefault((pattern, level), []).append((time_ns, count))
    patterns = [Pattern(text, level, s) for (text, level), s in found.items()]
    patterns.sort(key=lambda p: (-sum(n for _, n in p.samples), p.pattern, p.level))
    return patterns[:PATTERNS_MAX]
