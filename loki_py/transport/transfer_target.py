"""What an ingester that leaves may ask of those that stay."""

from collections.abc import Mapping
from typing import Protocol

from loki_py.errors import LokiError
from loki_py.model.batch import EntryBatch


class TransferTarget(Protocol):
    """An ingester that may take chunks over from one that leaves."""

    async def transfer(
        self, sender: str, tenant: str, batch: EntryBatch
    ) -> Mapping[int, LokiError]:
        """Return why chunks are refused, by position in the batch's `streams`.

        Every other one is on disk, fsynced.

        Raises: ReceiverLocked, ReceiverBusy where nothing was taken; any other
            LokiError where nobody knows.
        """
        ...
