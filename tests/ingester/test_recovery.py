"""Replay into heads: where generations end, and which segments they cover."""

import numpy as np
import pyarrow as pa

from loki_py.ingester.generation import Generation
from loki_py.ingester.recovery import UNCUT_HEADS_MAX, Replay
from loki_py.model.labels import LabelSet
from loki_py.wal.records import EntriesRecord, SeriesRecord

LINE_BYTES = 1_000
HEAD_BYTES_MAX = 2 * LINE_BYTES
SERIES = SeriesRecord("t", [(0, LabelSet((("app", "a"),)))])


def segment(number, entries_count):
    """Yield a segment's records, with their number."""
    yield number, SERIES
    for second in range(entries_count):
        line = pa.array(["x" * LINE_BYTES], pa.large_string())
        refs, times = np.zeros(1, np.uint32), np.array([second], np.int64)
        yield number, EntriesRecord("t", refs, times, line, {}, None)


def sealed_by(*segments):
    """Return (entries, last whole segment) of each sealed generation, and the rest."""
    sealed = []

    def full(generation, segment_last):
        sealed.append((generation.heads["t"].rows, segment_last))
        return Generation(generation.number + 1)

    replayed = Replay(Generation(1), {}, HEAD_BYTES_MAX, full, now_ns=1)
    rest = replayed.run(record for each in segments for record in each)
    return sealed, rest.heads["t"].rows


def test_a_full_generation_ends_with_its_segment():
    """Cut, it covers the segment, and nothing of that is replayed another time."""
    assert sealed_by(segment(4, 2), segment(5, 3), segment(6, 1)) == (
        [(2, 4), (3, 5)],
        1,
    )


def test_small_segments_share_a_generation():
    assert sealed_by(segment(1, 1), segment(2, 1), segment(3, 1)) == ([(2, 2)], 1)


def test_a_segment_of_larger_heads_is_left_behind_in_parts():
    """It is not covered before it ends: after a crash all of it is replayed again."""
    each = UNCUT_HEADS_MAX * 2

    assert sealed_by(segment(1, 2 * each + 1)) == ([(each, 0), (each, 0)], 1)
