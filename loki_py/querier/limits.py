"""What a tenant may ask: checks made before any work, with Loki's texts.

Pure: the caller supplies the clock and the limits.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import re2

from loki_py.config.limits import BlockedQuery, Limits
from loki_py.errors import LimitExceeded, QueryInvalid, RequestRejected
from loki_py.logql import ast
from loki_py.logql import ast_metric as metric
from loki_py.logql.literals import print_go_duration, print_prometheus_duration
from loki_py.model.matchers import Matcher
from loki_py.querier.texts import size_text

_FNV_OFFSET = 0x811C9DC5
_FNV_PRIME = 0x01000193


class QueryBlocked(RequestRejected):
    """The tenant's limits name the query as one not to run."""


class LimitBroken(RequestRejected):
    """A query asks for more than the tenant's limits allow; 400 as in Loki."""


@dataclass(frozen=True, slots=True)
class Span:
    """The time that a query may look at after clamping, [start_ns, end_ns]."""

    start_ns: int
    end_ns: int


def check_query(
    limits: Limits, text: str, expr: metric.Expr, *, tags: Mapping[str, str]
) -> None:
    """Check what does not depend on time: matchers, ranges, blocked queries.

    Raises: RequestRejected.
    """
    if not limits.query_parallelism_max or not limits.tsdb_query_parallelism_max:
        raise LimitExceeded("querying is disabled, please contact your Loki operator")
    if any(_blocks(blocked, text, expr, tags) for blocked in limits.blocked_queries):
        raise QueryBlocked("query blocked by policy")
    ranges = list(ranges_of(expr))
    groups = [expr.matchers] if isinstance(expr, ast.LogQuery) else []
    groups += [each.query.matchers for each in ranges]
    count = sum(map(len, groups))
    most = limits.query_matchers_max
    if most and count > most:
        raise LimitBroken(
            "max streams matchers per query exceeded, matchers-count > limit"
            f" ({count} > {most})"
        )
    for matchers in groups:
        check_labels(limits, matchers)
    for each in ranges:
        _check_range(limits, each.range_ns)


def check_labels(limits: Limits, matchers: Sequence[Matcher]) -> None:
    """Check that a selector names the labels that the tenant must name.

    Raises: LimitBroken.
    """
    present = [matcher.name for matcher in matchers]
    missing = [name for name in limits.required_labels if name not in present]
    if missing:
        raise LimitBroken(
            f"stream selector is missing required matchers [{', '.join(missing)}],"
            f" labels present in the query were [{', '.join(present)}]"
        )
    least = limits.label_matchers_min
    if len(present) < least:
        raise LimitBroken(
            "stream selector has less label matchers than required: (present:"
            f" [{', '.join(present)}], number_present: {len(present)},"
            f" required_number_label_matchers: {least})"
        )


def check_entries(limits: Limits, limit: int) -> None:
    """Check how many entries a log query asks for.

    Raises: LimitBroken.
    """
    most = limits.query_entries_max
    if most and limit > most:
        raise LimitBroken(
            "max entries limit per query exceeded, limit >"
            f" max_entries_limit_per_query ({limit} > {most})"
        )


def clamped_span(
    limits: Limits, *, start_ns: int, end_ns: int, now_ns: int
) -> Span | None:
    """Return the time that may be looked at, None where all of it is too old."""
    lookback_ns = limits.query_lookback_ns_max
    if lookback_ns:
        oldest_ns = now_ns - lookback_ns
        if end_ns < oldest_ns:
            return None
        start_ns = max(start_ns, oldest_ns)
    return Span(start_ns, end_ns)


def check_length(limits: Limits, length_ns: int) -> None:
    """Check how much time a query looks at, ranges and offsets included.

    Raises: LimitBroken.
    """
    most_ns = limits.query_length_ns_max
    if most_ns and length_ns > most_ns:
        raise LimitBroken(
            "the query time range exceeds the limit (query length:"
            f" {print_go_duration(length_ns)},"
            f" limit: {print_prometheus_duration(most_ns)})"
        )


