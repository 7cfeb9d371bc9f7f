"""What the query routes ask of whoever answers questions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from loki_py.api.params import InstantParams, MetadataParams, RangeParams
from loki_py.api.stats import QueryCost
from loki_py.model.labels import LabelSet
from loki_py.model.results import Result


@dataclass(frozen=True, slots=True)
class QueryAnswer:
    """A result and what it cost."""

    result: Result
    cost: QueryCost


class QueryService(Protocol):
    """Answers questions about one tenant's entries.

    Every call raises RequestRejected for what the caller did wrong and
    Unavailable for what may succeed later; cancelling it ends its work.
    """

    async def query_range(
        self, tenant: str, params: RangeParams, *, categorize: bool
    ) -> QueryAnswer: ...

    async def query(self, tenant: str, params: InstantParams) -> QueryAnswer: ...

    async def labels(self, tenant: str, params: MetadataParams) -> Sequence[str]:
        """Return label names, sorted."""
        ...

    async def label_values(
        self, tenant: str, name: str, params: MetadataParams
    ) -> Sequence[str]:
        """Return the label's values, sorted."""
        ...

    async def series(
        self, tenant: str, params: MetadataParams
    ) -> Sequence[LabelSet]: ...
