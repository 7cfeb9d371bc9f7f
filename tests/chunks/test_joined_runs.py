"""Runs of pieces as runs of the buffer that they lie in."""

import numpy as np
import pyarrow as pa
import pytest

from loki_py.chunks.joined_runs import joined_runs
from loki_py.model.labels import LabelSet
from loki_py.model.scan import TimeRuns

STREAMS = (LabelSet.of({"app": "a"}), LabelSet.of({"app": "b"}))


def piece(buffer, start_bytes, rows, spans, streams=STREAMS):
    """Return runs of streams 0, 1, … over times that begin at a byte."""
    stream = np.arange(len(spans), dtype=np.uint32)
    first, last = np.array(spans).T
    times = np.frombuffer(buffer, np.int64, rows, start_bytes)
    return TimeRuns(streams, stream, first, last, times)


def rows_of(pieces):
    """Return stream to times, of all runs in order."""
    return [
        (int(stream), runs.timestamp_ns[first:last].tolist())
        for runs in pieces
        for stream, first, last in zip(runs.stream, runs.first, runs.last, strict=True)
    ]


@pytest.mark.parametrize("offset", [0, 3, 8])
def test_pieces_of_one_buffer_are_one(offset):
    """Whatever lies between the pieces, and however the first one is aligned."""
    buffer = pa.py_buffer(np.arange(1, 101, dtype=np.int64).tobytes())
    pieces = [
        piece(buffer, offset, 20, [(0, 5), (7, 20)]),
        piece(buffer, offset + 40 * 8, 10, [(2, 3)]),
        piece(buffer, offset + 90 * 8, 8, [(0, 1), (1, 8)]),
    ]

    (joined,) = joined_runs(pieces, buffer)

    assert rows_of([joined]) == rows_of(pieces)
    assert joined.streams is STREAMS


def test_pieces_that_do_not_fit_stay_apart():
    """Times of another buffer, at half a time's distance, or of other streams."""
    buffer = pa.py_buffer(bytes(800))
    other = pa.py_buffer(bytes(800))
    one = piece(buffer, 0, 10, [(0, 10)])

    for two in (
        piece(other, 80, 10, [(0, 10)]),
        piece(buffer, 84, 10, [(0, 10)]),
        piece(buffer, 80, 10, [(0, 10)], streams=STREAMS[:1]),
    ):
        assert joined_runs([one, two], buffer) == [one, two]
    assert joined_runs([one], buffer) == [one]
