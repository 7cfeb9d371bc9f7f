"""The S3 client: made from settings, and requests that are tried again.

Importing this module imports boto3, which costs time and memory: only what
uses S3 does it. Does I/O.
"""

import base64
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import boto3
from botocore.config import Config as BotoConfig
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
)
from urllib3.exceptions import HTTPError

from loki_py.config.storage_schema import S3Config, S3SseConfig
from loki_py.config.units import NS_PER_S
from loki_py.errors import ObjectNotFound, TruncatedData, Unavailable
from loki_py.storage.retries import RETRY_NS_MAX, Backoff, RetryBudget
from loki_py.storage.s3_metrics import S3Metrics

T = TypeVar("T")

REGION_OF_LOOKALIKES = "us-east-1"
"""What signatures name where an endpoint is given and no region."""

_OURS = (
    CredentialRetrievalError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
)
_NETWORK = (BotoCoreError, ClientError, HTTPError, OSError, TruncatedData)
_NOT_FOUND = frozenset({"NoSuchKey", "404", "NotFound"})
_BUSY = frozenset(
    {
        "InternalError",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "OperationAborted",
        "BadDigest",
    }
)
_NO_ANSWER = "none"


def new_client(config: S3Config) -> Any:
    """Return a client of the bucket's service; nothing is asked of it yet.

    It tries nothing again by itself: `Requests` does, bodies included.

    Raises: Unavailable where the settings do not make a client.
    """
    http = config.http
    secret = config.secret_access_key.get_secret_value()
    options = BotoConfig(
        signature_version="s3v4",
        # Later defaults add checksums in forms that look-alikes do not know, and
        # check ranges against the checksum of the whole object.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path" if config.force_path_style else "virtual"},
        retries={"total_max_attempts": 1, "mode": "standard"},
        max_pool_connections=http.connections_max,
        connect_timeout=http.connect_ns_max / NS_PER_S,
        read_timeout=http.silence_ns_max / NS_PER_S,
        tcp_keepalive=True,
    )
    try:
        session = boto3.session.Session(
            aws_access_key_id=config.access_key_id or None,
            aws_secret_access_key=secret or None,
            aws_session_token=config.session_token.get_secret_value() or None,
            region_name=config.region or None,
        )
        region = session.region_name
        if config.endpoint and not region:
            region = REGION_OF_LOOKALIKES
        return session.client(
            "s3",
            region_name=region,
            endpoint_url=endpoint_of(config),
            verify=False if http.insecure_skip_verify else (http.ca_file or None),
            config=options,
        )
    except (BotoCoreError, ValueError) as error:
        raise Unavailable(f"s3: {error}") from error


def endpoint_of(config: S3Config) -> str | None:
    """Return the URL of the endpoint, None for AWS's own."""
    if not config.endpoint or "://" in config.endpoint:
        return config.endpoint or None
    return f"{'http' if config.insecure else 'https'}://{config.endpoint}"


def encryption_of(sse: S3SseConfig) -> Mapping[str, str]:
    """Return what an upload says about encryption."""
    if not sse.type:
        return {}
    if sse.type == "SSE-S3":
        return {"ServerSideEncryption": "AES256"}
    wanted = {"ServerSideEncryption": "aws:kms"}
    if sse.kms_key_id:
        wanted["SSEKMSKeyId"] = sse.kms_key_id
    if sse.kms_encryption_context:
        context = base64.b64encode(sse.kms_encryption_context.encode())
        wanted["SSEKMSEncryptionContext"] = context.decode()
    return wanted


class Requests:
    """Runs requests, tries them again, and says what went wrong in our words.

    For any thread. Waits between tries block the thread.
    """

    def __init__(self, backoff: Backoff, metrics: S3Metrics) -> None:
        self._backoff = backoff
        self._metrics = metrics
        self._budget = RetryBudget()

    def run(
        self,
        operation: str,
        key: str,
        request: Callable[[], T],
        *,
        retries_max: int | None = None,
    ) -> T:
        """Return what `request` returns; it may run several times.

        Raises: ObjectNotFound, Unavailable.
        """
        most = self._backoff.retries_max if retries_max is None else retries_max
        start_ns = time.monotonic_ns()
        retries = 0
        while True:
            try:
                with self._observed(operation):
                    answer = request()
            except _NETWORK as error:
                if _is_not_found(error):
                    raise ObjectNotFound(f"no object {key}") from error
                passed_ns = time.monotonic_ns() - start_ns
                may_again = retries < most and passed_ns < RETRY_NS_MAX
                if not (_may_pass(error) and may_again and self._take()):
                    raise Unavailable(
                        f"s3: {operation} of {key}: {_text_of(error)}; "
                        f"tried {retries + 1} times in {passed_ns // 1_000_000} ms"
                    ) from error
            else:
                self._budget.give_back(retries)
                return answer
            self._metrics.retries.labels(operation).inc()
            chance = random.random()  # noqa: S311
            time.sleep(self._backoff.wait_ns(retries, chance=chance) / NS_PER_S)
            retries += 1

    def _take(self) -> bool:
        taken = self._budget.take(now_ns=time.monotonic_ns())
        if not taken:
            self._metrics.retries_refused.inc()
        return taken

    @contextmanager
    def _observed(self, operation: str) -> Iterator[None]:
        start_ns = time.monotonic_ns()
        status = "200"
        try:
            yield
        except BaseException as error:
            status = _status_of(error)
            raise
        finally:
            passed_s = (time.monotonic_ns() - start_ns) / NS_PER_S
            self._metrics.request_seconds.labels(operation, status).observe(passed_s)


def code_of(error: BaseException | None) -> str:
    """Return S3's code of an error, empty where it is none of S3's."""
    if not isinstance(error, ClientError):
        return ""
    return str(error.response.get("Error", {}).get("Code", ""))


def _status_of(error: BaseException) -> str:
    if not isinstance(error, ClientError):
        return _NO_ANSWER
    found = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return _NO_ANSWER if found is None else str(found)


def _is_not_found(error: BaseException) -> bool:
    return code_of(error) in _NOT_FOUND


def _may_pass(error: BaseException) -> bool:
    """Return whether the same request may succeed in a moment."""
    if isinstance(error, ClientError):
        return (
            code_of(error) in _BUSY
            or _status_of(error) in {"408", "429"}
            or _status_of(error).startswith("5")
        )
    return not isinstance(error, _OURS)


def _text_of(error: BaseException) -> str:
    if isinstance(error, ClientError):
        message = error.response.get("Error", {}).get("Message") or "no message"
        return f"{_status_of(error)} {code_of(error)}: {message}"
    return " ".join(str(error).split())
