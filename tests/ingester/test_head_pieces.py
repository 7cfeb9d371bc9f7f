"""Heads: which pieces are merged."""

import numpy as np
import pyarrow as pa
import pytest

from loki_py.ingester.head import (
    LONG_BYTES,
    LONG_ROWS,
    MERGE_BYTES,
    MERGE_FAN_IN,
    Head,
    runs_of,
)
from loki_py.ingester.stream_table import StreamTable
from loki_py.model.batch import EntryBatch
from loki_py.model.labels import LabelSet


def head_of(*lines_of_pushes):
    """Return a head after these pushes, each a list of lines, a second apart."""
    table, head = StreamTable(), Head()
    table.add(LabelSet((("app", "a"),)), now_ns=0)
    for second, lines in enumerate(lines_of_pushes):
        refs = np.zeros(len(lines), np.uint32)
        times = second * 10**9 + np.arange(len(lines))
        column = pa.array(lines, pa.large_string())
        piece = EntryBatch((), refs, times, column)
        head.append(piece, runs_of(refs, times), table)
    return head


@pytest.mark.parametrize(
    "lines", [["x"] * LONG_ROWS, ["x" * LONG_BYTES]], ids=["rows", "bytes"]
)
def test_long_pieces_are_not_copied(lines):
    """They lie where they came from: in a body, or in the log that is replayed."""
    head = head_of(lines, *[["a", "b"]] * (MERGE_FAN_IN - 2), lines)

    assert [len(piece) for piece in head.pieces()] == [
        len(lines),
        2 * (MERGE_FAN_IN - 2),
        len(lines),
    ]


def test_short_pieces_become_one_in_order():
    head = head_of(*[[f"line {n}"] for n in range(MERGE_FAN_IN)])

    (piece,) = head.pieces()
    assert piece.line.to_pylist() == [f"line {n}" for n in range(MERGE_FAN_IN)]


def test_a_merge_is_of_bounded_bytes():
    """Middling pieces are merged as soon as there are enough bytes of them."""
    middling = "x" * (LONG_BYTES - 1)
    wanted = -(-MERGE_BYTES // len(middling))

    head = head_of(*[[middling]] * (2 * wanted + 1))

    assert [len(piece) for piece in head.pieces()] == [wanted, wanted, 1]


def test_long_pieces_between_do_not_make_merges_come_sooner():
    head = head_of(*[["x" * MERGE_BYTES], ["a"], ["b"]] * 2)

    assert [len(piece) for piece in head.pieces()] == [1] * 6
