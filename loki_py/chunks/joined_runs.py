"""Runs of several pieces of one buffer as runs of the buffer, without a copy."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from loki_py.model.scan import TimeRuns

_TIME_BYTES = 8


def joined_runs(pieces: Sequence[TimeRuns], buffer: "pa.Buffer") -> Sequence[TimeRuns]:
    """Return the runs of pieces over the same streams as one piece, where it can be.

    That is where all times lie in `buffer`, at whole numbers of times from each
    other; else the pieces are returned.
    """
    if len(pieces) < 2:
        return pieces
    starts = [
        piece.timestamp_ns.__array_interface__["data"][0] - buffer.address
        for piece in pieces
    ]
    begin = starts[0] % _TIME_BYTES
    count = (len(buffer) - begin) // _TIME_BYTES
    moved = []
    for start, piece in zip(starts, pieces, strict=True):
        row, rest = divmod(start - begin, _TIME_BYTES)
        is_inside = row >= 0 and row + len(piece.timestamp_ns) <= count
        if rest or not is_inside or piece.streams is not pieces[0].streams:
            return pieces
        moved.append((piece.first + row, piece.last + row))
    return [
        TimeRuns(
            pieces[0].streams,
            np.concatenate([piece.stream for piece in pieces]),
            np.concatenate([first for first, _ in moved]),
            np.concatenate([last for _, last in moved]),
            np.frombuffer(buffer, np.int64, count, begin),
        )
    ]
