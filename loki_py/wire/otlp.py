"""Decode an OTLP log body, whatever its encoding and content type, into columns."""

from functools import cached_property
from typing import TYPE_CHECKING

from loki_py.config.otlp import OtlpRules
from loki_py.encoding.compression import decompress
from loki_py.errors import ValidationFailed
from loki_py.wire.otlp_batch import batch_of
from loki_py.wire.otlp_json import OtlpJsonDecoder
from loki_py.wire.push import NO_STREAMS, DecodedPush

if TYPE_CHECKING:
    from loki_py.wire.otlp_proto import OtlpProtoDecoder

FORMAT = "otlp"
ENCODINGS = ("", "gzip", "zstd", "lz4", "deflate")
"""`deflate` is not among Loki's; OpenTelemetry's exporters have it."""

JSON_TYPE, PROTO_TYPE = "application/json", "application/x-protobuf"


class OtlpDecoder:
    """Decodes OTLP bodies; holds the resources seen before.

    Not thread-safe.
    """

    def __init__(self) -> None:
        self._json = OtlpJsonDecoder()

    @cached_property
    def _proto(self) -> "OtlpProtoDecoder":
        # Its messages take a while to import, and not everybody sends them.
        from loki_py.wire.otlp_proto import OtlpProtoDecoder  # noqa: PLC0415

        return OtlpProtoDecoder()

    def decode(
        self,
        body: bytes,
        *,
        content_type: str,
        content_encoding: str,
        decoded_bytes_max: int,
        rules: OtlpRules,
        now_ns: int,
    ) -> DecodedPush:
        """Return the entries of one request.

        Args:
            body: as it came.
            content_type: of the request.
            content_encoding: of the request.
            decoded_bytes_max: how large the body may be after decompression.
            rules: what becomes of attributes.
            now_ns: the time of records that have none.

        Raises: ValidationFailed, BodyTooLarge.
        """
        media_type = content_type.partition(";")[0].strip().lower()
        if media_type not in {JSON_TYPE, PROTO_TYPE}:
            raise ValidationFailed(f"content type: {content_type} is not supported")
        encoding = content_encoding.strip()
        if encoding not in ENCODINGS:
            raise ValidationFailed(
                f"unsupported content encoding {encoding}: only gzip, lz4 and zstd"
                " are supported"
            )
        plain = decompress(body, encoding=encoding, decoded_bytes_max=decoded_bytes_max)
        decoder = self._json if media_type == JSON_TYPE else self._proto
        records = decoder.decode(plain, rules)
        if not len(records.time_ns):
            raise ValidationFailed(NO_STREAMS, status=422)
        return DecodedPush(batch_of(records, rules, now_ns=now_ns), len(plain), FORMAT)
