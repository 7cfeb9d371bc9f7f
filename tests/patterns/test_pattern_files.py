"""Files of patterns: what is written is read, and what changed is refused."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fakes.format_pages import hex_example

from loki_py.encoding.parquet_check import verify, with_check
from loki_py.errors import CorruptData, UnknownVersion
from loki_py.model.labels import LabelSet
from loki_py.model.matchers import Matcher, MatchType
from loki_py.model.pattern_rows import (
    NO_ROWS,
    SPAN_NS,
    RowsBuilder,
    check_rows,
    selected_rows,
)
from loki_py.patterns import files
from loki_py.patterns.files import (
    PatternFile,
    decode_pattern_file,
    encode_pattern_file,
)
from loki_py.wire.messages_patterns import decode_rows, encode_rows

API, WEB = LabelSet.of({"app": "api"}), LabelSet.of({"app": 'w"eb'})
END = bytes(4) + b"PAR1"


def rows_of(*counted):
    built = RowsBuilder()
    for each in counted:
        built.add(*each)
    return built.rows()


ROWS = rows_of(
    (API, "info", "took <_> ms", {1: 2.0, 5: 3.5}), (WEB, "", "x ü", {2: 1.0})
)
FILE = encode_pattern_file(PatternFile("t", "i-1", ROWS))


def test_rows_come_back_as_they_were():
    for rows in (ROWS, NO_ROWS):
        found = decode_pattern_file(encode_pattern_file(PatternFile("t", "i", rows)))

        assert (found.tenant, found.writer) == ("t", "i")
        assert found.rows.to_pylist() == rows.to_pylist()


def test_any_parquet_reader_reads_a_file():
    table = pq.read_table(pa.BufferReader(FILE))

    assert table["pattern"].to_pylist() == ["took <_> ms"] * 2 + ["x ü"]
    assert table["stream"].to_pylist() == [API.text, API.text, WEB.text]


def test_every_changed_byte_is_noticed():
    for at in range(len(FILE)):
        changed = bytearray(FILE)
        changed[at] ^= 1 << at % 8
        with pytest.raises(CorruptData):
            decode_pattern_file(bytes(changed))


def test_every_cut_is_noticed():
    for end in range(len(FILE)):
        with pytest.raises(CorruptData):
            decode_pattern_file(FILE[:end])


def test_unknown_version_is_refused(monkeypatch):
    monkeypatch.setattr(files, "FORMAT_VERSION", 2)
    newer = encode_pattern_file(PatternFile("t", "i", ROWS))
    monkeypatch.undo()

    with pytest.raises(UnknownVersion, match="has version 2; known is 1"):
        decode_pattern_file(newer)


def test_columns_of_another_kind_are_refused():
    for table in (ROWS.drop_columns("lines"), pa.table({"a": [1]})):
        with pytest.raises(CorruptData):
            check_rows(table)


def test_check_of_the_page_is_what_the_writer_makes():
    example = b"PAR1" + hex_example("patterns.md", "patterns-check") + END
    what = {"magic": files.CHECK_MAGIC, "what": files.WHAT}

    assert with_check(pa.py_buffer(b"PAR1" + END), **what) == example
    verify(pa.py_buffer(example), **what)


def test_rows_are_selected_by_stream_and_time():
    api = (Matcher("app", MatchType.EQUAL, "api"),)

    def texts(matchers, start, end):
        rows = selected_rows(
            ROWS, matchers, start_ns=start * SPAN_NS, end_ns=end * SPAN_NS
        )
        return rows["lines"].to_pylist()

    assert texts((), 0, 9) == [2.0, 3.5, 1.0]
    assert texts(api, 0, 9) == [2.0, 3.5]
    assert texts(api, 1, 5) == [2.0]
    assert texts((), 6, 9) == []


def test_rows_travel_between_processes():
    for rows in (ROWS, NO_ROWS):
        found = decode_rows(memoryview(encode_rows(rows)))

        assert found.to_pylist() == rows.to_pylist()


def test_broken_messages_are_refused():
    good = encode_rows(ROWS).to_pybytes()
    for bad in (b"", b"x" * 40, good[: len(good) // 2]):
        with pytest.raises(CorruptData):
            decode_rows(memoryview(bad))
