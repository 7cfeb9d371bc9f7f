"""Objects in an S3 bucket, or in what speaks S3's protocol.

The guarantees of `ObjectStore` are those of S3 since 2020: what was put is
visible to every verb at once. A put whose answer got lost is put again, which
is harmless because keys are unique. Importing this module imports boto3.
"""

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from loki_py.config.storage_schema import S3Config
from loki_py.encoding.checksum import crc32c
from loki_py.errors import ObjectNotFound, TruncatedData, Unavailable
from loki_py.runtime.logs import logger_of
from loki_py.storage.abc import check_key, check_prefix
from loki_py.storage.ranges import READ_BYTES_MIN, RangeInput
from loki_py.storage.retries import Backoff
from loki_py.storage.s3_client import (
    Requests,
    code_of,
    encryption_of,
    new_client,
)
from loki_py.storage.s3_metrics import S3Metrics

PART_BYTES = 8 * 1024 * 1024
"""One part of a large object; S3 wants 5 MiB at least."""

WHOLE_PARTS_MAX = 2
"""Objects of more than so many parts are put in parts."""

PARTS_MAX = 10_000
"""S3's own bound."""

PART_THREADS = 4
"""Parts of one object that travel at once; their bytes are in memory."""

TAIL_BYTES = READ_BYTES_MIN
"""Fetched when an object is opened: a pack's footer is at its end."""

LIST_KEYS_MAX = 1_000
"""Keys in one answer; S3 gives no more."""

CHECKSUM_NAME = "crc32c"
"""The object's own header that holds the CRC-32C of all of it, in hex."""

log = logger_of("s3")


