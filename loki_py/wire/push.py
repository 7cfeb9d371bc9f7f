"""Decode a push body, whatever its encoding and content type, into columns."""

from dataclasses import dataclass

from loki_py.encoding.compression import decompress
from loki_py.errors import ValidationFailed
from loki_py.model.batch import EntryBatch
from loki_py.wire.label_cache import LabelCache
from loki_py.wire.push_json import JsonDecoder
from loki_py.wire.push_proto import ProtoDecoder

NO_STREAMS = "error at least one valid stream is required for ingestion"


@dataclass(frozen=True, slots=True)
class DecodedPush:
    """A push as columns, not yet validated.

    Attributes:
        batch: the entries; label sets may repeat, and may repeat a name.
        body_bytes: size of the body after decompression.
        format: "json" or "protobuf", as metrics name it.
    """

    batch: EntryBatch
    body_bytes: int
    format: str


class PushDecoder:
    """Decodes push bodies; holds the cache of label texts seen before.

    Not thread-safe.
    """

    def __init__(self) -> None:
        cache = LabelCache()
        self._json = JsonDecoder(cache)
        self._proto = ProtoDecoder(cache)

    def decode(
        self,
        body: bytes,
        *,
        content_type: str | None,
        content_encoding: str = "",
        decoded_bytes_max: int,
        legacy: bool = False,
    ) -> DecodedPush:
        """Return the entries of one request.

        Args:
            content_type: of the request; anything but JSON is snappy protobuf,
                as in Loki.
            content_encoding: of the request; replaces snappy for protobuf.
            decoded_bytes_max: how large the body may be after decompression.
            legacy: the request is for `/api/prom/push`.

        Raises: ValidationFailed, BodyTooLarge.
        """
        media_type = (content_type or "").partition(";")[0].strip().lower()
        if not media_type:
            raise ValidationFailed("mime: no media type")
        is_json = media_type == "application/json"
        encoding = content_encoding.strip()
        if encoding in ("", "snappy"):
            # Clients put "snappy" on JSON that is not; Loki ignores it too.
            encoding = "" if is_json else "snappy"
        plain = decompress(body, encoding=encoding, decoded_bytes_max=decoded_bytes_max)
        if not is_json:
            batch = self._proto.decode(plain)
        elif legacy:
            batch = self._json.decode_legacy(plain)
        else:
            batch = self._json.decode(plain)
        if not batch.streams:
            raise ValidationFailed(NO_STREAMS, status=422)
        return DecodedPush(batch, len(plain), "json" if is_json else "protobuf")
