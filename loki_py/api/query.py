"""Routes that answer questions: queries, labels, label values, series."""

from collections.abc import Callable
from dataclasses import dataclass

from loki_py.api.answers import JSON_HEADERS, Answer, Asked
from loki_py.api.encode import (
    CATEGORIZE_LABELS,
    encode_json,
    encode_names,
    encode_result,
    encode_series,
)
from loki_py.api.params import (
    parse_instant,
    parse_labels,
    parse_range,
    parse_series,
)
from loki_py.api.services import QueryAnswer, QueryService
from loki_py.api.stats import stats_of
from loki_py.errors import RequestRejected, ValidationFailed
from loki_py.runtime.clock import Clock

_FLAGS_HEADER = "x-loki-response-encoding-flags"
_PARQUET_TYPE = "application/vnd.apache.parquet"


@dataclass(frozen=True, slots=True)
class QueryRoutes:
    """Handlers over a query service.

    Attributes:
        print_pretty: LogQL to its pretty form.
    """

    queries: QueryService
    clock: Clock
    print_pretty: Callable[[str], str]

    async def query_range(self, asked: Asked) -> Answer:
        """Answer a query over a range of time."""
        _check_accepted(asked)
        params = parse_range(asked.form, now_ns=self.clock.now_ns())
        found = await self.queries.query_range(
            asked.tenant, params, categorize=_wants_categories(asked)
        )
        return _answer_of(found)

    async def query(self, asked: Asked) -> Answer:
        """Answer a query at one moment."""
        _check_accepted(asked)
        params = parse_instant(asked.form, now_ns=self.clock.now_ns())
        return _answer_of(await self.queries.query(asked.tenant, params))

    async def labels(self, asked: Asked) -> Answer:
        """Answer with label names."""
        params = parse_labels(asked.form, now_ns=self.clock.now_ns())
        return Answer(encode_names(await self.queries.labels(asked.tenant, params)))

    async def label_values(self, asked: Asked) -> Answer:
        """Answer with the values of one label."""
        params = parse_labels(asked.form, now_ns=self.clock.now_ns())
        values = await self.queries.label_values(
            asked.tenant, asked.path["name"], params
        )
        return Answer(encode_names(values))

    async def series(self, asked: Asked) -> Answer:
        """Answer with label sets."""
        params = parse_series(asked.form, now_ns=self.clock.now_ns())
        return Answer(encode_series(await self.queries.series(asked.tenant, params)))

    async def format_query(self, asked: Asked) -> Answer:
        """Answer with the query in its pretty form; errors are JSON here."""
        try:
            pretty = self.print_pretty(asked.form.get("query"))
        except RequestRejected as error:
            body = encode_json({"status": "invalid-query", "error": str(error)})
            return Answer(body, JSON_HEADERS, 400)
        return Answer(encode_json({"status": "success", "data": pretty}))


def _answer_of(found: QueryAnswer) -> Answer:
    return Answer(encode_result(found.result, stats_of(found.cost)))


def _wants_categories(asked: Asked) -> bool:
    flags = asked.headers.get(_FLAGS_HEADER, "")
    return CATEGORIZE_LABELS in (flag.strip() for flag in flags.split(","))


def _check_accepted(asked: Asked) -> None:
    if _PARQUET_TYPE in asked.headers.get("accept", ""):
        raise ValidationFailed(
            "support for Parquet encoded responses is disabled."
            " Enable with -frontend.support-parquet-encoding=true"
        )
