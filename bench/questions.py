"""The questions of the benchmarks, in LogQL and in VictoriaLogs' LogsQL."""

import json
import math
from dataclasses import dataclass, field

from generate import NS_PER_S, Workload

ALL = '{env=~"prod|dev"}'
QUARTER = '{region="eu-west"}'


@dataclass(frozen=True)
class Question:
    """One question and what it may cost.

    Attributes:
        name: in results.
        logql: the query; TRACE stands for the trace id that is looked for.
        bound_ms: what it may take on two cores, warm and flushed; None where
            it is bound by another question.
        limit: of lines; None for metrics.
        step_s: of metrics.
        logsql: the same for VictoriaLogs; None where it has no equal.
    """

    name: str
    logql: str
    bound_ms: float | None
    limit: int | None = None
    step_s: int = 60
    logsql: str | None = None

    def path(self) -> str:
        return "/loki/api/v1/query_range"

    def params(self, workload: Workload) -> dict[str, str]:
        found = {
            "query": self.logql.replace("TRACE", workload.needle()),
            "start": str(workload.start_ns),
            "end": str(workload.end_ns),
        }
        if self.limit is None:
            return {**found, "step": str(self.step_s)}
        return {**found, "limit": str(self.limit)}

    def logsql_path(self) -> str:
        if self.limit is not None:
            return "/select/logsql/query"
        return "/select/logsql/stats_query_range"

    def logsql_params(self, workload: Workload) -> dict[str, str]:
        found = {
            "query": self.logsql.replace("TRACE", workload.needle()),
            "start": str(workload.start_ns / NS_PER_S),
            "end": str(workload.end_ns / NS_PER_S),
        }
        if self.limit is None:
            return {**found, "step": f"{self.step_s}s"}
        return {**found, "limit": str(self.limit)}


@dataclass
class Answer:
    """What came back, as far as it can be compared between stores."""

    lines: int = 0
    series: int = 0
    total: float = field(default=0.0)

    def is_close_to(self, other: "Answer") -> bool:
        """Tell whether two stores may have said the same, sums of floats apart."""
        return (
            self.lines == other.lines
            and self.series == other.series
            and math.isclose(self.total, other.total, rel_tol=1e-6, abs_tol=1e-3)
        )


def answer_of(body: bytes) -> Answer:
    """Return the size of a Loki answer."""
    data = json.loads(body)["data"]
    answer = Answer(series=len(data["result"]))
    for series in data["result"]:
        if data["resultType"] == "streams":
            answer.lines += len(series["values"])
        else:
            values = series.get("values") or [series["value"]]
            answer.total += sum(float(value) for _, value in values)
    answer.total = round(answer.total, 3)
    return answer


def logsql_answer_of(body: bytes) -> Answer:
    """Return the size of a VictoriaLogs answer."""
    if not body.lstrip().startswith(b'{"status"'):
        return Answer(lines=len(body.splitlines()))
    result = json.loads(body)["data"]["result"]
    total = sum(float(value) for series in result for _, value in series["values"])
    return Answer(series=len(result), total=round(total, 3))


LOGFMT = (
    Question("needle", f'{ALL} |= "TRACE"', 200, limit=100, logsql=f'{ALL} ~"TRACE"'),
    Question("newest", '{app="app7"}', 12, limit=1000, logsql='{app="app7"}'),
    Question(
        "filter_limit",
        '{env="prod"} |= "status=500"',
        15,
        limit=1000,
        logsql='{env="prod"} ~"status=500"',
    ),
    Question(
        "rate_by_app",
        'sum by (app) (rate({env="prod"}[1m]))',
        30,
        logsql='{env="prod"} | stats by (app) count() as n',
    ),
    Question(
        "errors_by_app",
        'sum by (app) (count_over_time({env="prod"} |= "level=error" [1m]))',
        200,
        logsql='{env="prod"} ~"level=error" | stats by (app) count() as n',
    ),
    Question(
        "regex_count",
        f'sum(count_over_time({ALL} |~ "path=/api/v[12]/[co].* status=5" [1m]))',
        350,
        logsql=f'{ALL} ~"path=/api/v[12]/[co].* status=5" | stats count() as n',
    ),
    Question(
        "by_status",
        f"sum by (status) (count_over_time({QUARTER} | logfmt [1m]))",
        130,
        logsql=f"{QUARTER} | unpack_logfmt fields (status)"
        " | stats by (status) count() as n",
    ),
    Question(
        "quantile",
        f"quantile_over_time(0.99, {QUARTER} | logfmt"
        " | unwrap duration_seconds(duration) [1m]) by (app)",
        200,
        logsql=f"{QUARTER} | unpack_logfmt fields (duration) | math duration as took"
        " | stats by (app) quantile(0.99, took) as n",
    ),
    Question(
        "top_paths",
        'topk(3, sum by (path) (rate({app="app7"} | logfmt | level="error" [5m])))',
        40,
        logsql='{app="app7"} | unpack_logfmt fields (path, level)'
        " | filter level:=error | stats by (path) count() as n",
    ),
)

# No slower than their logfmt twins, which share the second word of the name.
JSON = (
    Question(
        "json_by_status",
        f"sum by (status) (count_over_time({QUARTER} | json [1m]))",
        130,
        logsql=f"{QUARTER} | stats by (status) count() as n",
    ),
    Question(
        "json_quantile",
        f"quantile_over_time(0.99, {QUARTER} | json"
        " | unwrap duration_seconds(duration) [1m]) by (app)",
        200,
        logsql=f"{QUARTER} | math duration as took"
        " | stats by (app) quantile(0.99, took) as n",
    ),
    Question(
        "json_top_paths",
        'topk(3, sum by (path) (rate({app="app7"} | json | level="error" [5m])))',
        40,
        logsql='{app="app7"} level:=error | stats by (path) count() as n',
    ),
)

# Every second over an hour: at most twice `rate_by_app` and `by_status`.
FINE = (
    Question(
        "rate_by_app_step_1s", 'sum by (app) (rate({env="prod"}[1m]))', 60, step_s=1
    ),
    Question(
        "by_status_step_1s",
        f"sum by (status) (count_over_time({QUARTER} | logfmt [1m]))",
        260,
        step_s=1,
    ),
)
