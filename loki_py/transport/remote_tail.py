"""Follow an ingester in another process.

The answer to a `Tail` call never ends by itself: its first message says that
following began, each later one brings a batch. Who reads slowly slows the
sender, whose own queue has the bound.
"""

from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pyarrow as pa

from loki_py.errors import CorruptData
from loki_py.model.batch import EntryBatch
from loki_py.transport.abc import InstanceLost
from loki_py.transport.grpc_calls import error_of_call
from loki_py.transport.tailing import Arrivals
from loki_py.wire.label_cache import LabelCache
from loki_py.wire.messages import TailTold, decode_message, encode_message
from loki_py.wire.messages_batch import (
    decode_batch,
    decode_labels,
    encode_own,
    shape_of,
)

_NOTHING = EntryBatch(
    (), np.zeros(0, np.uint32), np.zeros(0, np.int64), pa.nulls(0, pa.large_string())
)


def encode_arrivals(arrivals: Arrivals) -> Iterator[bytes]:
    """Yield the messages that tell of what came."""
    for batch in arrivals.batches:
        yield _told(batch, dropped=0, is_dropped=False)
    if arrivals.dropped_count:
        yield _told(_NOTHING, dropped=arrivals.dropped_count, is_dropped=True)
    for batch in arrivals.dropped:
        yield _told(batch, dropped=0, is_dropped=True)


def _told(batch: EntryBatch, *, dropped: int, is_dropped: bool) -> bytes:
    columns, texts, _ = encode_own(batch)
    header = TailTold(len(columns), shape_of(batch), dropped, is_dropped)
    return encode_message(header, [*columns.pieces, texts])


NO_ARRIVALS = _told(_NOTHING, dropped=0, is_dropped=False)
"""The first message of an answer."""


class RemoteFollowing:
    """The answer to one `Tail` call; a `Following`.

    Args:
        call: the call, already made.
    """

    def __init__(self, instance_id: str, call: Any, labels: LabelCache) -> None:
        self._instance_id = instance_id
        self._call = call
        self._labels = labels

    async def begun(self) -> None:
        """Return when the ingester said so.

        Raises: Unavailable.
        """
        await self.arrivals()

    async def arrivals(self) -> Arrivals:
        """Return the next batch that came.

        Raises: Unavailable.
        """
        try:
            data = await self._call.read()
        except grpc.aio.AioRpcError as error:
            raise error_of_call(self._instance_id, error) from error
        except grpc.aio.UsageError as error:
            raise InstanceLost(self._instance_id, str(error)) from error
        if data is grpc.aio.EOF:
            raise InstanceLost(self._instance_id, "the tail ended")
        try:
            told, payload = decode_message(data, TailTold)
            streams = decode_labels(payload[told.batch_bytes :], self._labels)
            batch = decode_batch(payload[: told.batch_bytes], told.batch, streams)
        except CorruptData as error:
            raise InstanceLost(self._instance_id, str(error)) from error
        batches = (batch,) if len(batch) else ()
        if told.is_dropped:
            return Arrivals((), batches, told.dropped)
        return Arrivals(batches)

    def close(self) -> None:
        """Take no more."""
        self._call.cancel()
