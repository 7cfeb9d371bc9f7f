"""What routes ask of the components behind them."""

from collections.abc import Sequence
from typing import Protocol

from loki_py.model.batch import EntryBatch
from loki_py.model.labels import LabelSet
from loki_py.querier.requests import (
    InstantRequest,
    MetadataRequest,
    QueryAnswer,
    RangeRequest,
)


class PushService(Protocol):
    """Takes decoded pushes."""

    async def push(self, tenant: str, batch: EntryBatch, *, push_format: str) -> None:
        """Return when every valid entry is durable.

        Raises: RequestRejected (valid entries are stored all the same),
            Unavailable.
        """
        ...


class QueryService(Protocol):
    """Answers questions about one tenant's entries.

    Every call raises RequestRejected for what the caller did wrong and
    Unavailable for what may succeed later; cancelling it ends its work.
    """

    async def query_range(self, tenant: str, request: RangeRequest) -> QueryAnswer: ...

    async def query(self, tenant: str, request: InstantRequest) -> QueryAnswer: ...

    async def labels(self, tenant: str, request: MetadataRequest) -> Sequence[str]:
        """Return label names, sorted."""
        ...

    async def label_values(
        self, tenant: str, name: str, request: MetadataRequest
    ) -> Sequence[str]:
        """Return the label's values, sorted."""
        ...

    async def series(
        self, tenant: str, request: MetadataRequest
    ) -> Sequence[LabelSet]: ...
