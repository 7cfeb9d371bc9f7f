"""Texts by view: columns over bytes that lie elsewhere hold the texts they should."""

import numpy as np
import pyarrow as pa
import pytest

from loki_py.model import views
from loki_py.model.batch import EntryBatch, concat, value_bytes_of

TEXTS = ["", "a", "exactly twel", "thirteen byte", "x" * 400, "späte Zeile über alles"]


def root_and_places(texts):
    """Return a buffer with the texts, junk around them, and where they lie."""
    raw = b"\x00junk"
    start = []
    for text in texts:
        start.append(len(raw))
        raw += text.encode() + b"\xff"
    length = [len(text.encode()) for text in texts]
    return pa.py_buffer(raw + bytes(16)), np.array(start), np.array(length)


def column_of(texts):
    return views.viewed_in(*root_and_places(texts))


def batch_of(column):
    count = len(column)
    return EntryBatch(
        (), np.zeros(count, np.uint32), np.arange(count, dtype=np.int64), column
    )


def test_texts_of_every_length_are_seen_in_place():
    """Short texts are in their view, long ones where they lie."""
    column = column_of(TEXTS)

    column.validate(full=True)
    assert column.to_pylist() == TEXTS
    assert value_bytes_of(column).tolist() == [len(t.encode()) for t in TEXTS]


@pytest.mark.parametrize("rows", [[], [5], [4, 0, 4, 3]])
def test_taken_rows_share_the_bytes(rows):
    """Rows are taken in the order asked for, from a slice too."""
    batch = batch_of(column_of(["before", *TEXTS]).slice(1))

    taken = batch.take(np.array(rows, np.int64))

    assert taken.line.to_pylist() == [TEXTS[row] for row in rows]
    assert views.root_of(taken.line) is not None


def test_columns_of_one_buffer_are_joined_into_one():
    """The buffer is not named twice; columns of others keep theirs."""
    root, start, length = root_and_places(TEXTS)
    first = views.viewed_in(root, start[:3], length[:3])
    second = views.viewed_in(root, start[3:], length[3:])

    joined = concat([batch_of(first), batch_of(second)]).line
    other = views.joined([first, column_of(["of another buffer"])])
    mixed = views.joined([second, pa.array(["held by itself"], pa.large_string())])

    assert joined.to_pylist() == TEXTS
    assert views.root_of(joined).address == root.address
    assert other.to_pylist() == [*TEXTS[:3], "of another buffer"]
    assert mixed.to_pylist() == [*TEXTS[3:], "held by itself"]