class S3Store:
    """An `ObjectStore` in one bucket.

    Args:
        config: where and how.
        metrics: what counts its requests.
        part_bytes: see PART_BYTES; tests of look-alikes set it lower.
    """

    def __init__(
        self, config: S3Config, metrics: S3Metrics, *, part_bytes: int = PART_BYTES
    ) -> None:
        assert config.bucket
        self._config = config
        self._metrics = metrics
        self._part_bytes = part_bytes
        backoff = config.backoff
        self._requests = Requests(
            Backoff(backoff.min_ns, backoff.max_ns, backoff.retries_max), metrics
        )
        self._encryption = encryption_of(config.sse)
        self._client: Any = None

    def start(self) -> None:
        """Make the client; ask once whether the bucket is there.

        No answer, or one that may be better later, is logged and no error: what
        is on local disk can be written and read without the bucket.

        Raises: Unavailable where the answer is no: no such bucket, no right.
        """
        self._client = new_client(self._config)
        try:
            self._requests.run(
                "S3.List",
                self._config.bucket,
                partial(self._page, "", ""),
                retries_max=0,
            )
        except Unavailable as error:
            if code_of(error.__cause__) in {
                "AccessDenied",
                "InvalidAccessKeyId",
                "NoSuchBucket",
                "SignatureDoesNotMatch",
            }:
                raise
            log.warning("bucket does not answer", error=str(error))

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()

    def put(self, key: str, source: bytes | Path) -> None:
        """Send the bytes with their checksum, large ones in parts."""
        check_key(key)
        if isinstance(source, bytes):
            self._put_whole(key, source)
            return
        try:
            size = source.stat().st_size
            if size <= WHOLE_PARTS_MAX * self._part_bytes:
                self._put_whole(key, source.read_bytes())
            else:
                self._put_parts(key, source, size)
        except OSError as error:
            raise Unavailable(f"object store: {key}: {error}") from error

    def get(self, key: str) -> bytes:
        """Return the object; its checksum is checked where the server kept it."""
        check_key(key)
        return self._requests.run("S3.GetObject", key, lambda: self._get(key, None)[0])

    def open_input(self, key: str) -> RangeInput:
        """Return the object for reading by ranges; its end is fetched."""
        check_key(key)
        size, tail = self._requests.run("S3.GetObject", key, lambda: self._tail(key))
        return RangeInput(
            lambda offset, length: self._range(key, offset, length),
            size=size,
            held=(size - len(tail), tail),
        )

    def list(self, prefix: str) -> Iterator[str]:
        """Yield keys page by page, a request each."""
        check_prefix(prefix)
        token = ""
        while True:
            page = self._requests.run(
                "S3.List", f"{prefix}*", partial(self._page, prefix, token)
            )
            for item in page.get("Contents", ()):
                if item["Key"].startswith(prefix) and not item["Key"].endswith("/"):
                    yield item["Key"]
            token = page.get("NextContinuationToken", "")
            if not page.get("IsTruncated") or not token:
                return

    def delete(self, key: str) -> None:
        """Remove the object."""
        check_key(key)
        place = self._place(key)
        try:
            self._requests.run(
                "S3.DeleteObject", key, lambda: self._client.delete_object(**place)
            )
        except ObjectNotFound:
            return  # S3 itself does not say so; look-alikes do

    def size(self, key: str) -> int:
        """Return the length that the server knows."""
        check_key(key)
        place = self._place(key)
        answer = self._requests.run(
            "S3.HeadObject", key, lambda: self._client.head_object(**place)
        )
        return int(answer["ContentLength"])

    def _place(self, key: str) -> Mapping[str, str]:
        return {"Bucket": self._config.bucket, "Key": key}

    def _page(self, prefix: str, token: str) -> Mapping[str, Any]:
        after = {"ContinuationToken": token} if token else {}
        page: Mapping[str, Any] = self._client.list_objects_v2(
            Bucket=self._config.bucket, Prefix=prefix, MaxKeys=LIST_KEYS_MAX, **after
        )
        return page

    def _get(self, key: str, wanted: str | None) -> tuple[bytes, Mapping[str, Any]]:
        """Return the bytes of one answer, all of them, and the answer."""
        ranged = {} if wanted is None else {"Range": wanted}
        answer = self._client.get_object(**self._place(key), **ranged)
        with answer["Body"] as body:
            data: bytes = body.read()
        self._metrics.bytes.labels("S3.GetObject").inc(len(data))
        if len(data) != answer["ContentLength"]:
            raise TruncatedData(f"{len(data)} bytes of {answer['ContentLength']} came")
        if len(data) == _size_of(answer):
            _check(data, answer.get("Metadata", {}).get(CHECKSUM_NAME))
        return data, answer

    def _range(self, key: str, offset: int, length: int) -> bytes:
        return self._requests.run(
            "S3.GetObject", key, lambda: self._get_range(key, offset, length)
        )

    def _get_range(self, key: str, offset: int, length: int) -> bytes:
        end = offset + length
        data, answer = self._get(key, f"bytes={offset}-{end - 1}")
        if "ContentRange" not in answer:
            data = data[offset:end]  # a server that knows no ranges sent everything
        if len(data) != length:
            raise TruncatedData(f"{len(data)} bytes of {length} came")
        return data

    def _tail(self, key: str) -> tuple[int, bytes]:
        """Return the size of the object, and its end."""
        try:
            data, answer = self._get(key, f"bytes=-{TAIL_BYTES}")
        except ClientError as error:
            if code_of(error) != "InvalidRange":
                raise
        else:
            return _size_of(answer), data
        # No byte to be had: an empty object, or a server that takes only ranges
        # that the object has.
        size = int(self._client.head_object(**self._place(key))["ContentLength"])
        length = min(size, TAIL_BYTES)
        return size, self._get_range(key, size - length, length) if size else b""

    def _put_whole(self, key: str, data: bytes) -> None:
        self._requests.run(
            "S3.PutObject",
            key,
            lambda: self._client.put_object(
                **self._place(key),
                **self._encryption,
                **self._sum_of(data),
                Body=data,
                Metadata={CHECKSUM_NAME: f"{crc32c(data):08x}"},
            ),
        )
        self._metrics.bytes.labels("S3.PutObject").inc(len(data))

    def _put_parts(self, key: str, source: Path, size: int) -> None:
        place = self._place(key)
        algorithm = (
            {"ChecksumAlgorithm": "CRC32C"}
            if self._config.put_checksum == "crc32c"
            else {}
        )
        begun = self._requests.run(
            "S3.CreateMultipartUpload",
            key,
            lambda: self._client.create_multipart_upload(
                **place,
                **self._encryption,
                **algorithm,
                Metadata={CHECKSUM_NAME: f"{_crc32c_of_file(source):08x}"},
            ),
        )
        upload = {**place, "UploadId": begun["UploadId"]}
        try:
            parts = self._send_parts(upload, source, size)
            self._complete(upload, parts, size)
        except BaseException:
            self._abort(upload)
            raise

    def _send_parts(
        self, upload: Mapping[str, str], source: Path, size: int
    ) -> Sequence[Mapping[str, Any]]:
        part_bytes = max(self._part_bytes, -(-size // PARTS_MAX))
        offsets = range(0, size, part_bytes)

        def send(number: int) -> Mapping[str, Any]:
            with source.open("rb") as file:
                file.seek(offsets[number - 1])
                data = file.read(part_bytes)
            sums = self._sum_of(data)
            answer = self._requests.run(
                "S3.UploadPart",
                upload["Key"],
                lambda: self._client.upload_part(
                    **upload, **sums, PartNumber=number, Body=data
                ),
            )
            self._metrics.bytes.labels("S3.UploadPart").inc(len(data))
            kept = {name: sums[name] for name in sums if name != "ContentMD5"}
            return {"PartNumber": number, "ETag": answer["ETag"], **kept}

        with ThreadPoolExecutor(PART_THREADS, thread_name_prefix="s3-part") as pool:
            return list(pool.map(send, range(1, len(offsets) + 1)))

    def _complete(
        self, upload: Mapping[str, str], parts: Sequence[Mapping[str, Any]], size: int
    ) -> None:
        """Make the parts one object; it may be one already, its answer lost."""
        try:
            self._requests.run(
                "S3.CompleteMultipartUpload",
                upload["Key"],
                lambda: self._client.complete_multipart_upload(
                    **upload, MultipartUpload={"Parts": parts}
                ),
            )
        except Unavailable as error:
            if code_of(error.__cause__) != "NoSuchUpload":
                raise
            try:
                found = self.size(upload["Key"])
            except ObjectNotFound:
                raise error from None
            if found != size:
                raise

    def _abort(self, upload: Mapping[str, str]) -> None:
        """Free the parts that were sent; what fails here is left to the bucket."""
        try:
            self._requests.run(
                "S3.AbortMultipartUpload",
                upload["Key"],
                lambda: self._client.abort_multipart_upload(**upload),
                retries_max=1,
            )
        except (ObjectNotFound, Unavailable) as error:
            log.warning("parts of an upload were left", error=str(error))

    def _sum_of(self, data: bytes) -> Mapping[str, str]:
        """Return the header by which the server checks an upload."""
        if self._config.put_checksum == "crc32c":
            return {"ChecksumCRC32C": _base64_of(crc32c(data).to_bytes(4, "big"))}
        if self._config.put_checksum == "md5":
            digest = hashlib.md5(data, usedforsecurity=False).digest()
            return {"ContentMD5": _base64_of(digest)}
        return {}


def _size_of(answer: Mapping[str, Any]) -> int:
    """Return the size of the object of which the answer has a range, or all."""
    ranged = str(answer.get("ContentRange", ""))
    total = ranged.rpartition("/")[2]
    return int(total) if total.isdecimal() else int(answer["ContentLength"])


def _check(data: bytes, checksum: str | None) -> None:
    if checksum is not None and checksum != f"{crc32c(data):08x}":
        # As if it had been cut: the next answer may be whole.
        raise TruncatedData(f"object has CRC-32C {crc32c(data):08x}, not {checksum}")


def _crc32c_of_file(source: Path) -> int:
    crc = 0
    with source.open("rb") as file:
        while data := file.read(PART_BYTES):
            crc = crc32c(data, seed=crc)
    return crc


def _base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()