def metadata_span(limits: Limits, *, start_ns: int, end_ns: int, now_ns: int) -> Span:
    """Return the time that a question about labels may look at.

    Raises: LimitBroken.
    """
    lookback_ns = limits.query_lookback_ns_max
    if lookback_ns:
        start_ns = max(start_ns, now_ns - lookback_ns)
    check_length(limits, end_ns - start_ns)
    if end_ns < start_ns:
        raise LimitBroken(
            "this data is no longer available, it is past now - max_query_lookback"
            f" ({print_prometheus_duration(lookback_ns)})"
        )
    return Span(start_ns, end_ns)


def check_bytes(limits: Limits, size_bytes: int) -> None:
    """Check the bytes of lines that a query reads, or would read.

    Raises: LimitBroken.
    """
    most = limits.query_bytes_read_max
    if most and size_bytes > most:
        raise LimitBroken(
            f"the query would read too many bytes (query: {size_text(size_bytes)},"
            f" limit: {size_text(most)}); consider adding more specific stream"
            " selectors or reduce the time range of the query"
        )
    most = limits.querier_bytes_read_max
    if most and size_bytes > most:
        raise LimitBroken(
            "query too large to execute on a single querier: (query:"
            f" {size_text(size_bytes)}, limit: {size_text(most)}); consider adding"
            " more specific stream selectors, reduce the time range of the query, or"
            " adjust parallelization settings"
        )


def check_chunks(limits: Limits, count: int) -> None:
    """Check how many chunks the index named.

    Raises: LimitBroken.
    """
    most = limits.query_chunks_max
    if most and count > most:
        raise LimitBroken(
            f"the query hit the max number of chunks limit (limit: {most} chunks,"
            f" matched: {count})"
        )


def ranges_of(expr: metric.Expr) -> Iterator[metric.LogRange]:
    """Yield the ranges of a metric query, in the order written."""
    match expr:
        case metric.RangeAggregation():
            yield expr.range
        case metric.VectorAggregation() | metric.LabelReplace():
            yield from ranges_of(expr.operand)
        case metric.BinaryOperation():
            yield from ranges_of(expr.left)
            yield from ranges_of(expr.right)


def reach_ns_of(expr: metric.Expr) -> int:
    """Return how far before its first point a query looks."""
    return max((each.range_ns + each.offset_ns for each in ranges_of(expr)), default=0)


def query_type_of(expr: metric.Expr) -> str:
    """Return the word for the query in `blocked_queries`."""
    if not isinstance(expr, ast.LogQuery):
        return "metric"
    return "filter" if expr.stages else "limited"


def hash_of(text: str) -> int:
    """Return the hash under which a query can be blocked, 32-bit FNV-1."""
    value = _FNV_OFFSET
    for byte in text.encode():
        value = (value * _FNV_PRIME) & 0xFFFFFFFF ^ byte
    return value


def _check_range(limits: Limits, range_ns: int) -> None:
    most_ns = limits.query_range_ns_max
    if most_ns and range_ns > most_ns:
        raise LimitBroken(
            f"[interval] value exceeds limit: [{print_prometheus_duration(range_ns)}] >"
            f" [{print_prometheus_duration(most_ns)}]"
        )


def _blocks(
    blocked: BlockedQuery, text: str, expr: metric.Expr, tags: Mapping[str, str]
) -> bool:
    """Return whether the entry names the query, its type and all its tags."""
    if blocked.types and query_type_of(expr) not in blocked.types:
        return False
    if not _tags_match(blocked.tags, tags):
        return False
    if blocked.hash:
        return blocked.hash == hash_of(text)
    if not blocked.pattern or blocked.pattern.strip() == text.strip():
        return True
    if not blocked.regex:
        return False
    try:
        return re2.search(blocked.pattern, text) is not None
    except re2.error as error:
        raise QueryInvalid(
            f"blocked_queries: pattern {blocked.pattern!r}: {error}"
        ) from error


def _tags_match(wanted: str, tags: Mapping[str, str]) -> bool:
    given = {name.lower(): value.lower() for name, value in tags.items()}
    for pair in filter(None, wanted.split(",")):
        name, _, value = pair.strip().lower().partition("=")
        if given.get(name) != value:
            return False
    return True
