"""Decompression: every encoding, every lie about sizes, bounded memory."""

import gzip
import tracemalloc
import zlib

import cramjam
import pytest
import zstandard

from loki_py.encoding.compression import decompress
from loki_py.errors import BodyTooLarge, ValidationFailed

TEXT = b"level=info msg=hello " * 100
CAP = 1 << 20


def _raw_deflate(data):
    deflater = zlib.compressobj(wbits=-15)
    return deflater.compress(data) + deflater.flush()


ENCODERS = {
    "": lambda data: data,
    "snappy": lambda data: bytes(cramjam.snappy.compress_raw(data)),
    "gzip": gzip.compress,
    "deflate": _raw_deflate,
    "zstd": zstandard.compress,
}


@pytest.mark.parametrize("encoding", ENCODERS)
def test_what_was_encoded_comes_back(encoding):
    body = ENCODERS[encoding](TEXT)

    assert decompress(body, encoding=encoding, decoded_bytes_max=CAP) == TEXT


def test_zlib_wrapped_deflate_is_understood_too():
    body = zlib.compress(TEXT)

    assert decompress(body, encoding="deflate", decoded_bytes_max=CAP) == TEXT


def test_joined_gzip_members_are_one_body():
    body = gzip.compress(TEXT) + gzip.compress(TEXT)

    assert decompress(body, encoding="gzip", decoded_bytes_max=CAP) == TEXT * 2


@pytest.mark.parametrize("encoding", ENCODERS)
def test_a_body_of_exactly_the_cap_passes_and_one_byte_more_does_not(encoding):
    body = ENCODERS[encoding](TEXT)

    decompress(body, encoding=encoding, decoded_bytes_max=len(TEXT))
    with pytest.raises(BodyTooLarge, match="limit: 2099 bytes"):
        decompress(body, encoding=encoding, decoded_bytes_max=len(TEXT) - 1)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
def test_a_bomb_costs_no_more_than_the_cap(encoding):
    bomb = ENCODERS[encoding](bytes(16 << 20))
    tracemalloc.start()

    with pytest.raises(BodyTooLarge):
        decompress(bomb, encoding=encoding, decoded_bytes_max=CAP)

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * CAP


@pytest.mark.parametrize("claimed", [b"\xff\xff\xff\xff\x0f", b"\x80\x80\x40"])
def test_a_snappy_header_that_lies_is_refused_before_allocation(claimed):
    tracemalloc.start()

    with pytest.raises((ValidationFailed, BodyTooLarge)):
        decompress(claimed + b"\x00a", encoding="snappy", decoded_bytes_max=CAP * 8)

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < CAP


@pytest.mark.parametrize("encoding", ["snappy", "gzip", "deflate", "zstd"])
def test_a_body_cut_anywhere_is_refused(encoding):
    body = ENCODERS[encoding](TEXT)

    for cut in range(1, len(body)):
        with pytest.raises(ValidationFailed):
            decompress(body[:cut], encoding=encoding, decoded_bytes_max=CAP)


@pytest.mark.parametrize("encoding", ["snappy", "gzip", "deflate", "zstd"])
def test_bytes_of_another_format_are_refused(encoding):
    with pytest.raises(ValidationFailed):
        decompress(b'{"streams":[]}', encoding=encoding, decoded_bytes_max=CAP)


def test_an_unknown_encoding_is_named():
    with pytest.raises(ValidationFailed, match='Content-Encoding "br" not supported'):
        decompress(b"", encoding="br", decoded_bytes_max=CAP)
