"""LZ4 frames made by Arrow, so that no LZ4 library is needed."""

import pyarrow as pa


def stored(data):
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "lz4") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()
