"""Index files: every chunk comes back, and no damaged file is believed."""

import io

import polars as pl
import pytest
from fakes.attack import assert_cuts_are_noticed, assert_flips_are_noticed
from test_chunk_table import A, B, pack_of

from loki_py.errors import BadMagic, CorruptData, UnknownVersion
from loki_py.index import files
from loki_py.index.files import PackRef, decode_index_file, encode_index_file


def encoded(packs, **options):
    return encode_index_file(packs, tenant="t", writer="ingester-0", **options)


SMALL = encoded([pack_of("p1", [(A, 0, 1), (B, 2, 3)])])


def test_everything_comes_back():
    packs = [pack_of("p1", [(A, 0, 1), (B, 2, 3)]), pack_of("p2", [(A, 4, 5)])]

    file = decode_index_file(encoded(packs, replaces=["x", "y"]))

    assert (file.tenant, file.writer) == ("t", "ingester-0")
    assert file.replaces == ("x", "y")
    assert file.packs == tuple(PackRef(k, 1000, 100, "ab" * 32) for k in ("p1", "p2"))
    texts = file.labels.to_pylist()
    chunks = file.chunks.to_dict(as_series=False)
    assert [texts[s] for s in chunks["series"]] == [A.text, B.text, A.text]
    assert chunks["pack"] == [0, 0, 1]
    assert chunks["from"] == [0, 2, 4]
    assert chunks["through"] == [1, 3, 5]
    assert chunks["row_first"] == [0, 10, 0]


def test_file_without_chunks_is_whole():
    file = decode_index_file(encoded([]))

    assert len(file.chunks) == 0
    assert file.packs == ()


def test_pack_without_chunks_is_left_out():
    file = decode_index_file(encoded([pack_of("none", []), pack_of("p", [(A, 0, 1)])]))

    assert [pack.key for pack in file.packs] == ["p"]


def test_polars_reads_an_index_file_as_it_is():
    frame = pl.read_parquet(io.BytesIO(SMALL))

    assert frame["labels"].cast(pl.String).to_list() == [A.text, B.text]
    assert frame.schema["from"] == pl.Datetime("ns", "UTC")
    assert frame["fingerprint"].to_list() == [A.fingerprint, B.fingerprint]


def test_file_cut_anywhere_is_refused():
    assert_cuts_are_noticed(SMALL, decode_index_file, CorruptData)


def test_any_flipped_bit_refuses_the_file():
    for start in range(0, len(SMALL), 97):
        assert_flips_are_noticed(
            SMALL, decode_index_file, CorruptData, start=start, end=start + 1
        )
    assert_flips_are_noticed(
        SMALL, decode_index_file, CorruptData, start=len(SMALL) - 16
    )


def test_unknown_version_is_refused(monkeypatch):
    monkeypatch.setattr(files, "FORMAT_VERSION", 2)
    data = encoded([])
    monkeypatch.setattr(files, "FORMAT_VERSION", 1)

    with pytest.raises(UnknownVersion, match="version 2; known is 1"):
        decode_index_file(data)


def test_parquet_of_others_is_refused():
    sink = io.BytesIO()
    pl.DataFrame({"x": range(1000)}).write_parquet(sink)

    with pytest.raises(BadMagic):
        decode_index_file(sink.getvalue())
