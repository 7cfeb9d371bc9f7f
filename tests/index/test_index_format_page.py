"""docs/formats/index.md: the bytes there are those of our code."""

import pyarrow as pa
from fakes.format_pages import hex_example

from loki_py.encoding.parquet_check import verify, with_check
from loki_py.index.files import CHECK_MAGIC, WHAT

END = bytes(4) + b"PAR1"


def test_check_is_what_the_writer_makes():
    written = with_check(pa.py_buffer(b"PAR1" + END), magic=CHECK_MAGIC, what=WHAT)

    assert written == b"PAR1" + hex_example("index.md", "index-check") + END


def test_check_is_read():
    file = b"PAR1" + hex_example("index.md", "index-check") + END

    verify(pa.py_buffer(file), magic=CHECK_MAGIC, what=WHAT)
