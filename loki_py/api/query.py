"""Routes that answer questions: queries, labels, label values, series."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from loki_py.api.answers import JSON_HEADERS, Answer, Asked
from loki_py.api.encode import (
    CATEGORIZE_LABELS,
    encode_json,
    encode_names,
    encode_result,
    encode_series,
)
from loki_py.api.encode_streams import PIECED_ROWS_MIN, encode_pieces
from loki_py.api.legacy import encode_legacy_result, query_with_regexp
from loki_py.api.params import (
    parse_instant,
    parse_labels,
    parse_range,
    parse_series,
    parse_tags,
)
from loki_py.api.services import QueryService
from loki_py.api.stats import stats_of
from loki_py.errors import RequestRejected, ValidationFailed
from loki_py.model.results import Streams
from loki_py.querier.requests import QueryAnswer
from loki_py.runtime.clock import Clock

_FLAGS_HEADER = "x-loki-response-encoding-flags"
_TAGS_HEADER = "x-query-tags"
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
        request = parse_range(
            asked.form,
            now_ns=self.clock.now_ns(),
            categorized=wants_categories(asked.headers),
            tags=_tags_of(asked),
        )
        return _answer_of(await self.queries.query_range(asked.tenant, request))

    async def query(self, asked: Asked) -> Answer:
        """Answer a query at one moment."""
        _check_accepted(asked)
        request = parse_instant(
            asked.form, now_ns=self.clock.now_ns(), tags=_tags_of(asked)
        )
        return _answer_of(await self.queries.query(asked.tenant, request))

    async def legacy_query(self, asked: Asked) -> Answer:
        """Answer a log query over a range of time, in the old shape."""
        request = parse_range(
            asked.form,
            now_ns=self.clock.now_ns(),
            categorized=False,
            tags=_tags_of(asked),
        )
        query = query_with_regexp(request.query, asked.form.get("regexp"))
        found = await self.queries.query_range(
            asked.tenant, replace(request, query=query)
        )
        return Answer(encode_legacy_result(found.result.data, stats_of(found.cost)))

    async def labels(self, asked: Asked) -> Answer:
        """Answer with label names."""
        request = parse_labels(asked.form, now_ns=self.clock.now_ns())
        return Answer(encode_names(await self.queries.labels(asked.tenant, request)))

    async def label_values(self, asked: Asked) -> Answer:
        """Answer with the values of one label."""
        request = parse_labels(asked.form, now_ns=self.clock.now_ns())
        values = await self.queries.label_values(
            asked.tenant, asked.path["name"], request
        )
        return Answer(encode_names(values))

    async def series(self, asked: Asked) -> Answer:
        """Answer with label sets."""
        request = parse_series(asked.form, now_ns=self.clock.now_ns())
        return Answer(encode_series(await self.queries.series(asked.tenant, request)))

    async def format_query(self, asked: Asked) -> Answer:
        """Answer with the query in its pretty form; errors are JSON here."""
        try:
            pretty = self.print_pretty(asked.form.get("query"))
        except RequestRejected as error:
            body = encode_json({"status": "invalid-query", "error": str(error)})
            return Answer(body, JSON_HEADERS, 400)
        return Answer(encode_json({"status": "success", "data": pretty}))


def _answer_of(found: QueryAnswer) -> Answer:
    warnings = tuple(dict.fromkeys((*found.result.warnings, *found.warnings)))
    stats, data = stats_of(found.cost), found.result.data
    if isinstance(data, Streams) and len(data) > PIECED_ROWS_MIN:
        return Answer(pieces=encode_pieces(data, stats, warnings))
    return Answer(encode_result(data, stats, warnings))


def _tags_of(asked: Asked) -> dict[str, str]:
    return parse_tags(asked.headers.get(_TAGS_HEADER, ""))


def wants_categories(headers: Mapping[str, str]) -> bool:
    """Return whether a request asks for labels by where they come from."""
    flags = headers.get(_FLAGS_HEADER, "")
    return CATEGORIZE_LABELS in (flag.strip() for flag in flags.split(","))


def _check_accepted(asked: Asked) -> None:
    if _PARQUET_TYPE in asked.headers.get("accept", ""):
        raise ValidationFailed(
            "support for Parquet encoded responses is disabled."
            " Enable with -frontend.support-parquet-encoding=true"
        )
