"""Answers in pieces: the bytes are those of the answer in one."""

import gzip

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_py.api.answers import Answer, compressed
from loki_py.api.encode import encode_result
from loki_py.api.encode_streams import encode_pieces
from loki_py.model.results import Categories, Streams

STATS = {"summary": {"x": 1}}


def data_of(sizes, *, categorised):
    """A result whose streams have so many rows."""
    count = sum(sizes)
    categories = None
    if categorised:
        index = np.arange(count) % 2
        extras = ((), (("trace", "<1>"),))
        categories = Categories(extras, index, extras[::-1], index)
    return Streams(
        labels=[(("app", f"]}}{number}"),) for number in range(len(sizes))],
        offsets=np.cumsum([0, *sizes]),
        timestamp_ns=np.arange(count) + 1_767_225_600_000_000_000,
        line=pa.array([f"<{n}> ]}}" for n in range(count)], pa.large_string()),
        categories=categories,
    )


@given(
    st.lists(st.integers(1, 7), max_size=6), st.integers(1, 9), st.booleans(), st.data()
)
def test_pieces_put_together_are_the_answer(sizes, piece_rows, categorised, data):
    result = data_of(sizes, categorised=categorised)
    warnings = data.draw(st.sampled_from([(), ("<w>",)]))

    pieces = list(encode_pieces(result, STATS, warnings, piece_rows=piece_rows))

    assert b"".join(pieces) == encode_result(result, STATS, warnings)
    assert len(pieces) == 2 + -(-len(result) // piece_rows)


@pytest.mark.parametrize("piece_rows", [1, 3, 100])
async def test_pieces_are_gzipped_as_they_come(piece_rows):
    result = data_of([4, 2], categorised=False)
    pieces = encode_pieces(result, STATS, piece_rows=piece_rows)

    answer = await compressed(Answer(pieces=pieces))

    assert ("content-encoding", "gzip") in answer.headers
    plain = gzip.decompress(b"".join(answer.pieces))
    assert plain == encode_result(result, STATS)
