"""Chunks that one ingester hands to another.

Pure: `transport` sends and receives.
"""

import msgspec

from loki_py.wire.messages import BatchShape, Rejection


class TransferAsked(msgspec.Struct):
    """Ask to take chunks over. Behind it: the batch, then its label texts.

    Attributes:
        sender: the instance that leaves; the receiver counts it out of the ring.
    """

    sender: str
    tenant: str
    batch_bytes: int
    batch: BatchShape


class TransferAnswered(msgspec.Struct):
    """What was taken over: every chunk that is not refused is on disk.

    Attributes:
        refused: by stream, its position among the label texts.
    """

    refused: list[Rejection] = []
