"""Hand chunks to an ingester in another process, and take them over there.

A chunk is what the sender holds of one stream. What a receiver takes is on disk,
fsynced, before it answers, so that the sender may drop it; what it refuses stays
with the sender. Of a call that fails otherwise nobody knows; taken twice, chunks
are duplicates, which reading drops.
"""

from collections.abc import Mapping
from typing import Any

from loki_py.errors import BodyTooLarge, LokiError
from loki_py.model.batch import EntryBatch
from loki_py.transport import grpc_names as names
from loki_py.transport.abc import InstanceLost
from loki_py.transport.errors_on_wire import error_of, rejection_of
from loki_py.transport.grpc_calls import answer_of, decoded, method_of
from loki_py.transport.tenants import check_tenant
from loki_py.transport.transfer_target import TransferTarget
from loki_py.wire.label_cache import LabelCache
from loki_py.wire.messages import decode_message, encode_message
from loki_py.wire.messages_batch import (
    decode_batch,
    decode_labels,
    encode_own,
    shape_of,
)
from loki_py.wire.messages_transfer import TransferAnswered, TransferAsked


class TransferClient:
    """Another process as a `TransferTarget`; used on one event loop."""

    def __init__(
        self,
        instance_id: str,
        channel: Any,
        *,
        call_s_max: float,
        message_bytes_max: int,
    ) -> None:
        self._instance_id = instance_id
        self._call = method_of(instance_id, channel.unary_unary, names.TRANSFER)
        self._call_s_max = call_s_max
        self._message_bytes_max = message_bytes_max

    async def transfer(
        self, sender: str, tenant: str, batch: EntryBatch
    ) -> Mapping[int, LokiError]:
        """See `TransferTarget.transfer`.

        Raises: BodyTooLarge, before anything is sent.
        """
        columns, texts, positions = encode_own(batch)
        asked = TransferAsked(sender, tenant, len(columns), shape_of(batch))
        data = encode_message(asked, [*columns.pieces, texts])
        if len(data) > self._message_bytes_max:
            raise BodyTooLarge(
                f"transfer is {len(data)} bytes between components; limit is "
                f"{self._message_bytes_max}"
            )
        call = self._call(data, timeout=self._call_s_max)
        answered = await answer_of(self._instance_id, call)
        told, _ = decoded(self._instance_id, answered, TransferAnswered)
        for each in told.refused:
            if not 0 <= each.stream < len(positions):
                raise InstanceLost(
                    self._instance_id,
                    f"chunk {each.stream} is refused, of {len(positions)} sent",
                )
        return {positions[each.stream]: error_of(each) for each in told.refused}


async def answer_transfer(
    target: TransferTarget, data: bytes, labels: LabelCache
) -> bytes:
    """Return the answer to the message of a transfer.

    Raises: LokiError.
    """
    asked, payload = decode_message(data, TransferAsked)
    check_tenant(asked.tenant)
    streams = decode_labels(payload[asked.batch_bytes :], labels)
    batch = decode_batch(payload[: asked.batch_bytes], asked.batch, streams)
    refused = await target.transfer(asked.sender, asked.tenant, batch)
    told = [rejection_of(error, stream=n) for n, error in refused.items()]
    return encode_message(TransferAnswered(told))
