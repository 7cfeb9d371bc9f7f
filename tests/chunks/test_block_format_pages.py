"""docs/formats/blocks.md and pack.md: the bytes there are those of our code."""

import numpy as np
import pyarrow as pa
from fakes.format_pages import hex_example

from loki_py.chunks import blocks, pack_format
from loki_py.chunks.blocks import BlockFileHeader

HEADER = BlockFileHeader("ingester-0", generation=7, segment_max=42)


def test_head_of_a_block_file_is_what_the_writer_makes():
    assert blocks.encode_header(HEADER)[0] == hex_example("blocks.md", "blocks-head")


def test_head_of_a_block_file_is_read():
    example = pa.py_buffer(hex_example("blocks.md", "blocks-head"))

    seed = blocks.encode_header(HEADER)[1]
    assert blocks.decode_header(example) == (HEADER, seed, blocks.VERSION)


def test_trailer_of_a_block_file_is_what_the_writer_makes():
    trailer = blocks.encode_trailer(footer_offset=1000, footer_end=2000)

    assert trailer == hex_example("blocks.md", "blocks-trailer")


def test_trailer_of_a_block_file_is_read():
    example = hex_example("blocks.md", "blocks-trailer")

    assert blocks.decode_trailer(pa.py_buffer(bytes(2000) + example)) == 1000


def test_checks_of_a_pack_are_what_the_writer_makes():
    checks = pack_format.encode_checks([4, 100], [1, 2], b"footer bytes")

    assert checks == hex_example("pack.md", "pack-checks")


def test_checks_of_a_pack_are_read():
    """With a footer of a length that Parquet's end names."""
    end = bytes(2) + (2).to_bytes(4, "little") + b"PAR1"
    checks = pack_format.encode_checks([4, 100], [1, 2], end)
    tail = pa.py_buffer(checks + end)

    pieces, footer = pack_format.split_tail(tail, object_bytes=104 + len(tail))

    assert np.array_equal(pieces.ends, [4, 104])
    assert pieces.crcs.tolist() == [1, 2]
    assert bytes(footer) == end
