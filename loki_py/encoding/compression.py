"""Decompress request bodies without ever holding more than a cap.

The cap bounds what comes out, and it is enforced while bytes come out: a bomb
costs at most the cap, whatever its headers claim.
"""

import zlib
from collections.abc import Callable, Mapping

import cramjam
import pyarrow as pa

from loki_py.errors import BodyTooLarge, ValidationFailed

CHUNK_BYTES = 1 << 20
SNAPPY_RATIO_MAX = 32
"""No snappy element makes more than 64 bytes from 3; beyond this, headers lie."""


def decompress(body: bytes, *, encoding: str, decoded_bytes_max: int) -> bytes:
    """Return the decoded body; `encoding` is one of `ENCODINGS`.

    Raises:
        BodyTooLarge: more than `decoded_bytes_max` would come out.
        ValidationFailed: the encoding is unknown, or the bytes are not of it.
    """
    decode = ENCODINGS.get(encoding)
    if decode is None:
        raise ValidationFailed(f'Content-Encoding "{encoding}" not supported')
    return decode(body, decoded_bytes_max)


def check_body_bytes(size_bytes: int, *, bytes_max: int) -> None:
    """Raise BodyTooLarge where a body is larger than its limit."""
    if size_bytes > bytes_max:
        raise BodyTooLarge(
            f"request body too large: {size_bytes} bytes, limit: {bytes_max} bytes"
        )


def _identity(body: bytes, decoded_bytes_max: int) -> bytes:
    check_body_bytes(len(body), bytes_max=decoded_bytes_max)
    return body


def _snappy(body: bytes, decoded_bytes_max: int) -> bytes:
    try:
        claimed = cramjam.snappy.decompress_raw_len(body)
    except cramjam.DecompressionError:
        raise ValidationFailed("snappy: corrupt input") from None
    check_body_bytes(claimed, bytes_max=decoded_bytes_max)
    if claimed > len(body) * SNAPPY_RATIO_MAX:
        raise ValidationFailed("snappy: corrupt input")
    try:
        return bytes(cramjam.snappy.decompress_raw(body))
    except cramjam.DecompressionError:
        raise ValidationFailed("snappy: corrupt input") from None


def _streamed(codec: str, name: str) -> Callable[[bytes, int], bytes]:
    def decode(body: bytes, decoded_bytes_max: int) -> bytes:
        chunks, size = [], 0
        try:
            with pa.CompressedInputStream(pa.BufferReader(body), codec) as stream:
                while chunk := stream.read(CHUNK_BYTES):
                    size += len(chunk)
                    check_body_bytes(size, bytes_max=decoded_bytes_max)
                    chunks.append(chunk)
        except OSError as error:
            reason = "unexpected EOF" if "Truncated" in str(error) else "corrupt input"
            raise ValidationFailed(f"{name}: {reason}") from None
        return b"".join(chunks)

    return decode


def _deflate(body: bytes, decoded_bytes_max: int) -> bytes:
    try:
        return _inflate(body, decoded_bytes_max, window_bits=-zlib.MAX_WBITS)
    except zlib.error as error:
        first = error
    try:
        return _inflate(body, decoded_bytes_max, window_bits=zlib.MAX_WBITS)
    except zlib.error:
        raise ValidationFailed(f"flate: corrupt input: {first}") from None


def _inflate(body: bytes, decoded_bytes_max: int, *, window_bits: int) -> bytes:
    inflater = zlib.decompressobj(window_bits)
    decoded = inflater.decompress(body, decoded_bytes_max + 1)
    check_body_bytes(len(decoded), bytes_max=decoded_bytes_max)
    if not inflater.eof:
        raise ValidationFailed("flate: unexpected EOF")
    return decoded


ENCODINGS: Mapping[str, Callable[[bytes, int], bytes]] = {
    "": _identity,
    "snappy": _snappy,
    "gzip": _streamed("gzip", "gzip"),
    "deflate": _deflate,
    "zstd": _streamed("zstd", "zstd"),
    "lz4": _streamed("lz4", "lz4"),
}
