"""What the querier is asked, and what it answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from loki_py.model.results import Result
from loki_py.querier.stats import QueryCost


@dataclass(frozen=True, slots=True)
class RangeRequest:
    """A query over a range of time.

    Attributes:
        start_ns, end_ns: as asked; log queries answer [start_ns, end_ns),
            metric queries evaluate at both ends.
        step_ns: between evaluations of a metric query, positive.
        limit: entries that a log query returns at most, positive.
        newest_first: the direction of a log query.
        interval_ns: least time between entries of a stream, 0 for every entry.
        categorized: whether labels are told apart by where they come from.
        tags: what the caller says of the query, lower-case names.
    """

    query: str
    start_ns: int
    end_ns: int
    step_ns: int
    limit: int
    newest_first: bool = True
    interval_ns: int = 0
    categorized: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InstantRequest:
    """A metric query at one time."""

    query: str
    time_ns: int
    limit: int
    newest_first: bool = True
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MetadataRequest:
    """A question about labels and streams that have entries in [start, end].

    Attributes:
        selectors: texts of stream selectors, any of which a stream must match;
            none means every stream.
    """

    start_ns: int
    end_ns: int
    selectors: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class QueryAnswer:
    """The answer to a query.

    Attributes:
        warnings: shown beside the result: what is missing, what was lossy.
    """

    result: Result
    cost: QueryCost
    warnings: tuple[str, ...] = ()
