"""Rows of patterns as messages.

Pure: `transport` sends and receives.
"""

import msgspec
import pyarrow as pa

from loki_py.errors import CorruptData
from loki_py.model.pattern_rows import PatternRows, check_rows
from loki_py.wire.messages import MatcherAsked


class PatternsAsked(msgspec.Struct):
    """Ask for what is counted of matching streams; nothing is behind it."""

    tenant: str
    matchers: list[MatcherAsked]
    start_ns: int
    end_ns: int


class PatternsAnswered(msgspec.Struct):
    """What an instance counted and holds. Behind it: the rows, as an Arrow stream.

    Attributes:
        writer: which instance.
        covered: keys of objects whose rows are among these.
    """

    writer: str
    covered: list[str] = []


def encode_rows(rows: PatternRows) -> "pa.Buffer":
    """Return rows as they stand behind a header."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write_table(rows.unify_dictionaries().combine_chunks())
    return sink.getvalue()


def decode_rows(payload: memoryview) -> PatternRows:
    """Return the rows behind a header.

    Raises: CorruptData.
    """
    try:
        with pa.ipc.open_stream(pa.py_buffer(payload)) as stream:
            rows = stream.read_all()
    except (pa.ArrowException, OSError) as error:
        raise CorruptData(f"rows of patterns do not parse: {error}") from error
    return check_rows(rows)
