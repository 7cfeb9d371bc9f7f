"""Times of a block file: runs of all blocks are rows of one array, and checked."""

import numpy as np
import pyarrow as pa
import pytest
from fakes.entry_batches import batch_of, entry_rows, rows_of
from hypothesis import given
from hypothesis import strategies as st

from loki_py.chunks.block_reader import BlockFile
from loki_py.chunks.block_times import BlockTimes
from loki_py.chunks.block_writer import encode_block_file
from loki_py.chunks.blocks import BlockFileHeader
from loki_py.chunks.sorting import sort_and_deduplicate
from loki_py.errors import BadChecksum
from loki_py.model.scan import Columns

TIMES = Columns(line=False, metadata=frozenset())
ALL_TIME = {"start_ns": -(2**63), "end_ns": 2**63}


def file_of(rows, block_bytes):
    batch = sort_and_deduplicate(batch_of(rows))[0]
    header = BlockFileHeader("ingester-0", generation=1, segment_max=1)
    parts = encode_block_file(header, [("t", batch)], block_bytes=block_bytes)
    return b"".join(map(bytes, parts))


@given(entry_rows, st.integers(1, 60), st.integers(-1, 6), st.integers(1, 7))
def test_runs_hold_the_rows_that_reading_returns(rows, block_bytes, start_ns, length):
    """Of all blocks, cut to a time, the first time and the second."""
    file = BlockFile.open(pa.py_buffer(file_of(rows, block_bytes)))
    streams = file.streams("t")
    for part in file.select("t", None, start_ns=start_ns, end_ns=start_ns + length):
        read = rows_of(file.read(part, TIMES))
        for _ in range(2):
            stream, first, last = file.time_runs(part, TIMES)

            assert [
                (streams[i].as_dict, time)
                for i, a, b in zip(stream, first, last, strict=True)
                for time in file.times.all[a:b].tolist()
            ] == [row[:2] for row in read]
            assert (first < last).all()


def test_times_are_compared_with_their_checksum_each_time():
    """Bytes that change after they were read are noticed."""
    data = bytearray(file_of([({"app": "a"}, time, "x") for time in range(9)], 1000))
    file = BlockFile.open(pa.py_buffer(data))
    [part] = file.select("t", None, **ALL_TIME)
    _, first, _ = file.time_runs(part, TIMES)

    data[8 * int(first[0])] ^= 1

    with pytest.raises(BadChecksum):
        file.time_runs(part, TIMES)


def test_runs_with_metadata_that_is_wanted_are_to_be_read():
    data = file_of([({"app": "a"}, 1, "x", {"trace": "1"})], 1000)
    file = BlockFile.open(pa.py_buffer(data))
    [part] = file.select("t", None, **ALL_TIME)

    assert file.time_runs(part, Columns(line=False)) is None
    assert file.time_runs(part, TIMES) is not None


def test_times_that_do_not_lie_in_the_bytes_have_no_place():
    """Elsewhere, or at no whole number of times from the start."""
    buffer = pa.py_buffer(bytes(800))
    times = BlockTimes(buffer)

    assert times.note(0, np.zeros(4, np.int64)) is None
    assert times.note(0, np.frombuffer(buffer, np.int64, 4, 12)) is None
    assert times.first(0) is None
    assert times.note(0, np.frombuffer(buffer, np.int64, 4, 16)) == times.first(0) == 2
