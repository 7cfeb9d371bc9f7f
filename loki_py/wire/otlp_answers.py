"""Answers to OTLP exports, in protobuf: google.rpc.Status, partial success.

Written by hand: a handful of fields, for which the runtime's message classes
would be made at every start.

Pure: values in, bytes out.
"""

from loki_py.config.units import NS_PER_S

_VARINT, _BYTES = 0, 2
_RETRY_INFO_TYPE = b"type.googleapis.com/google.rpc.RetryInfo"


def encode_status(
    text: str, *, code: int = 0, retry_after_ns: int | None = None
) -> bytes:
    """Return a google.rpc.Status.

    Args:
        text: what the caller is told.
        code: of gRPC; 0 is left out, as where the HTTP status says it.
        retry_after_ns: when to try again, as a google.rpc.RetryInfo.
    """
    status = _number(1, code) + _bytes(2, text.encode())
    if retry_after_ns is None:
        return status
    seconds, nanoseconds = divmod(retry_after_ns, NS_PER_S)
    duration = _number(1, seconds) + _number(2, nanoseconds)
    info = _bytes(1, duration)
    return status + _bytes(3, _bytes(1, _RETRY_INFO_TYPE) + _bytes(2, info))


def encode_export_response(*, rejected_count: int = 0, text: str = "") -> bytes:
    """Return an ExportLogsServiceResponse; nothing refused is no bytes."""
    if not rejected_count:
        return b""
    return _bytes(1, _number(1, rejected_count) + _bytes(2, text.encode()))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3 | _VARINT) + _varint(value) if value else b""


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | _BYTES) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    encoded = b""
    while value > 0x7F:
        encoded += bytes([value & 0x7F | 0x80])
        value >>= 7
    return encoded + bytes([value])
