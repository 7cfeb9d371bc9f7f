"""docs/formats/index.md: the bytes there are those of our code."""

import pyarrow as pa
from fakes.format_pages import hex_example

from loki_py.index import files

END = bytes(4) + b"PAR1"


def test_check_is_what_the_writer_makes():
    written = files._checked(pa.py_buffer(b"PAR1" + END))

    assert written == b"PAR1" + hex_example("index.md", "index-check") + END


def test_check_is_read():
    files._check(pa.py_buffer(b"PAR1" + hex_example("index.md", "index-check") + END))
